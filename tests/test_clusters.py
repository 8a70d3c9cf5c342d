"""Molecules in structures, sets of them, and what n of them add to the energy of fewer."""

import copy
import pickle
import shutil
from itertools import combinations, product

import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT

from atomcore.data import (
    Clusters,
    Components,
    Criterion,
    Entities,
    add_lower_orders,
    cut_clusters,
    decompose,
    find_sets,
    pack_box,
    remove_lower_orders,
)
from atomcore.md import radial_distribution
from helpers import shared_data, slope
from tolerances import EXACT, FORCES_FD, INVARIANT, MASSES, REFERENCE, ROUNDING, assert_close

KINDS = {"h2o": "OHH", "nh3": "NHHH"}


def mixture(counts, box=None, *, seed=0, spread=5.0):
    """Return molecules at random places and angles, in the order of `counts`; names of the kinds of ASE's molecules."""
    rng = np.random.default_rng(seed)
    atoms = ase.Atoms()
    for formula in counts:
        own = molecule(formula)
        own.rotate(rng.uniform(0, 360), rng.normal(size=3))
        own.positions += rng.uniform(0, spread if box is None else 1, 3) @ (np.eye(3) if box is None else box)
        atoms += own
    if box is not None:
        atoms.set_cell(box)
        atoms.pbc = True
    return atoms


def measure(name, groups):
    """Compute the measure of a criterion for [(positions, masses), ...] from its definition."""
    if name == "largest_atom_distance":
        points = np.concatenate([r for r, _ in groups])
        return np.linalg.norm(points[:, None] - points, axis=2).max()
    centres = [m @ r / m.sum() for r, m in groups]
    masses = [m.sum() for _, m in groups]
    everywhere = np.average(centres, axis=0, weights=masses)
    return np.linalg.norm(centres - everywhere, axis=1).sum()


@pytest.mark.parametrize("name", ["centre_distance_sum", "largest_atom_distance"])
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("wanted", [("h2o", "h2o"), ("nh3", "h2o"), ("h2o", "nh3", "h2o")])
def test_sets_are_those_of_the_definition(name, periodic, wanted):
    box = np.array([[6.0, 0, 0], [1.5, 6.5, 0], [-0.5, 1.0, 7.0]]) if periodic else None
    atoms = mixture(["H2O", "NH3", "H2O", "NH3", "H2O"], box, seed=3)
    entities = Entities.consecutive(atoms.numbers, KINDS)
    cutoff = 6.5
    found = find_sets(atoms, entities, wanted, Criterion(measure=name, cutoff=cutoff))
    whole = atoms.positions  # molecules are in one piece as they were made
    shifts = list(product(range(-3, 4), repeat=3)) if periodic else [(0, 0, 0)]
    members = sorted((e, s) for e in range(len(entities)) for s in shifts)
    origin = (0, 0, 0)
    expected = {}
    near = cutoff + 1.0
    centre = {m: whole[entities.atoms_of(m[0])].mean(axis=0) + np.array(m[1]) @ atoms.cell.array for m in members}
    for first in [m for m in members if m[1] == origin]:
        others = [m for m in members if m > first and np.linalg.norm(centre[m] - centre[first]) < near]
        for rest in combinations(others, len(wanted) - 1):
            chosen = (first, *rest)
            if sorted(entities.comp_ids[e] for e, _ in chosen) != sorted(wanted):
                continue
            groups = [
                (whole[entities.atoms_of(e)] + np.array(s) @ atoms.cell.array, atoms.get_masses()[entities.atoms_of(e)])
                for e, s in chosen
            ]
            value = measure(name, groups)
            if value < cutoff:
                expected[chosen] = value
    assert len(expected) >= 1
    sets = {}
    for entity, shift, value in zip(found.entities, found.shifts, found.values, strict=True):
        assert tuple(entities.comp_ids[e] for e in entity) == wanted
        key = tuple(sorted((int(e), tuple(int(x) for x in s)) for e, s in zip(entity, shift, strict=True)))
        assert key not in sets
        sets[key] = value
    assert sets.keys() == expected.keys()
    assert_close([sets[key] for key in expected], list(expected.values()), ROUNDING)
    assert_close(found.factors, np.ones(len(sets)), EXACT)


def test_sets_do_not_depend_on_wrapping_or_images():
    box = np.diag([9.0, 8.0, 10.0])
    atoms = mixture(["H2O"] * 6, box, seed=5)
    entities = Entities.consecutive(atoms.numbers, KINDS)
    criterion = Criterion(measure="centre_distance_sum", cutoff=9.0)
    before = find_sets(atoms, entities, ("h2o",) * 3, criterion)
    moved = atoms.copy()
    moved.positions += np.random.default_rng(1).integers(-3, 4, (18, 3)) @ box  # every atom by itself
    after = find_sets(moved, entities, ("h2o",) * 3, criterion)
    assert len(before.values) > 10
    assert_close(np.sort(after.values), np.sort(before.values), INVARIANT)


@pytest.mark.parametrize("name", ["centre_distance_sum", "largest_atom_distance"])
@pytest.mark.parametrize("bounds", [{"cutoff": 8.0}, {"cutoff": 9.0, "lower": 3.0}, {"cutoff": np.inf, "lower": 5.5}])
def test_switched_factor_is_smooth_and_its_slope_is_right(name, bounds):
    criterion = Criterion(measure=name, width=1.5, **bounds)
    core = Components(KINDS).core
    rng = np.random.default_rng(8)
    far = np.repeat(rng.normal(size=(3, 3)), 3, axis=0) * 1.6
    tested = 0
    for _ in range(40):
        x = (far + rng.normal(size=(9, 3)))[None]
        energies, gradients = np.array([2.0]), np.zeros((1, 9, 3))
        core.apply([0, 0, 0], criterion.core, x, energies, gradients)
        if not 0 < energies[0] < 2:
            continue
        tested += 1

        def value(y):
            own = np.array([2.0])
            core.apply([0, 0, 0], criterion.core, y, own, np.zeros((1, 9, 3)))
            return own[0]

        direction = rng.normal(size=x.shape)
        assert_close((gradients * direction).sum(), slope(value, x, direction), FORCES_FD)
    assert tested > 5


def test_factor_is_one_inside_and_ends_with_zero():
    atoms = mixture(["H2O", "H2O"])
    entities = Entities.consecutive(atoms.numbers, KINDS)
    places = np.linspace(2.0, 6.5, 91)
    factors = []
    for d in places:
        own = atoms.copy()
        own.positions[3:] = own.positions[:3] + np.array([d, 0, 0])  # the centre distance sum is d
        sets = find_sets(own, entities, ("h2o", "h2o"), Criterion(measure="centre_distance_sum", cutoff=6.0, width=2.0))
        factors.append(sets.factors[0] if len(sets.factors) else 0.0)
    factors = np.array(factors)
    t = np.clip((places - 4.0) / 2.0, 0, 1)
    assert_close(factors, 1 - t**3 * (10 - 15 * t + 6 * t * t), ROUNDING)


def test_entities_by_bonds_and_by_order_agree():
    box = np.diag([12.0, 12.0, 12.0])
    atoms = mixture(["H2O", "NH3", "H2O"], box, seed=2)
    atoms.wrap()
    bonded, consecutive = Entities.bonded(atoms, KINDS), Entities.consecutive(atoms.numbers, KINDS)
    for name in ("ptr", "atom", "component", "entity_ids"):
        assert_close(getattr(bonded, name), getattr(consecutive, name), EXACT)
    assert bonded.comp_ids == consecutive.comp_ids == ("h2o", "nh3", "h2o")
    ids = Entities.from_ids(atoms.numbers, consecutive.entity_ids, consecutive.comp_ids)
    assert ids.components == Components({"h2o": "OHH", "nh3": "NHHH"})
    named = Entities.bonded(atoms)
    assert named.comp_ids == ("H2O", "H3N", "H2O")
    assert "2 h2o, 1 nh3" in repr(consecutive)
    for copied in (copy.deepcopy(consecutive), pickle.loads(pickle.dumps(consecutive))):
        assert copied.comp_ids == consecutive.comp_ids


def test_interleaved_entities_are_found():
    atoms = mixture(["H2O", "NH3"], seed=4, spread=20.0)
    order = np.array([3, 0, 4, 1, 5, 2, 6])
    shuffled = atoms[order]
    entities = Entities.bonded(shuffled, KINDS)
    assert entities.comp_ids == ("nh3", "h2o")
    assert_close(shuffled.numbers[entities.atoms_of(1)], [8, 1, 1], EXACT)
    assert_close(entities.whole(shuffled), shuffled.positions, EXACT)


def test_division_by_order_looks_ahead():
    kinds = {"h": "H", "h2": "HH", "h2o": "HHO"}
    assert Entities.consecutive([1, 1, 1, 1, 8], kinds).comp_ids == ("h2", "h2o")
    assert Entities.consecutive([1, 1, 8, 1], kinds).comp_ids == ("h2o", "h")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Components({}), "not empty"),
        (lambda: Components({"x": "Qq"}), "formula 'Qq'"),
        (lambda: Components({"x": [0]}), "accepted: at least one"),
        (lambda: Components({"": "H"}), "accepted: texts"),
        (lambda: Components(KINDS).indices(["water"]), "component 'water' is unknown; accepted: 'h2o', 'nh3'"),
        (lambda: Entities.consecutive([8, 1, 1, 8, 1], KINDS), r"atom 3 \(atomic number 8\) begins no molecule"),
        (lambda: Entities.consecutive([8, 1, 1], {"a": "OHH", "b": "OHH"}), "have the same atoms"),
        (lambda: Entities.from_ids([8, 1, 1], [0, 0, 1], ["a"]), "entity_ids has"),
        (lambda: Entities.from_ids([8, 1, 1], [0, 0, 10**15], ["a", "b"]), "entity_ids has"),  # a petabyte of counts
        (
            lambda: Entities.bonded(ase.Atoms([8, 119], [[0, 0, 0], [0, 0, 1]])),
            "numbers must be atomic numbers .* got 119",
        ),
        (lambda: Entities.bonded(ase.Atoms()), "atoms has no atoms, and components is None"),
        (lambda: Entities.from_ids([8, 1, 1, 1, 1, 8], [0, 0, 0, 1, 1, 1], ["a", "a"]), "entity 1 has the atoms"),
        (lambda: Entities.bonded(molecule("CH4"), KINDS), "it is none of 'h2o', 'nh3'"),
        (lambda: Entities.bonded(molecule("H2O")[[1, 0, 2]], KINDS), "in another order"),
        (lambda: Criterion(measure="com", cutoff=3), "measure is 'com'"),
        (lambda: Criterion(measure="centre_distance_sum", cutoff=float("nan")), "cutoff is nan"),
        (lambda: Criterion(measure="centre_distance_sum", cutoff=3, lower=4), "above lower"),
        (lambda: Criterion(measure="centre_distance_sum", cutoff=3, lower=2, width=1), "width is 1"),
        (lambda: Criterion(measure="centre_distance_sum", width=1), "width is 1"),
        (lambda: pack_box([molecule("H2O")], [1, 2], [9, 9, 9]), "counts has 2"),
        (lambda: cut_clusters([molecule("H2O")], ("h2o",)), "kinds or entities"),
        (lambda: cut_clusters([molecule("H2O")], ("h2o", "h2o"), kinds=KINDS), "no frame has a cluster"),
    ],
)
def test_bad_input_is_refused_in_words(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_structures_that_have_no_answer_are_refused():
    box = np.diag([8.0, 8.0, 8.0])
    atoms = mixture(["H2O", "H2O"], box)
    entities = Entities.consecutive(atoms.numbers, KINDS)
    with pytest.raises(ValueError, match="infinitely many"):
        find_sets(atoms, entities, ("h2o", "h2o"))
    assert len(find_sets(atoms, entities, ("h2o",)).values) == 2
    with pytest.raises(ValueError, match="entities are those of 6 atoms; the structure has 3"):
        find_sets(molecule("H2O"), entities, ("h2o",))
    broken = atoms.copy()
    broken.positions[1] = broken.positions[0] + 4.0
    with pytest.raises(ValueError, match="half the cell or more"):
        find_sets(broken, entities, ("h2o",))
    swapped = atoms.copy()
    swapped.numbers[0] = 7
    with pytest.raises(ValueError, match=r"entity 0 \(h2o\) has atomic number 7"):
        find_sets(swapped, entities, ("h2o",))


def test_clusters_are_cut_whole_and_drawn_by_seed():
    box = np.diag([9.0, 9.0, 9.0])
    frames = [mixture(["H2O", "NH3", "H2O", "H2O"], box, seed=s) for s in range(3)]
    for atoms in frames:
        atoms.wrap()
    criterion = Criterion(measure="largest_atom_distance", cutoff=6.0)
    entities = Entities.consecutive(frames[0].numbers, KINDS)
    every = cut_clusters(frames, ("nh3", "h2o"), entities=entities, criterion=criterion)
    assert set(every.source) == {0, 1, 2}
    assert (every.order, every.sizes) == (2, [4, 3])
    for own, source, pair in zip(every.dataset, every.source, every.entities, strict=True):
        assert own.get_all_distances().max() < 6.0
        for rows, e in ((slice(0, 4), pair[0]), (slice(4, 7), pair[1])):
            inside = frames[source].get_all_distances(mic=True)[np.ix_(*[entities.atoms_of(e)] * 2)]
            assert_close(own.get_all_distances()[rows, rows], inside, INVARIANT)
    drawn = [
        cut_clusters(frames, ("nh3", "h2o"), entities=entities, criterion=criterion, per_frame=1, seed=s)
        for s in (0, 0, 1, 2, 3)
    ]
    assert all(len(own) == 3 for own in drawn)
    assert_close(drawn[0].dataset.positions, drawn[1].dataset.positions, EXACT)
    assert any(not np.array_equal(drawn[0].entities, own.entities) for own in drawn[2:])


def test_n_body_labels_add_up_to_the_total():
    atoms = mixture(["H2O", "NH3", "H2O", "H2O"], seed=6, spread=6.0)
    entities = Entities.consecutive(atoms.numbers, KINDS)
    names = [("h2o",), ("nh3",), ("h2o", "h2o"), ("h2o", "nh3"), ("h2o", "h2o", "h2o"), ("nh3", "h2o", "h2o")]
    names.append(("h2o", "h2o", "h2o", "nh3"))
    cut = [cut_clusters([atoms], own, entities=entities) for own in names]
    assert [len(own) for own in cut] == [3, 1, 3, 3, 1, 3, 1]
    labelled = [own.labelled(EMT()) for own in cut]
    parts = decompose(labelled)
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    for own in parts:
        energy += own.dataset.energy.sum()
        for members, rows in zip(own.entities, own.dataset.forces.reshape(len(own), -1, 3), strict=True):
            np.add.at(forces, np.concatenate([entities.atoms_of(e) for e in members]), rows)
    atoms.calc = EMT()
    assert abs(parts[-1].dataset.energy[0]) > 1e-6  # EMT is no pair potential
    assert_close(energy, atoms.get_potential_energy(), ROUNDING)
    assert_close(forces, atoms.get_forces(), ROUNDING)
    again = add_lower_orders(parts[-1], parts[:-1])
    assert_close(again.dataset.energy, labelled[-1].dataset.energy, ROUNDING)
    assert_close(again.dataset.forces, labelled[-1].dataset.forces, ROUNDING)


def test_pair_energies_leave_nothing_for_three():
    class Pairs:
        def energy_forces(self, atoms):
            d = atoms.positions[:, None] - atoms.positions
            r2 = (d**2).sum(axis=2) + np.eye(len(atoms))
            return float(np.sum(1 / r2) / 2), (2 * d / r2[..., None] ** 2).sum(axis=1)

    atoms = mixture(["H2O", "H2O", "H2O"], np.diag([20.0, 20.0, 20.0]), seed=7)
    criterion = Criterion(measure="centre_distance_sum", cutoff=60.0)
    entities = Entities.consecutive(atoms.numbers, KINDS)
    kinds = [cut_clusters([atoms], ("h2o",) * n, entities=entities, criterion=criterion) for n in (1, 2)]
    three = cut_clusters(
        [atoms], ("h2o",) * 3, entities=entities, criterion=Criterion(measure="centre_distance_sum", cutoff=30.0)
    )
    parts = decompose([own.labelled(Pairs()) for own in (*kinds, three)])
    assert len(three) > 0  # in several images of the cell
    assert_close(parts[2].dataset.energy, np.zeros(len(three)), INVARIANT)
    assert_close(parts[2].dataset.forces, np.zeros((9 * len(three), 3)), INVARIANT)


def test_missing_lower_orders_are_named():
    atoms = mixture(["H2O", "H2O"], seed=1)
    entities = Entities.consecutive(atoms.numbers, KINDS)
    one, two = (cut_clusters([atoms], ("h2o",) * n, entities=entities).labelled(EMT()) for n in (1, 2))
    with pytest.raises(ValueError, match=r"no labels of entities \[1\] of structure 0"):
        remove_lower_orders(two, [one.subset([0])])
    with pytest.raises(ValueError, match="twice"):
        remove_lower_orders(two, [one, one.subset([1])])
    with pytest.raises(ValueError, match="no energies"):
        remove_lower_orders(cut_clusters([atoms], ("h2o", "h2o"), entities=entities), [one])
    with pytest.raises(ValueError, match="other atoms than the components"):
        Clusters(dataset=two.dataset, kinds=two.kinds, components=("nh3",), source=[0], entities=[[0]])


def test_radial_distribution_is_the_histogram():
    box = np.array([[7.0, 0, 0], [1.0, 6.5, 0], [0.5, -0.5, 7.5]])
    frames = [mixture(["H2O"] * 5, box, seed=s) for s in range(3)]
    entities = Entities.consecutive(frames[0].numbers, KINDS)
    r, g = radial_distribution(frames, "O", "H", cutoff=8.0, width=0.5, entities=entities)
    shifts = np.array(list(product(range(-3, 4), repeat=3))) @ box
    edges = np.arange(0, 8.25, 0.5)
    counts = np.zeros(16)
    for atoms in frames:
        for a in range(0, 15, 3):
            for b in range(15):
                if b % 3 and b // 3 != a // 3:
                    d = np.linalg.norm(atoms.positions[b] - atoms.positions[a] + shifts, axis=1)
                    counts += np.histogram(d, edges)[0]
    volume = abs(np.linalg.det(box))
    expected = counts * volume / (3 * 5 * 8 * 4 / 3 * np.pi * np.diff(edges**3))
    assert_close(g, expected, ROUNDING)
    assert_close(r, edges[:-1] + 0.25, ROUNDING)
    _, own = radial_distribution(frames, "O", "O", cutoff=30.0, width=1.0)
    assert abs(own[-8:].mean() - 1) < 0.02  # far away every crystal is evenly dense
    with pytest.raises(ValueError, match="periodic in three"):
        radial_distribution([molecule("H2O")], "O", "H", cutoff=3.0)
    with pytest.raises(ValueError, match="no pair"):
        radial_distribution(frames, "O", "C", cutoff=3.0)
    with pytest.raises(ValueError, match="frames is empty"):
        radial_distribution([], "O", "H", cutoff=3.0)


def test_box_is_packed_or_packmol_is_missed_in_words(monkeypatch):
    if shutil.which("packmol") is None:
        with pytest.raises(FileNotFoundError, match="packmol is not installed"):
            pack_box([molecule("H2O")], [8], [9.0, 9.0, 9.0])
        return
    box = pack_box([molecule("H2O"), molecule("NH3")], [6, 2], [12.0, 12.0, 12.0])
    assert Entities.bonded(box, KINDS).comp_ids == ("h2o",) * 6 + ("nh3",) * 2


def test_packmol_is_asked_and_its_answer_read(tmp_path, monkeypatch):
    program = tmp_path / "packmol"
    program.write_text(
        "#!/bin/sh\ncat > input.txt\ncp input.txt " + str(tmp_path) + "/asked.txt\n"
        "printf '3\\n\\nO 1 1 1\\nH 2 1 1\\nH 1 2 1\\n' > packed.xyz\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    box = pack_box([molecule("H2O")], [1], [9.0, 8.0, 7.0], distance=1.5, seed=3)
    asked = (tmp_path / "asked.txt").read_text()
    for line in ("tolerance 1.5", "seed 3", "inside box 0.75 0.75 0.75 8.25 7.25 6.25"):
        assert line in asked
    assert box.pbc.all()
    assert len(box) == 3
    assert_close(box.cell.lengths(), [9.0, 8.0, 7.0], EXACT)
    program.write_text("#!/bin/sh\necho no room left\nexit 173\n")
    with pytest.raises(RuntimeError, match="no room left"):
        pack_box([molecule("H2O")], [1], [9.0, 8.0, 7.0])


def test_centre_distance_sum_of_a_water_trimer():
    """The value that mbGDML 0.1.1 gives for the first three molecules of the first shared hexamer."""
    with np.load(shared_data("water_mp2") / "6h2o.npz") as data:
        atoms = ase.Atoms(data["Z"][:9], data["R"][0][:9])
    entities = Entities.consecutive(atoms.numbers, {"h2o": "OHH"})
    sets = find_sets(atoms, entities, ("h2o",) * 3, Criterion(measure="centre_distance_sum", cutoff=20.0))
    assert_close(sets.values, MBGDML_CENTRES, MASSES)
    sets = find_sets(atoms, entities, ("h2o",) * 3, Criterion(measure="largest_atom_distance", cutoff=20.0))
    assert_close(sets.values, MBGDML_FARTHEST, REFERENCE)


MBGDML_CENTRES = [4.9640534289469915]
MBGDML_FARTHEST = [4.084318334802027]
