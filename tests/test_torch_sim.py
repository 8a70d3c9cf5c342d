"""The model for torch-sim: its interface, the engine's numbers for batches, and runs with its own programs."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.stress import voigt_6_to_full_3x3_stress

from atomcore import ExtrapolationError, Potential
from gdml_data import METHANOL, molecules
from model_builder import graded, random_model, ranged
from structures import family, left_handed, molecule_rattled, small_crystal
from tolerances import EXACT, FLOAT32, assert_close

torch = pytest.importorskip("torch", reason="torch is not installed")
torch_sim = pytest.importorskip("torch_sim", reason="torch-sim is not installed")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return random_model(members=2).write(tmp_path_factory.mktemp("models") / "model.atomcore")


@pytest.fixture(scope="module")
def AtomcoreModel():
    from atomcore.calculators.torch_sim import AtomcoreModel

    return AtomcoreModel


def crystals():
    """Three periodic structures of different sizes, one of them with a left-handed cell."""
    return [small_crystal(), small_crystal() * (2, 1, 1), left_handed()]


def state_of(structures, dtype=torch.float64):
    return torch_sim.io.atoms_to_state(structures, CPU, dtype)


def test_the_interface_is_as_torch_sim_wants_it(AtomcoreModel, tmp_path):
    from torch_sim.models.interface import validate_model_outputs

    path = random_model(("Si", "Fe"), reference=(-100.0, -300.0)).write(tmp_path / "model.atomcore")
    for dtype in (torch.float64, torch.float32):
        model = AtomcoreModel(path, dtype=dtype, compute_stress=False, compute_forces=False)
        validate_model_outputs(model, CPU, dtype)
        assert (model.compute_stress, model.compute_forces) == (True, True)  # it has switched these on
        assert model.memory_scales_with == "n_atoms_x_density"
        assert (model.device, model.dtype) == (CPU, dtype)


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.filterwarnings("ignore:.*Predictions there are guesses")
def test_batches_are_those_of_the_engine_to_the_last_bit(AtomcoreModel, tmp_path, members):
    model = random_model(members=members)
    path = (graded(model) if members == 1 else model).write(tmp_path / "model.atomcore")
    structures, potential = crystals(), Potential.load(path)
    state = state_of(structures)
    output = AtomcoreModel(path, compute_spread=True)(state)
    names = potential.properties
    assert set(output) == set(names) > {"forces_spread" if members == 2 else "extrapolation_grade"}
    for i, atoms in enumerate(structures):
        for name, expected in potential.compute(atoms, names).items():
            whole = name.startswith(("energy", "stress"))
            own = output[name][i] if whole else output[name][state.system_idx == i]
            if name.startswith("stress"):
                expected = voigt_6_to_full_3x3_stress(expected)
            assert_close(own.numpy(), expected, EXACT)


def test_systems_that_are_not_periodic_have_no_stress(AtomcoreModel, path):
    structures = family(3)
    output = AtomcoreModel(path)(state_of(structures))
    assert output["stress"].shape == (3, 3, 3)
    assert torch.isnan(output["stress"]).all()
    assert "forces_spread" not in output
    assert_close(output["forces"][:9].numpy(), Potential.load(path).energy_forces(structures[0])[1], EXACT)
    without = AtomcoreModel(path, compute_stress=False, compute_forces=False)(state_of(structures))
    assert not {"stress", "forces"} & set(without)


def test_single_precision_states(AtomcoreModel, path):
    structures = crystals()
    output = AtomcoreModel(path, dtype=torch.float32)(state_of(structures, torch.float32))
    forces = np.concatenate([Potential.load(path).energy_forces(atoms)[1] for atoms in structures])
    assert {output[name].dtype for name in ("energy", "forces", "stress", "extrapolation_excess")} == {torch.float32}
    assert output["extrapolation"].dtype == torch.int64
    assert_close(output["forces"].numpy(), forces, FLOAT32, scale=np.abs(forces).max())
    with pytest.raises(ValueError, match=r"dtype is torch.float16; accepted: torch.float64, torch.float32"):
        AtomcoreModel(path, dtype=torch.float16)


def test_states_as_dictionaries(AtomcoreModel, path):
    state = state_of(crystals())
    names = ("positions", "cell", "pbc", "atomic_numbers", "system_idx")
    model = AtomcoreModel(path)
    output = model({name: getattr(state, name) for name in names})
    assert_close(output["energy"].numpy(), model(state)["energy"].numpy(), EXACT)


def test_dynamics_conserve_the_energy(AtomcoreModel, path):
    """Of each system, to the second order of the step: half of it leaves a quarter of the error."""
    from torch_sim.units import MetalUnits

    model, structures, errors = AtomcoreModel(path), [bulk_of_carbon(1), bulk_of_carbon(2)], []
    for n in (40, 80):
        initialize, step = torch_sim.nve(model, dt=torch.tensor(0.02 / n * MetalUnits.time), kT=torch.tensor(0.0))
        state = initialize(state_of(structures), kT=torch.tensor(300 * MetalUnits.temperature), seed=1)
        totals = []
        for i in range(n):
            state = step(state)
            if (i + 1) % (n // 4) == 0:
                kinetic = torch_sim.calc_kinetic_energy(
                    masses=state.masses, momenta=state.momenta, system_idx=state.system_idx
                )
                totals.append((state.energy + kinetic).numpy())
        errors.append(np.ptp(totals, axis=0))
    print("errors of the total energies in eV:", errors)
    assert (errors[1] < 0.35 * errors[0]).all()
    assert (errors[0] < 0.01).all()


def bulk_of_carbon(n) -> Atoms:
    atoms = bulk("C", "diamond", a=3.9) * (n, 1, 1)
    atoms.rattle(0.03, seed=n)
    return atoms


def test_relaxation_of_molecules(AtomcoreModel, tmp_path):
    """A batch of one molecule, by a model of that molecule, ends at forces as small as asked for."""
    from atomcore.models import GDML

    data, path = molecules(60, METHANOL), tmp_path / "molecule.atomcore"
    GDML(sigma=5, lam=1e-10, symmetries=False).fit(data, progress=False).save(path)
    model, start = AtomcoreModel(path), state_of([data[i] for i in range(3)])
    assert model.memory_scales_with == "n_atoms"
    final = torch_sim.optimize(
        system=start,
        model=model,
        optimizer=torch_sim.optimizers.fire,
        convergence_fn=torch_sim.generate_force_convergence_fn(0.02, include_cell_forces=False),
        max_steps=200,
    )
    assert (final.energy < model(start)["energy"]).all()
    forces = Potential.load(path).energy_forces(final.to_atoms()[2])[1]
    assert np.linalg.norm(forces, axis=1).max() < 0.02


def test_a_limit_names_the_system_and_keeps_it(AtomcoreModel, tmp_path, monkeypatch):
    import ase.io

    monkeypatch.chdir(tmp_path)
    builder = random_model()
    ranged(builder, [molecule_rattled()])
    path = builder.write(tmp_path / "model.atomcore")
    structures = [molecule_rattled(), molecule_rattled()]
    model = AtomcoreModel(path, extrapolation_limit=0.5)
    model(state_of(structures))
    structures[1].positions[3] += 0.7
    with pytest.raises(ExtrapolationError, match=r"system 1: .* stopped.extxyz has the structure") as caught:
        model(state_of(structures))
    kept = ase.io.read("stopped.extxyz")
    assert_close(kept.arrays["extrapolation_excess"][caught.value.atom], caught.value.excess, FLOAT32)
    structures[1].symbols[2] = "S"
    with pytest.raises(ValueError, match=r"structure 1: .*S"):
        model(state_of(structures))


def test_a_model_of_charges_is_refused(AtomcoreModel, tmp_path):
    path = random_model(target="charges").write(tmp_path / "model.atomcore")
    with pytest.raises(ValueError, match="model predicts charges"):
        AtomcoreModel(path)
