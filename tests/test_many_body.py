"""Many-body expansions: the compiled sum against its parts and its definition, derivatives, cells, other potentials."""

import copy
import pickle

import ase
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT

from atomcore.data import Criterion, Entities, cut_clusters, from_atoms
from atomcore.interop.sgdml import as_predictions
from atomcore.models import GDML, ManyBody, Term
from atomcore.models.many_body import total
from helpers import slope
from many_body_cases import FARTHEST, SUM, TRICLINIC, by_definition, expansion, made_record
from test_clusters import KINDS, mixture
from tolerances import ENGINE, EXACT, FORCES_FD, INVARIANT, ROUNDING, STRAIN_FD, assert_close


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
