"""The potential of openmm-ml: the engine's numbers in OpenMM's units, its dynamics, and what it refuses."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase import units
from ase.build import molecule

from atomcore import Potential
from gdml_data import METHANOL, molecules
from model_builder import graded, random_model, ranged
from structures import molecule_rattled, small_crystal
from tolerances import ENGINE, EXACT, assert_close

openmm = pytest.importorskip("openmm", reason="OpenMM is not installed")
MLPotential = pytest.importorskip("openmmml", reason="openmm-ml is not installed").MLPotential
app = openmm.app

ENERGY, LENGTH = units.kJ / units.mol, 10.0  # of OpenMM, in eV and A


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return random_model().write(tmp_path_factory.mktemp("models") / "model.atomcore")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A model that has seen one structure only."""
    model = random_model()
    ranged(model, [molecule_rattled()])
    return model.write(tmp_path_factory.mktemp("models") / "narrow.atomcore")


def crystal():
    """A supercell with the axes that OpenMM wants: triangular and reduced."""
    atoms = small_crystal() * (2, 2, 2)
    atoms.set_cell(atoms.cell.standard_form()[0].array, scale_atoms=True)
    return atoms


def topology_of(atoms):
    topology = app.Topology()
    residue = topology.addResidue("X", topology.addChain())
    for symbol in atoms.symbols:
        topology.addAtom(symbol, app.Element.getBySymbol(symbol), residue)
    if atoms.pbc.all():
        topology.setPeriodicBoxVectors(atoms.cell.array / LENGTH * openmm.unit.nanometer)
    return topology


def context_of(system, atoms, *, platform="Reference", step=5e-4):
    context = openmm.Context(system, openmm.VerletIntegrator(step), openmm.Platform.getPlatformByName(platform))
    context.setPositions(atoms.positions / LENGTH)
    return context


def computed(context, groups=-1):
    state = context.getState(energy=True, forces=True, groups=groups)
    energy = state.getPotentialEnergy().value_in_unit(openmm.unit.kilojoule_per_mole)
    return energy * ENERGY, np.array(state.getForces(asNumpy=True)) * ENERGY / LENGTH


@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("structure", [molecule_rattled, crystal])
def test_energy_and_forces_are_those_of_the_engine(path, structure, platform):
    atoms = structure()
    system = MLPotential("atomcore", modelPath=path).createSystem(topology_of(atoms), removeCMMotion=False)
    force = system.getForce(0)
    assert force.usesPeriodicBoundaryConditions() == atoms.pbc.all()
    energy, forces = computed(context_of(system, atoms, platform=platform))
    expected = Potential.load(path).energy_forces(atoms)
    assert_close(energy, expected[0], ENGINE)
    assert_close(forces, expected[1], ENGINE, scale=np.abs(expected[1]).max())


def test_the_box_of_the_state_counts(path):
    atoms = crystal()
    context = context_of(MLPotential("atomcore", modelPath=path).createSystem(topology_of(atoms)), atoms)
    atoms.set_cell(atoms.cell.array * 1.02, scale_atoms=True)
    context.setPeriodicBoxVectors(*(atoms.cell.array / LENGTH))
    context.setPositions(atoms.positions / LENGTH)
    assert_close(computed(context)[0], Potential.load(path).energy_forces(atoms)[0], ENGINE)


def test_dynamics_conserve_the_energy(path):
    """To the second order of the step: half of it leaves a quarter of the error."""
    atoms, errors = molecule_rattled(), []
    system = MLPotential("atomcore", modelPath=path).createSystem(topology_of(atoms))
    for n in (80, 160):
        context = context_of(system, atoms, step=0.02 / n)
        context.setVelocitiesToTemperature(300, 1)
        totals = []
        for _ in range(4):
            context.getIntegrator().step(n // 4)
            state = context.getState(energy=True)
            total = state.getPotentialEnergy() + state.getKineticEnergy()
            totals.append(total.value_in_unit(openmm.unit.kilojoule_per_mole))
        errors.append(np.ptp(totals))
    print("errors of the total energy in kJ/mol:", errors)
    assert errors[1] < 0.35 * errors[0] < 0.35


def test_contexts_in_several_threads(path):
    atoms = [molecule_rattled() for _ in range(4)]
    for seed, one in enumerate(atoms):
        one.rattle(0.05, seed=seed)
    system = MLPotential("atomcore", modelPath=path).createSystem(topology_of(atoms[0]))
    contexts = [context_of(system, one) for one in atoms]
    expected = [computed(context) for context in contexts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            for found, known in zip(pool.map(computed, contexts), expected, strict=True):
                assert_close(found[0], known[0], EXACT)
                assert_close(found[1], known[1], EXACT)


def waters():
    """Three waters, and their topology with bonds."""
    atoms, topology = molecule("H2O"), app.Topology()
    chain = topology.addChain()
    for x in (2.9, 5.8):
        other = molecule("H2O")
        other.positions[:, 0] += x
        atoms += other
    for _ in range(3):
        residue = topology.addResidue("HOH", chain)
        oxygen, *hydrogens = (
            topology.addAtom(name, app.Element.getBySymbol(name[0]), residue) for name in ("O", "H1", "H2")
        )
        for hydrogen in hydrogens:
            topology.addBond(oxygen, hydrogen)
    atoms.rattle(0.05, seed=2)
    return atoms, topology


@pytest.mark.parametrize("interpolate", [False, True])
def test_some_atoms_by_the_model_and_the_rest_by_a_force_field(path, interpolate):
    atoms, topology = waters()
    forcefield = app.ForceField("amber14/tip3p.xml")
    classical = forcefield.createSystem(topology, constraints=None, rigidWater=False)
    potential = MLPotential("atomcore", modelPath=path)
    mixed = potential.createMixedSystem(topology, classical, [3, 4, 5], forceGroup=7, interpolate=interpolate)
    energy, forces = computed(context_of(mixed, atoms))
    expected = Potential.load(path).energy_forces(atoms[3:6])
    own, own_forces = computed(context_of(classical, atoms))
    alone = forcefield.createSystem(_first_water(topology), constraints=None, rigidWater=False)
    without, without_forces = computed(context_of(alone, atoms[3:6]))
    assert_close(energy, own - without + expected[0], ENGINE)
    own_forces[3:6] += expected[1] - without_forces
    assert_close(forces, own_forces, ENGINE, scale=np.abs(forces).max())


def _first_water(topology):
    modeller = app.Modeller(topology, np.zeros((9, 3)) * openmm.unit.nanometer)
    modeller.delete(list(topology.residues())[1:])
    return modeller.topology


def test_a_serialized_system_contains_the_model(path, tmp_path):
    atoms, copied = molecule_rattled(), tmp_path / "model.atomcore"
    copied.write_bytes(path.read_bytes())
    system = MLPotential("atomcore", modelPath=copied).createSystem(topology_of(atoms))
    energy, _ = computed(context_of(system, atoms))
    text = openmm.XmlSerializer.serialize(system)
    copied.unlink()
    again, _ = computed(context_of(openmm.XmlSerializer.deserialize(text), atoms))
    assert_close(again, energy, EXACT)


def test_a_limit_stops_the_simulation_and_keeps_the_structure(narrow, tmp_path, monkeypatch):
    import ase.io

    monkeypatch.chdir(tmp_path)
    atoms = molecule_rattled()
    system = MLPotential("atomcore", modelPath=narrow, extrapolation_limit=0.1).createSystem(topology_of(atoms))
    context = context_of(system, atoms)
    computed(context)
    atoms.positions[0] += 0.5
    context.setPositions(atoms.positions / LENGTH)
    with pytest.raises(openmm.OpenMMException, match=r"extrapolation_limit is 0.1; stopped.extxyz has the structure"):
        computed(context)
    kept = ase.io.read("stopped.extxyz")
    assert_close(kept.positions, atoms.positions, ENGINE, scale=100)  # as written, with eight decimals
    assert kept.arrays["extrapolation_excess"].max() > 0.1
    atoms.positions[0] = np.nan
    context.setPositions(atoms.positions / LENGTH)
    with pytest.raises(openmm.OpenMMException, match="positions must be finite"):
        computed(context)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.filterwarnings("ignore:.*Predictions there are guesses")
def test_the_reporter_says_how_far_a_run_extrapolates(tmp_path, members):
    """Of all atoms, or of some: then as if these were alone."""
    from atomcore.calculators.openmm import ExtrapolationReporter

    model = random_model(members=members)
    ranged(model, [molecule_rattled()])
    path = (graded(model) if members == 1 else model).write(tmp_path / "model.atomcore")
    atoms, potential, some = molecule_rattled(), Potential.load(path), [0, 3, 4]
    topology = topology_of(atoms)
    simulation = app.Simulation(
        topology, MLPotential("atomcore", modelPath=path).createSystem(topology), openmm.VerletIntegrator(5e-4)
    )
    simulation.context.setPositions(atoms.positions / LENGTH)
    simulation.reporters.append(ExtrapolationReporter(tmp_path / "all.csv", 5, path))
    simulation.reporters.append(ExtrapolationReporter(tmp_path / "some.csv", 10, potential, atoms=some))
    simulation.step(20)
    atoms.positions = np.array(simulation.context.getState(positions=True).getPositions(asNumpy=True)) * LENGTH
    for name, steps, structure in (("all", "5 10 15 20", atoms), ("some", "10 20", atoms[some])):
        header, *rows = (tmp_path / f"{name}.csv").read_text().splitlines()
        last = {"extrapolation_grade_max": "extrapolation_grade", "forces_spread_max_eV_per_A": "forces_spread"}
        column = list(last)[members - 1]
        assert header == f"step,extrapolating_atoms,extrapolation_excess_max,{column}"
        assert [row.split(",")[0] for row in rows] == steps.split()
        results = potential.compute(structure, ("extrapolation", "extrapolation_excess", last[column]))
        worst = results[last[column]]
        expected = (
            np.count_nonzero(results["extrapolation"]),
            results["extrapolation_excess"].max(),
            worst.max() if members == 1 else np.linalg.norm(worst, axis=1).max(),
        )
        assert expected[0] > 0
        assert_close(np.array(rows[-1].split(",")[1:], float), expected, ENGINE)
    with pytest.raises(ValueError, match="reportInterval is 0"):
        ExtrapolationReporter(tmp_path / "x.csv", 0, path)


def test_a_model_of_a_molecule_takes_it_out_of_its_box(tmp_path):
    from atomcore.models import GDML

    data = molecules(20, METHANOL)
    path = tmp_path / "molecule.atomcore"
    GDML(sigma=5, lam=1e-10, symmetries=False).fit(data, progress=False).save(path)
    atoms = data[0]
    atoms.set_cell(np.eye(3) * 20)
    atoms.pbc = True
    potential = MLPotential("atomcore", modelPath=path)
    system = potential.createSystem(topology_of(atoms))
    assert not system.getForce(0).usesPeriodicBoundaryConditions()
    energy, _ = computed(context_of(system, atoms))
    assert_close(energy, Potential.load(path).energy_forces(data[0])[0], ENGINE)
    with pytest.raises(ValueError, match="the model is of the molecule C O H H H H in this order, got O C"):
        potential.createSystem(topology_of(atoms[[1, 0, 2, 3, 4, 5]]))


def test_what_is_refused(path, tmp_path):
    atoms = molecule_rattled()
    potential = MLPotential("atomcore", modelPath=path)
    with pytest.raises(ValueError, match="periodic is True for a topology without box vectors"):
        potential.createSystem(topology_of(atoms), periodic=True)
    with pytest.raises(TypeError, match="createSystem got extrapolation_limit, threads; accepted where"):
        potential.createSystem(topology_of(atoms), threads=1, extrapolation_limit=0.1)
    atoms.symbols[1] = "S"
    with pytest.raises(ValueError, match=r"atom 1 \(S\) has the element S; accepted: H, C, O"):
        potential.createSystem(topology_of(atoms))
    topology = topology_of(molecule_rattled())
    topology.addAtom("EP", None, next(topology.residues()))
    with pytest.raises(ValueError, match=r"atom 9 \(EP\) has no element"):
        potential.createSystem(topology)
    with pytest.raises(FileNotFoundError, match="absent"):
        MLPotential("atomcore", modelPath=tmp_path / "absent.atomcore")
    with pytest.raises(TypeError, match="modelPath"):
        MLPotential("atomcore")
    charges = random_model(target="charges").write(tmp_path / "charges.atomcore")
    with pytest.raises(ValueError, match="model of charges"):
        MLPotential("atomcore", modelPath=charges)
