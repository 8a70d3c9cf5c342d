"""Many-body expansions: the compiled sum against its parts and its definition, derivatives, cells, other potentials."""

import copy
import importlib.util
import pickle
from itertools import permutations as orders_of

import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.md.verlet import VelocityVerlet
from ase.units import fs, kcal, mol

from atomcore import AtomcoreError, Calculator, Potential, model_file
from atomcore.cli import main
from atomcore.data import Criterion, Entities, cut_clusters, decompose, find_sets, from_atoms
from atomcore.interop.sgdml import ModelFile, as_predictions, read_many_body, write_model_file
from atomcore.models import GDML, ManyBody, Term
from atomcore.models.gdml import GdmlRecord
from atomcore.models.many_body import total
from helpers import NEEDS_SOURCES, REPOSITORY, shared_data, slope
from model_builder import random_model
from test_clusters import KINDS, mixture
from tolerances import ENGINE, EXACT, FORCES_FD, INVARIANT, ROUNDING, STRAIN_FD, Tolerance, assert_close

MOLECULES = {"h2o": "H2O", "nh3": "NH3"}
SUM, FARTHEST = "centre_distance_sum", "largest_atom_distance"


def symmetries(components):
    """Return all exchanges of hydrogens in a molecule and of molecules of the same component."""
    sizes = [len(KINDS[name]) for name in components]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = []
    for order in orders_of(range(len(components))):
        if any(components[k] != components[p] for k, p in enumerate(order)):
            continue
        choices = [[(0, *own) for own in orders_of(range(1, sizes[p]))] for p in order]
        for pick in np.ndindex(*[len(own) for own in choices]):
            rows.append([starts[p] + a for p, own, c in zip(order, choices, pick, strict=True) for a in own[c]])
    return np.array(sorted(rows))


def made_record(components, *, seed=0, points=4, constraints=False):
    """Return a GDML model that was trained on nothing: smooth, and invariant as it must be."""
    rng = np.random.default_rng([seed, *map(len, components)])
    numbers = np.concatenate([molecule(MOLECULES[name]).numbers for name in components])
    n, pairs = len(numbers), len(numbers) * (len(numbers) - 1) // 2
    return GdmlRecord(
        numbers=numbers,
        sigma=1.7,
        scale=0.3,
        constant=0.1 * len(components),
        descriptors=rng.uniform(0.2, 1.0, (points, pairs)),
        derivative_coefficients=rng.normal(size=(points, pairs)),
        energy_coefficients=rng.normal(size=points) if constraints else None,
        permutations=symmetries(components) if n else None,
    )


def expansion(*, width=1.0, cutoff=5.5, measure=SUM, mixed=True, threads=1):
    """Return a model with one-, two- and three-body terms."""
    of = [("h2o",), ("h2o", "h2o"), ("h2o", "h2o", "h2o")]
    if mixed:
        of += [("nh3",), ("nh3", "h2o"), ("h2o", "nh3", "h2o")]
    terms = []
    for k, components in enumerate(of):
        criterion = None
        if len(components) > 1:
            criterion = Criterion(measure=measure, cutoff=cutoff + 1.5 * (len(components) - 2), width=width)
        record = made_record(components, seed=k, constraints=k == 1)
        terms.append(Term(components=components, model=record, criterion=criterion))
    return ManyBody(terms, KINDS, threads=threads)


def by_definition(model, atoms, entities):
    """Return energy and forces from one set of molecules after the other."""
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    for values in model.predict_decomposed(atoms, entities=entities):
        for members, own_energy, own_forces in zip(values.entities, values.energies, values.forces, strict=True):
            energy += own_energy
            np.add.at(forces, np.concatenate([entities.atoms_of(e) for e in members]), own_forces)
    return energy, forces


TRICLINIC = np.array([[6.2, 0, 0], [1.0, 6.0, 0], [-0.7, 0.9, 6.6]])


@pytest.mark.parametrize("box", [None, TRICLINIC])
@pytest.mark.parametrize("measure", [SUM, FARTHEST])
def test_the_compiled_sum_is_that_of_its_parts(box, measure):
    model = expansion(measure=measure)
    atoms = mixture(["H2O", "NH3", "H2O", "H2O", "NH3"], box, seed=11, spread=3.0)
    entities = model.entities(atoms)
    results = model.compute(atoms, ("energy", "forces", "energies", "orders"))
    parts = model.predict_decomposed(atoms)
    assert all(len(own.energies) for own in parts)
    energy, forces = by_definition(model, atoms, entities)
    assert_close(results["energy"], energy, ROUNDING)
    assert_close(results["forces"], forces, ROUNDING)
    assert_close(results["energies"].sum(), energy, ROUNDING)
    for order in (1, 2, 3):
        own = sum(values.energies.sum() for values in parts if values.order == order)
        assert_close(results["orders"][order - 1], own, ROUNDING)
    energies, several = total(parts, [entities])
    assert_close(energies[0], energy, ROUNDING)
    assert_close(several[0], forces, ROUNDING)


def test_order_of_molecules_in_the_structure_does_not_matter():
    model = expansion()
    atoms = mixture(["H2O", "NH3", "H2O", "H2O", "NH3"], TRICLINIC, seed=12)
    energy, forces = model.energy_forces(atoms)
    entities = model.entities(atoms)
    for order in ([4, 3, 2, 1, 0], [1, 4, 0, 2, 3]):
        rows = np.concatenate([entities.atoms_of(e) for e in order])
        own_energy, own_forces = model.energy_forces(atoms[rows])
        assert_close(own_energy, energy, ROUNDING)
        assert_close(own_forces, forces[rows], ROUNDING)


def test_atoms_in_any_order_with_entities_given():
    model = expansion()
    atoms = mixture(["H2O", "NH3", "H2O"], TRICLINIC, seed=13)
    order = np.array([3, 0, 7, 4, 1, 8, 5, 2, 9, 6])  # molecules interleaved
    shuffled = atoms[order]
    with pytest.raises(ValueError, match="begins no molecule"):
        model.compute(shuffled)
    bonded = Entities.bonded(shuffled, KINDS)
    results = model.compute(shuffled, entities=bonded)
    energy, forces = model.energy_forces(atoms)
    assert_close(results["energy"], energy, ROUNDING)
    assert_close(results["forces"], forces[order], ROUNDING)


@pytest.mark.parametrize("box", [None, TRICLINIC])
@pytest.mark.parametrize(("measure", "width"), [(SUM, 1.5), (SUM, 0.0), (FARTHEST, 1.5)])
def test_forces_are_the_slope_of_the_energy(box, measure, width):
    model = expansion(measure=measure, width=width, cutoff=6.0)
    atoms = mixture(["H2O", "NH3", "H2O", "H2O"], box, seed=14)
    forces = model.energy_forces(atoms)[1]
    direction = np.random.default_rng(3).normal(size=forces.shape)

    def energy(positions):
        moved = atoms.copy()
        moved.positions = positions
        return model.energy_forces(moved)[0]

    assert_close(-(forces * direction).sum(), slope(energy, atoms.positions, direction), FORCES_FD)
    if box is None:
        assert_close(forces.sum(axis=0), np.zeros(3), ROUNDING)


def test_stress_is_the_slope_in_the_strain():
    model = expansion(cutoff=6.0)
    atoms = mixture(["H2O", "NH3", "H2O"], TRICLINIC, seed=15)
    stress = model.compute(atoms, ["stress"])["stress"]
    volume = atoms.get_volume()
    for k, (x, y) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        direction = np.zeros((3, 3))
        direction[x, y] += 0.5
        direction[y, x] += 0.5

        def energy(strain):
            own = atoms.copy()
            own.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            return model.energy_forces(own)[0]

        assert_close(stress[k], slope(energy, np.zeros((3, 3)), direction) / volume, STRAIN_FD)
    with pytest.raises(ValueError, match="stress needs a cell"):
        model.compute(mixture(["H2O"]), ["stress"])


def test_energy_is_continuous_at_a_smooth_cutoff_and_jumps_at_a_hard_one():
    atoms = mixture(["H2O", "H2O"])
    jumps = []
    for width in (1.0, 0.0):
        model = expansion(width=width, mixed=False)
        energies = []
        for d in (5.5 - 1e-7, 5.5 + 1e-7):
            own = atoms.copy()
            own.positions[3:] = own.positions[:3] + np.array([d, 0, 0])
            energies.append(model.energy_forces(own)[0])
        jumps.append(abs(energies[1] - energies[0]))
    assert jumps[0] < 1e-12
    assert jumps[1] > 1e-3


def test_supercells_images_and_threads():
    model = expansion()
    atoms = mixture(["H2O", "NH3", "H2O"], TRICLINIC, seed=16)
    energy, forces = model.energy_forces(atoms)
    large = atoms.repeat((2, 1, 2))
    results = model.compute(large)
    assert_close(results["energy"], 4 * energy, INVARIANT)
    moved = atoms.copy()
    moved.positions += np.random.default_rng(2).integers(-2, 3, forces.shape) @ TRICLINIC
    own = model.energy_forces(moved)
    assert_close(own[0], energy, INVARIANT)
    assert_close(own[1], forces, INVARIANT)
    other = expansion(threads=3).compute(large)
    for name, value in results.items():
        assert_close(other[name], value, EXACT)


def test_a_cell_that_is_periodic_in_one_direction():
    model = expansion()
    atoms = mixture(["H2O", "NH3"], np.diag([5.0, 5.0, 5.0]), seed=17)
    atoms.pbc = (False, True, False)
    chain = ase.Atoms(pbc=False)
    for k in range(-4, 5):
        own = atoms.copy()
        own.positions[:, 1] += 5.0 * k
        chain += own
    energies = model.compute(chain, ["energies"])["energies"]
    middle = slice(4 * len(atoms), 5 * len(atoms))
    assert_close(model.compute(atoms, ["energies"])["energies"], energies[middle], INVARIANT)


def test_rigid_motion():
    model = expansion()
    atoms = mixture(["H2O", "NH3", "H2O"], seed=18)
    energy, forces = model.energy_forces(atoms)
    turned = atoms.copy()
    turned.rotate(77, (1, -2, 0.5))
    turned.positions += [3.0, -20.0, 5.0]
    own = model.energy_forces(turned)
    assert_close(own[0], energy, INVARIANT)
    assert_close(np.linalg.norm(own[1], axis=1), np.linalg.norm(forces, axis=1), INVARIANT)
    assert_close(np.cross(atoms.positions, forces).sum(axis=0), np.zeros(3), INVARIANT)


def test_alchemical_scaling_multiplies_sets():
    model = expansion()
    atoms = mixture(["H2O", "NH3", "H2O", "H2O"], TRICLINIC, seed=19)
    entities = model.entities(atoms)
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    for values in model.predict_decomposed(atoms):
        factor = np.ones(len(values.energies))
        if values.order > 1:
            factor *= np.where(values.entities == 1, 0.5, 1.0).prod(axis=1)
        if values.order == 3:
            factor *= np.where(values.entities == 2, 0.0, 1.0).prod(axis=1)
        energy += (factor * values.energies).sum()
        for members, scale, own in zip(values.entities, factor, values.forces, strict=True):
            np.add.at(forces, np.concatenate([entities.atoms_of(e) for e in members]), scale * own)
    results = model.compute(atoms, scaling={1: 0.5, 2: {3: 0.0}})
    assert_close(results["energy"], energy, ROUNDING)
    assert_close(results["forces"], forces, ROUNDING)
    assert abs(energy - model.energy_forces(atoms)[0]) > 1e-3
    for wrong, text in (({7: 0.5}, "entity 7"), ({0: 1.5}, "factor 1.5"), ({0: {4: 0.5}}, "order 4")):
        with pytest.raises(ValueError, match=text):
            model.compute(atoms, scaling=wrong)


class Slow:
    """A GDML model without its record: what any other potential is."""

    def __init__(self, record):
        self._of = ManyBody([Term(components=("all",), model=record)], {"all": record.numbers})

    def energy_forces(self, atoms):
        return self._of.energy_forces(atoms)


class Batches(Slow):
    def compute_batch(self, structures, properties):
        return [self._of.compute(atoms, properties) for atoms in structures]


@pytest.mark.parametrize("kind", [Slow, Batches])
@pytest.mark.parametrize("box", [None, TRICLINIC])
def test_any_potential_serves_as_a_term(kind, box):
    fast = expansion()
    terms = [Term(components=t.components, model=kind(t.model), criterion=t.criterion) for t in fast.terms]
    atoms = mixture(["H2O", "NH3", "H2O", "H2O"], box, seed=20)
    asked = ("energy", "forces", "energies", "orders") + (("stress",) if box is not None else ())
    expected = fast.compute(atoms, asked, scaling={0: 0.7})
    for mixed in (terms, [*fast.terms[:2], *terms[2:]]):
        results = ManyBody(mixed, KINDS).compute(atoms, asked, scaling={0: 0.7})
        for name in asked:
            assert_close(results[name], expected[name], ENGINE)


def test_expansion_of_a_potential_to_all_orders_is_the_potential():
    class Rest:
        """What three molecules add by EMT to the energy of two and one."""

        def __init__(self, n):
            self.n = n

        def energy_forces(self, atoms):
            from itertools import combinations

            energy, forces = 0.0, np.zeros((len(atoms), 3))
            for m in range(1, self.n + 1):
                for chosen in combinations(range(self.n), m):
                    rows = np.concatenate([np.arange(3 * k, 3 * k + 3) for k in chosen])
                    own = atoms[rows]
                    own.calc = EMT()
                    sign = (-1) ** (self.n - m)
                    energy += sign * own.get_potential_energy()
                    forces[rows] += sign * own.get_forces()
            return energy, forces

    model = ManyBody([Term(components=("h2o",) * n, model=Rest(n)) for n in (1, 2, 3)], {"h2o": "OHH"})
    atoms = mixture(["H2O"] * 3, seed=21)
    energy, forces = model.energy_forces(atoms)
    atoms.calc = EMT()
    assert_close(energy, atoms.get_potential_energy(), ROUNDING)
    assert_close(forces, atoms.get_forces(), ROUNDING)


def test_predictions_of_lower_orders_are_removed():
    model = expansion(width=0.0)
    lower = ManyBody([term for term in model.terms if term.order < 3], KINDS)
    atoms = mixture(["H2O", "NH3", "H2O", "H2O"], seed=22)
    entities = model.entities(atoms)
    names = ("h2o", "nh3", "h2o")
    clusters = cut_clusters([atoms], names, entities=entities, criterion=Criterion(measure=SUM, cutoff=7.0))
    rest = lower.remove_from(clusters.labelled(model))
    values = next(own for own in model.predict_decomposed(atoms) if own.components == names)
    assert len(rest) == len(values.energies) > 1
    assert_close(rest.dataset.energy, values.energies, ENGINE)
    assert_close(rest.dataset.forces.reshape(values.forces.shape), values.forces, ENGINE)


def test_several_structures():
    model = expansion()
    several = [mixture(["H2O", "NH3", "H2O"], TRICLINIC, seed=s) for s in range(3)]
    energies, forces = model.predict(several)
    parts = model.predict_decomposed(several)
    added = total(parts, [model.entities(atoms) for atoms in several])
    for s, atoms in enumerate(several):
        energy, own = model.energy_forces(atoms)
        assert_close(energies[s], energy, EXACT)
        assert_close(forces[10 * s : 10 * s + 10], own, EXACT)
        assert_close(added[0][s], energy, ROUNDING)
        assert_close(added[1][s], own, ROUNDING)


def test_parts_as_mbgdml_stores_them_add_up():
    model = expansion()
    several = [mixture(["H2O", "NH3", "H2O"], seed=s, spread=4.0) for s in range(3)]
    found = as_predictions(model, from_atoms(several))
    assert list(found.energies) == [1, 2, 3]
    assert found.comp_ids == ("h2o", "nh3", "h2o")
    for atoms, energy, forces in zip(several, *found.total(), strict=True):
        own = model.energy_forces(atoms)
        assert_close(energy, own[0], ROUNDING)
        assert_close(forces, own[1], ROUNDING)
    orders = [model.compute(atoms, ["orders"])["orders"] for atoms in several]
    assert_close(found.total((2,))[0], np.array(orders)[:, 1], ROUNDING)
    with pytest.raises(ValueError, match="all of the same atoms"):
        as_predictions(model, from_atoms([several[0], molecule("H2O")]))


def test_copies_and_pickles():
    model = expansion()
    atoms = mixture(["H2O", "NH3", "H2O"], seed=23)
    energy = model.energy_forces(atoms)[0]
    trained = ManyBody([Term(components=("h2o",), model=GDML.from_record(model.terms[0].record))], KINDS)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert_close(other.energy_forces(atoms)[0], energy, EXACT)
    assert pickle.loads(pickle.dumps(trained)).energy_forces(atoms)[0] == trained.energy_forces(atoms)[0]


def test_files_keep_what_terms_were_trained_with(tmp_path):
    model = GDML.from_record(made_record(("h2o",)), lam=1e-7)
    ManyBody([Term(components=("h2o",), model=model)], KINDS).save(tmp_path / "water.atomcore")
    assert ManyBody.load(tmp_path / "water.atomcore").terms[0].model.lam == 1e-7


def test_wrong_models_and_structures_are_refused_in_words():
    record = made_record(("h2o", "h2o"))
    cases = [
        (lambda: Term(components="h2o", model=record), "a sequence of names"),
        (lambda: Term(components=("h2o",), model=record, criterion=5.0), "accepted: a Criterion"),
        (lambda: ManyBody([]), "terms is empty"),
        (lambda: ManyBody([record]), "terms holds a GdmlRecord; accepted: Term alone"),
        (lambda: expansion().compute(molecule("H2O"), scaling=[1.0]), "scaling is list; accepted: a mapping"),
        (lambda: expansion().compute(molecule("H2O"), scaling={0: "half"}), "has the factor 'half' for order 2"),
        (lambda: ManyBody([Term(components=("h2o", "h2o"), model=record)]), "no GDML model of a single molecule"),
        (lambda: ManyBody([Term(components=("water",), model=record)], KINDS), "component 'water' is unknown"),
        (lambda: ManyBody([Term(components=("nh3", "h2o"), model=record)], KINDS), "has the atomic numbers"),
        (lambda: expansion().compute(molecule("CH4")), "begins no molecule"),
        (lambda: expansion().compute(molecule("H2O"), ["enrgy"]), "properties must be among"),
        (lambda: expansion().compute(molecule("H2O"), "energy"), "sequence of names"),
        (lambda: ManyBody([Term(components=("h2o",), model=3)], KINDS).compute(molecule("H2O")), "potential is int"),
    ]
    for call, text in cases:
        with pytest.raises((ValueError, TypeError), match=text):
            call()
    model = expansion()
    lost = mixture(["H2O", "NH3"])
    lost.positions[2, 1] = np.nan
    with pytest.raises(ValueError, match="positions must be finite"):
        model.compute(lost)
    double = molecule("H2O") + molecule("H2O")
    with pytest.raises(ValueError, match=r"the set of the entities 0, 1, atoms counted in it: .* atoms 0 and 3"):
        model.compute(double)
    isomers = ManyBody([Term(components=("a",), model=EMT())], {"a": "OHH", "b": "OHH"})
    with pytest.raises(ValueError, match="same atoms"):
        isomers.compute(molecule("H2O"))


def test_infinite_sums_are_refused():
    model = ManyBody([Term(components=("h2o", "h2o"), model=made_record(("h2o", "h2o")))], KINDS)
    atoms = mixture(["H2O", "H2O"], np.diag([9.0, 9.0, 9.0]))
    with pytest.raises(ValueError, match="infinitely many"):
        model.compute(atoms)
    atoms.pbc = False
    assert model.compute(atoms, ["orders"])["orders"].shape == (2,)


# ---- against mbGDML

EV = kcal / mol  # of a kcal/mol
TRAINED = Tolerance(1e-4, 0.0)  # eV/A, at what was trained on
COEFFICIENTS = Tolerance(4e-3, 0.0)  # kcal/mol: the coefficients of these models reach 1e16
COEFFICIENTS_FORCES = Tolerance(1e-2, 0.0)  # kcal/mol/A


def water_models(threads=1):
    """Return the shared models of water from one to three bodies, in eV."""
    terms = []
    for n, cutoff in ((1, None), (2, 6.0), (3, 10.0)):
        with np.load(shared_data("mbgdml_models_500") / f"{n}h2o.npz", allow_pickle=True) as data:
            record = GdmlRecord(
                numbers=data["z"],
                sigma=float(data["sig"]),
                scale=float(data["std"]) * EV,
                constant=float(data["c"]) * EV,
                descriptors=data["R_desc"].T,
                derivative_coefficients=data["R_d_desc_alpha"],
                permutations=data["perms"],
            )
        criterion = None if cutoff is None else Criterion(measure=SUM, cutoff=cutoff)
        terms.append(Term(components=("h2o",) * n, model=record, criterion=criterion))
    return ManyBody(terms, threads=threads)


def test_water_16mer_of_mbgdml():
    model = water_models()
    with np.load(shared_data("water_mp2") / "16h2o.npz") as data:
        atoms = ase.Atoms(data["Z"], data["R"][0])
        reference = data["E"][0]
    results = model.compute(atoms, ("energy", "orders"))
    assert_close(results["energy"] / EV, MBGDML_16MER[2], COEFFICIENTS)
    assert_close(np.cumsum(results["orders"]) / EV, MBGDML_16MER, COEFFICIENTS)
    assert abs(results["energy"] / EV - reference) < 10  # of 7.7e5: MP2 itself


# by mbGDML 0.1.1 with the same models, kcal/mol: one body, one and two, all
MBGDML_16MER = [-766188.3543017787, -766338.8237565713, -766368.033020084]
MBGDML_HEXAMERS = [
    [-287320.7127447, -287320.86112397, -287320.85039932, -287320.79886534, -287320.94645294, -287320.67578736],
    [-287366.00791582, -287365.58884049, -287362.42396593, -287362.48393824, -287359.20563999, -287361.60904852],
    [-287372.29956086, -287372.21281219, -287371.36434903, -287370.94109146, -287370.53481271, -287370.43522972],
]


def test_water_hexamers_of_mbgdml():
    model = water_models()
    with np.load(shared_data("water_mp2") / "6h2o.npz") as data:
        several = [ase.Atoms(data["Z"], R) for R in data["R"][:6]]
    found = np.array([model.compute(atoms, ["orders"])["orders"] for atoms in several])
    assert_close(np.cumsum(found, axis=1).T / EV, MBGDML_HEXAMERS, COEFFICIENTS)


def test_water_forces_are_those_that_mbgdml_sums():
    """Forces of the first molecule of the first hexamer by mbGDML 0.1.1, kcal/mol/A."""
    model = water_models()
    with np.load(shared_data("water_mp2") / "6h2o.npz") as data:
        atoms = ase.Atoms(data["Z"], data["R"][0])
    forces = model.energy_forces(atoms)[1] / EV
    assert_close(forces[:3], MBGDML_FORCES, COEFFICIENTS_FORCES)
    sets = find_sets(atoms, model.entities(atoms), ("h2o",) * 3, model.terms[2].criterion)
    assert len(sets.values) == 20


MBGDML_FORCES = [[1.268409, 4.324969, -3.005858], [-0.660689, 0.179341, 3.05743], [-0.106228, -4.235014, 0.573884]]


def test_terms_are_trained_on_clusters():
    frames = [mixture(["H2O", "H2O", "H2O"], seed=s, spread=3.5) for s in range(30)]
    for s, atoms in enumerate(frames):
        atoms.rattle(0.05, seed=s)
    entities = Entities.consecutive(frames[0].numbers, KINDS)
    criterion = Criterion(measure=SUM, cutoff=20.0)
    model = ManyBody(
        [
            Term(components=("h2o",), model=GDML(sigma=5.0)),
            Term(components=("h2o", "h2o"), model=GDML(sigma=5.0), criterion=criterion),
        ],
        {"h2o": "OHH"},
    )
    with pytest.raises(ValueError, match="the model of h2o is not trained; call fit first"):
        model.compute(frames[0])
    cut = [cut_clusters(frames, ("h2o",) * n, entities=entities) for n in (1, 2)]
    labelled = [own.labelled(expansion(mixed=False)) for own in cut]
    parts = decompose(labelled)
    with pytest.raises(ValueError, match=r"clusters has h2o; accepted: one for each term, h2o, h2o\+h2o"):
        model.fit(parts[:1])
    assert model.fit(parts, progress=False) is model
    energies, forces = model.predict(cut[1])
    assert labelled[1].dataset.forces.std() > 1000 * TRAINED.atol
    assert_close(forces, labelled[1].dataset.forces, TRAINED)
    pair = cut[1].dataset[4]
    alone = model.terms[1].model.predict(pair)[0] + sum(model.terms[0].model.predict([pair[:3], pair[3:]])[0])
    assert_close(energies[4], alone[0], ENGINE)
    model.terms[0].model.fit(parts[0].dataset.subset(range(10)), progress=False)  # from then on it is another
    assert abs(model.compute(pair)["energy"] - energies[4]) > 1e-6
    with pytest.raises(TypeError, match="has no fit"):
        ManyBody([Term(components=("h2o",), model=EMT())], KINDS).fit(cut[:1])


# ---- in files


@pytest.mark.parametrize("box", [None, TRICLINIC])
def test_saved_models_run_in_the_engine(box, tmp_path):
    model = expansion(threads=2)
    model.save(tmp_path / "model.atomcore")
    potential = Potential.load(tmp_path / "model.atomcore")
    atoms = mixture(["H2O", "NH3", "H2O", "H2O"], box, seed=24)
    asked = ("energy", "forces", "energies") + (("stress",) if box is not None else ())
    expected = model.compute(atoms, asked)
    again = ManyBody.load(tmp_path / "model.atomcore")
    for other in (potential, pickle.loads(pickle.dumps(potential)), again):
        results = other.compute(atoms, asked)
        for name in asked:
            assert_close(results[name], expected[name], EXACT)
    batch = potential.compute_batch([atoms, molecule("H2O")], ("energy",))
    assert_close(batch[0]["energy"], expected["energy"], EXACT)
    assert (potential.kind, potential.capability) == ("many_body", "global")
    assert repr(again) == repr(model)
    with pytest.raises(ValueError, match="structure 1: atom 0"):
        potential.compute_batch([atoms, molecule("CH4")])
    with pytest.raises(ValueError, match="knows no spread"):
        potential.compute(atoms, ["energy_spread"])


def test_calculator_of_a_saved_model_conserves_energy(tmp_path):
    model = expansion(mixed=False, width=1.5)
    model.save(tmp_path / "model.atomcore")
    atoms = mixture(["H2O", "H2O", "H2O"], seed=25, spread=4.0)
    atoms.calc = Calculator(tmp_path / "model.atomcore")
    assert_close(atoms.get_potential_energy(), model.energy_forces(atoms)[0], EXACT)
    start = atoms.get_potential_energy()
    VelocityVerlet(atoms, 0.05 * fs).run(100)
    moved = atoms.get_potential_energy() - start
    assert abs(moved) > 1e-4  # something happens
    assert abs(atoms.get_total_energy() - start) < 1e-2 * abs(moved)


def test_a_network_serves_as_a_term_in_a_file(tmp_path):
    network = Potential.load(random_model(("H", "O"), reference=(-1.0, -2.0)).write(tmp_path / "network.atomcore"))
    components = {"h2o": "OHH"}
    criterion = Criterion(measure=SUM, cutoff=5.0, width=1.0)
    terms = [
        Term(components=("h2o",), model=made_record(("h2o",))),
        Term(components=("h2o", "h2o"), model=network, criterion=criterion),
    ]
    model = ManyBody(terms, components)
    model.save(tmp_path / "model.atomcore")
    atoms = mixture(["H2O", "H2O", "H2O"], seed=26, spread=3.0)
    energy, forces = model.energy_forces(atoms)
    for other in (Potential.load(tmp_path / "model.atomcore"), ManyBody.load(tmp_path / "model.atomcore")):
        own = other.energy_forces(atoms)
        assert_close(own[0], energy, ENGINE)
        assert_close(own[1], forces, ENGINE)
    with pytest.raises(TypeError, match="the term h2o is EMT; accepted in a model file"):
        ManyBody([Term(components=("h2o",), model=EMT())], components).save(tmp_path / "other.atomcore")
    assert not (tmp_path / "other.atomcore").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["terms"][1].update(components=["h2o", "xx"]), "the component 'xx', which is not there"),
        (lambda m: m["terms"][1].update(components=["h2o"]), "of H 4, O 2 where its components are of H 2, O 1"),
        (lambda m: m["terms"][1]["criterion"].update(measure="odd"), "odd"),
        (lambda m: m["terms"][1]["criterion"].update(cutoff=-1.0), "bounds of a criterion make no sense"),
        (lambda m: m["components"][0].update(masses=[1.0]), "'masses' and 'atoms' of a component do not fit"),
        (lambda m: m["components"][0].update(masses=[1.0, 0.0, 1.0]), "must be positive numbers"),
        (lambda m: m.update(terms=[]), "'terms' is empty"),
        (lambda m: m["terms"][0].update(model={**m, "terms": []}), "a many-body expansion itself"),
        (lambda m: m.update(capability="local"), "'capability' is 'local'"),
        (lambda m: m["terms"][0]["model"].update(kind="magic"), "magic"),
    ],
)
def test_damaged_files_are_refused_in_words(change, message, tmp_path):
    expansion(mixed=False).save(tmp_path / "model.atomcore")
    metadata, tensors = model_file.read(tmp_path / "model.atomcore")
    change(metadata)
    with pytest.raises(AtomcoreError, match=message):
        model_file.write(tmp_path / "other.atomcore", tensors, metadata)


@NEEDS_SOURCES
def test_example_of_water(capsys):
    folder = shared_data("water_mp2").parent
    shared_data("mbgdml_models_500")
    spec = importlib.util.spec_from_file_location("water", REPOSITORY / "examples" / "water_many_body.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    errors = np.abs(example.main(folder, monomers=100, per_frame=20, steps=20)).mean(axis=0)
    assert errors[0] > 40  # kcal/mol, of molecules by themselves
    assert errors[1] < 12
    assert errors[2] < 2
    assert "20 steps" in capsys.readouterr().out


def test_files_of_the_same_sets_do_not_count_twice(tmp_path):
    paths = [tmp_path / "1.npz", tmp_path / "again.npz"]
    record = made_record(("h2o",))
    for path in paths:
        held = {name: getattr(record, name) for name in ModelFile.__dataclass_fields__ if hasattr(record, name)}
        write_model_file(ModelFile(**held, comp_ids=("h2o",)), path, dialect="mbgdml")
    with pytest.raises(ValueError, match=r"again\.npz, a second model of h2o; accepted: one"):
        read_many_body(paths)
    with pytest.raises(TypeError, match=r"paths is '.*1\.npz'; accepted: a sequence of paths"):
        read_many_body(paths[0])


def test_models_of_mbgdml_are_read_as_one_expansion():
    folder = shared_data("mbgdml_models_500")
    paths = [folder / f"{n}h2o.npz" for n in (1, 2, 3)]
    model = read_many_body(paths)
    assert [term.criterion for term in model.terms] == [term.criterion for term in water_models().terms]
    with np.load(shared_data("water_mp2") / "6h2o.npz") as data:
        atoms = ase.Atoms(data["Z"], data["R"][0])
    orders = model.compute(atoms, ["orders"])["orders"]
    assert_close(np.cumsum(orders) / EV, [row[0] for row in MBGDML_HEXAMERS], COEFFICIENTS)
    hard = [None, None, Criterion(measure=FARTHEST, cutoff=3.0)]
    assert read_many_body(paths, criteria=hard).terms[2].criterion == hard[2]
    with pytest.raises(ValueError, match="criteria has 1 entries for 3"):
        read_many_body(paths, criteria=[None])


def test_info_says_what_the_terms_are(tmp_path, capsys):
    expansion(mixed=False).save(tmp_path / "model.atomcore")
    main(["info", str(tmp_path / "model.atomcore")])
    printed = capsys.readouterr().out
    assert "component   h2o, in this order: O H H" in printed
    assert "term        h2o: gdml\n" in printed
    assert "term        h2o + h2o: gdml; measure centre_distance_sum, cutoff 5.5, width 1\n" in printed
