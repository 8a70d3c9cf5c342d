"""The ASE calculator: its cache, its copies, and that it needs nothing but numpy and ASE."""

import copy
import pickle
import textwrap

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_stress

from atomcore import Calculator
from atomcore.potential import Potential
from helpers import run_python
from model_builder import random_model
from structures import small_crystal
from tolerances import EXACT, FORCES_FD, assert_close

NAMES = ("energy", "free_energy", "forces", "energies", "stress")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return random_model().write(tmp_path_factory.mktemp("models") / "model.atomcore")


def set_cell(atoms):
    atoms.set_cell(atoms.cell.array * 1.01, scale_atoms=False)


def in_place(atoms):
    atoms.positions[1, 2] += 0.1


def append(atoms):
    atoms.append("H")
    atoms.positions[-1] = (1.1, -1.0, 0.9)


def barely(atoms):
    atoms.positions[0, 0] = np.nextafter(atoms.positions[0, 0], 10)


MUTATIONS = {
    "positions": lambda atoms: atoms.rattle(0.05, seed=7),
    "positions in place": in_place,
    "positions by the smallest step": barely,
    "cell": set_cell,
    "strain": lambda atoms: atoms.set_cell(atoms.cell.array * 0.99, scale_atoms=True),
    "numbers": lambda atoms: atoms.numbers.__setitem__(0, 8),
    "one atom more": append,
    "one atom less": lambda atoms: atoms.__delitem__(1),
    "periodicity": lambda atoms: atoms.set_pbc((True, False, True)),
    "periodicity back": lambda atoms: atoms.set_pbc(True),
}


def results_of(atoms, names):
    return {name: atoms.calc.get_property(name, atoms) for name in names}


def test_cache_is_right_after_every_change(model):
    atoms = small_crystal()
    atoms.calc = Calculator(model)
    atoms.get_forces()
    for what, change in MUTATIONS.items():
        change(atoms)
        names = NAMES if atoms.pbc.all() else NAMES[:-1]
        fresh = atoms.copy()
        fresh.calc = Calculator(model)
        expected = results_of(fresh, names)
        for name, value in results_of(atoms, names).items():
            np.testing.assert_array_equal(value, expected[name], err_msg=f"{name} after a change of {what}")


def test_one_calculator_for_several_structures(model):
    shared = Calculator(model)
    structures = [small_crystal(), small_crystal() * (2, 1, 1), small_crystal()]
    structures[2].rattle(0.1, seed=2)
    expected = [Potential.load(model).energy_forces(atoms) for atoms in structures]
    for _ in range(2):
        for atoms, (energy, forces) in zip(structures, expected, strict=True):
            atoms.calc = shared
            assert_close(atoms.get_forces(), forces, EXACT)
            assert_close(atoms.get_potential_energy(), energy, EXACT)


def test_results_are_copies(model):
    atoms = small_crystal()
    atoms.calc = Calculator(model)
    forces = atoms.get_forces()
    kept = forces.copy()
    forces[:] = 0
    assert_close(atoms.get_forces(), kept, EXACT)
    with pytest.raises(ValueError, match="read-only"):
        atoms.calc.results["forces"][:] = 0
    earlier = atoms.get_forces()
    atoms.rattle(0.1, seed=1)
    atoms.get_forces()
    assert_close(earlier, kept, EXACT)


def test_numbers_that_ase_asks_for(model):
    atoms = small_crystal()
    atoms.calc = Calculator(model)
    results = Potential.load(model).compute(atoms, ("energy", "energies", "forces", "stress"))
    assert atoms.get_potential_energy() == results["energy"]
    assert atoms.get_potential_energy(force_consistent=True) == results["energy"]
    assert_close(atoms.get_potential_energies(), results["energies"], EXACT)
    assert_close(atoms.get_forces(), results["forces"], EXACT)
    assert_close(atoms.get_stress(), results["stress"], EXACT)
    numeric = calculate_numerical_stress(atoms, eps=1e-5)  # ASE's own finite differences
    assert_close(atoms.get_stress(), numeric, FORCES_FD, scale=10)  # of an energy of -5000 eV


def test_stress_without_three_periodic_directions(model):
    atoms = small_crystal()
    atoms.pbc = (True, True, False)
    atoms.calc = Calculator(model)
    atoms.get_forces()
    with pytest.raises(PropertyNotImplementedError, match="periodic in three directions"):
        atoms.get_stress()
    assert np.isfinite(atoms.get_forces()).all()


def test_errors_pass_through_and_leave_a_usable_calculator(model):
    atoms = small_crystal()
    atoms.calc = Calculator(model)
    energy = atoms.get_potential_energy()
    broken = atoms.copy()
    broken.calc = atoms.calc
    broken.positions[0] = np.nan
    for _ in range(2):
        with pytest.raises(ValueError, match="positions"):
            broken.get_potential_energy()
    assert atoms.get_potential_energy() == energy
    with pytest.raises(FileNotFoundError, match="absent"):
        Calculator(model.with_name("absent.atomcore"))


def test_what_a_calculator_is_made_of(model):
    class Model:
        def save(self, path):
            random_model().write(path)

    atoms = small_crystal()
    energies = []
    for source in (model, str(model), Potential.load(model), Model()):
        atoms.calc = Calculator(source)
        energies.append(atoms.get_potential_energy())
    assert len(set(energies)) == 1
    single = Calculator(model, precision="float32", threads=1)
    assert single.get_potential_energy(atoms) != energies[0]
    with pytest.raises(TypeError, match="model must be a path, a Potential or a model with"):
        Calculator(3.0)
    with pytest.raises(ValueError, match="precision"):
        Calculator(Potential.load(model), precision="float32")


def test_copies_and_pickles_give_the_same_bits_without_the_file(model, tmp_path):
    path = tmp_path / "copy.atomcore"
    path.write_bytes(model.read_bytes())
    atoms = small_crystal()
    calculator = Calculator(path, precision="float32", threads=1)
    path.unlink()
    for other in (copy.deepcopy(calculator), pickle.loads(pickle.dumps(calculator))):
        assert other.potential is not calculator.potential
        assert other.get_potential_energy(atoms) == calculator.get_potential_energy(atoms)
        assert np.array_equal(other.get_forces(atoms), calculator.get_forces(atoms))
        assert np.array_equal(copy.deepcopy(other).get_forces(), calculator.get_forces(atoms))
    atoms.calc = calculator
    assert copy.deepcopy(atoms).get_potential_energy() == atoms.get_potential_energy()


def test_engine_runs_where_torch_and_lightning_are_absent(model):
    script = textwrap.dedent(
        f"""
        import sys
        for name in ("torch", "lightning", "pytorch_lightning", "hydra", "torchmetrics", "tensorboard", "safetensors"):
            sys.modules[name] = None  # importing it raises ImportError
        from atomcore.potential import Potential
        assert not any(name.split(".")[0] in ("ase", "scipy") for name in sys.modules)
        potential = Potential.load({str(model)!r})
        import atomcore
        from ase import units
        from ase.build import molecule
        from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
        from ase.md.verlet import VelocityVerlet
        import numpy as np
        atoms = molecule("CH3CH2OH")
        atoms.calc = atomcore.Calculator({str(model)!r})
        MaxwellBoltzmannDistribution(atoms, temperature_K=100, rng=np.random.default_rng(1))
        dynamics = VelocityVerlet(atoms, 0.1 * units.fs)
        start = atoms.get_total_energy()
        dynamics.run(20)
        assert abs(atoms.get_total_energy() - start) < 1e-3, atoms.get_total_energy() - start
        assert potential.energy_forces(atoms)[0] == atoms.get_potential_energy()
        print("done")
        """
    )
    assert run_python(script).strip() == "done"
