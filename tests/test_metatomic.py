"""Networks saved for metatomic: its calculator gives the engine's numbers, without this package where it runs."""

import sys

import numpy as np
import pytest
from ase import Atoms

from atomcore import Potential
from helpers import run_command
from model_builder import ACTIVATIONS, feature_table, random_model
from structures import STRUCTURES, fragments, molecule_rattled, small_crystal
from tolerances import ENGINE, EXACT, assert_close

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),  # its calculator divides by volumes of 0
]
torch = pytest.importorskip("torch", reason="torch is not installed")
metatomic = pytest.importorskip("metatomic.torch", reason="metatomic is not installed")
MetatomicCalculator = pytest.importorskip("metatomic_ase", reason="metatomic-ase is not installed").MetatomicCalculator


def few_functions(cutoff_function="cosine"):
    """One function of each type for some elements and pairs: TorchScript takes seconds to get ready for all of them."""
    return feature_table(("H", "C", "O"), cutoff_function=cutoff_function)[::7]


def saved(model, folder):
    """Write both files; return the engine and metatomic's calculator."""
    from atomcore.interop.metatomic import save

    path = model.write(folder / "model.atomcore")
    save(path, folder / "model.pt")
    return Potential.load(path), MetatomicCalculator(folder / "model.pt", check_consistency=True)


def assert_same(atoms, potential, calculator):
    names = ["energy", "forces", *(["stress"] if atoms.pbc.all() else [])]
    expected = potential.compute(atoms, names)
    atoms = atoms.copy()
    atoms.calc = calculator
    assert_close(atoms.get_potential_energy(), expected["energy"], ENGINE)
    assert_close(atoms.get_forces(), expected["forces"], ENGINE)
    if "stress" in expected:
        assert_close(atoms.get_stress(), expected["stress"], ENGINE)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return saved(random_model(members=2, table=few_functions()), tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("name", [*STRUCTURES, "fragments", "isolated atom", "larger"])
def test_energy_forces_and_stress_are_those_of_the_engine(pair, name):
    """The one file serves any number of atoms and neighbours, none included."""
    others = {
        "fragments": fragments,
        "isolated atom": lambda: Atoms("H"),
        "larger": lambda: small_crystal() * (3, 2, 1),
    }
    assert_same((STRUCTURES | others)[name](), *pair)


@pytest.mark.parametrize("cutoff_function", ["cosine", "tanh3", "polynomial"])
def test_activations_and_cutoff_functions(tmp_path, cutoff_function):
    names = (*ACTIVATIONS, "identity", "gaussian", "cosine", "exponential", "square")
    chosen = {"cosine": names[:4], "tanh3": names[4:8], "polynomial": names[8:]}[cutoff_function]
    activations = {x: [*(chosen[(i + j) % len(chosen)] for j in range(2)), chosen[-1]] for i, x in enumerate("HCO")}
    model = random_model(activations=activations, table=few_functions(cutoff_function))
    assert_same(molecule_rattled(), *saved(model, tmp_path))


def test_energies_of_atoms_and_of_some_of_them(pair):
    from metatensor.torch import Labels

    potential, calculator = pair
    structures = [molecule_rattled(), small_crystal()]
    expected = [potential.compute(atoms, ["energies"])["energies"] for atoms in structures]
    some = Labels(["system", "atom"], torch.tensor([[0, 5], [0, 2], [1, 3]], dtype=torch.int32))
    by_atom = metatomic.ModelOutput(unit="eV", sample_kind="atom")
    whole = metatomic.ModelOutput(unit="meV", sample_kind="system")
    every = calculator.run_model(structures, {"energy": by_atom})["energy"].block()
    assert_close(every.values.squeeze(1).detach().numpy(), np.concatenate(expected), ENGINE)
    chosen = calculator.run_model(structures, {"energy": by_atom}, some)["energy"].block()
    for (system, atom), energy in zip(chosen.samples.values.tolist(), chosen.values.squeeze(1).tolist(), strict=True):
        assert_close(energy, expected[system][atom], ENGINE)
    assert sorted(chosen.samples.values.tolist()) == [[0, 2], [0, 5], [1, 3]]
    sums = calculator.run_model(structures, {"energy": whole}, some)["energy"].block().values.squeeze(1)
    assert_close(1e-3 * sums.detach().numpy(), [expected[0][5] + expected[0][2], expected[1][3]], ENGINE)


def test_the_file_runs_without_this_package(tmp_path):
    potential, _ = saved(random_model(table=few_functions()), tmp_path)
    code = """
import sys
sys.modules["atomcore"] = None
from ase.build import molecule
from metatomic_ase import MetatomicCalculator
atoms = molecule("CH3CH2OH")
atoms.calc = MetatomicCalculator("model.pt")
print(repr(float(atoms.get_potential_energy())))
"""
    from ase.build import molecule

    energy = float(run_command([sys.executable, "-c", code], cwd=tmp_path, OMP_NUM_THREADS="1"))
    assert_close(energy, potential.energy_forces(molecule("CH3CH2OH"))[0], ENGINE)


def test_what_is_refused(pair, tmp_path):
    from atomcore.interop.metatomic import save
    from atomcore.models import GDML
    from gdml_data import molecules

    charges = random_model(target="charges").write(tmp_path / "charges.atomcore")
    with pytest.raises(ValueError, match="a model of charges; accepted: a model of energies"):
        save(charges, tmp_path / "charges.pt")
    GDML(sigma=5, lam=1e-10, symmetries=False).fit(molecules(5), progress=False).save(tmp_path / "gdml.atomcore")
    with pytest.raises(ValueError, match="gdml"):
        save(tmp_path / "gdml.atomcore", tmp_path / "gdml.pt")
    assert not list(tmp_path.glob("*.pt"))
    with pytest.raises(ValueError, match="does not support the atomic type '16'"):
        assert_close(pair[1].get_potential_energy(Atoms("S")), 0.0, EXACT)
