"""Features against other codes: torchani, DScribe, and numbers recorded from ML4Chem."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from atomcore.features import ANI, Gaussian, SymmetryFunctions
from helpers import shared_data
from structures import water_crystal
from tolerances import PEER, REFERENCE, assert_close


@pytest.fixture
def torchani(monkeypatch):
    """Return torchani, made to build its constants in double precision."""
    monkeypatch.setenv("TORCHANI_NO_WARN_EXTENSIONS", "1")
    torch = pytest.importorskip("torch", reason="torchani needs torch")
    module = pytest.importorskip("torchani", reason="torchani is not installed: no peer for the ANI features")
    monkeypatch.setattr(torch, "float", torch.float64)  # its terms name this type for their buffers
    torch.set_default_dtype(torch.float64)
    yield module
    torch.set_default_dtype(torch.float32)


def torchani_features(torchani, name: str, f: ANI, atoms: Atoms) -> np.ndarray:
    import torch

    kind = torchani.aev.AEVComputer
    computer = (
        kind.like_1x(num_species=len(f.elements)) if name == "ani1x" else kind.like_2x(num_species=len(f.elements))
    )
    assert computer.radial.shifts.dtype == torch.float64
    species = torch.tensor([[f.elements.index(symbol) for symbol in atoms.symbols]])
    periodic = {"cell": torch.tensor(np.asarray(atoms.cell)), "pbc": torch.tensor(atoms.pbc)} if atoms.pbc.any() else {}
    return computer(species, torch.from_numpy(atoms.positions)[None], **periodic)[0].numpy()


def periodic_box() -> Atoms:
    """Return ethanol and water in an axis-aligned cell, some atoms near its faces."""
    atoms = molecule("CH3CH2OH")
    water = molecule("H2O")
    water.positions += [2.6, 1.9, 2.4]
    atoms += water
    atoms.set_cell([6.4, 5.9, 7.1])
    atoms.pbc = True
    atoms.wrap()
    return atoms


@pytest.mark.parametrize("name", ["ani1x", "ani2x"])
@pytest.mark.parametrize("case", ["CH3CH2OH", "C2H2", "CO2", "HCOOH", "CH3NO2", "OCHCHO", "box"])
def test_ani_features_equal_torchani(torchani, name, case):
    f = ANI.ani1x() if name == "ani1x" else ANI.ani2x()
    atoms = periodic_box() if case == "box" else molecule(case)
    assert_close(f.compute(atoms), torchani_features(torchani, name, f, atoms), PEER)


def test_every_element_of_ani2x_stands_where_torchani_puts_it(torchani):
    random = np.random.default_rng(71)
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), -1).reshape(-1, 3)[:21] * 1.6
    atoms = Atoms([*"HCNOSF", "Cl"] * 3, grid + random.uniform(-0.2, 0.2, grid.shape))
    f = ANI.ani2x()
    assert_close(f.compute(atoms), torchani_features(torchani, "ani2x", f, atoms), PEER)


def test_the_order_of_elements_given_is_the_order_of_columns(torchani):
    f = ANI.ani1x(["O", "H"])
    atoms = water_crystal()
    atoms.pbc = False
    assert_close(f.compute(atoms), torchani_features(torchani, "ani1x", f, atoms), PEER)


@pytest.mark.parametrize("kind", ["narrow", "wide"])
@pytest.mark.parametrize("periodic", [False, True])
def test_behler_functions_equal_dscribe(kind, periodic):
    descriptors = pytest.importorskip("dscribe.descriptors", reason="DScribe is not installed: no second oracle")
    radial, angular = [(0.5, 1.0), (0.02, 0.0)], [(0.1, 2, 1), (0.03, 4, -1), (0.2, 1, -1)]
    key = "g4_params" if kind == "narrow" else "g5_params"
    peer = descriptors.ACSF(r_cut=4.5, g2_params=radial, **{key: angular}, species=["H", "O"], periodic=periodic)
    f = SymmetryFunctions(
        ["H", "O"],
        radial=[{"eta": eta, "shift": shift} for eta, shift in radial],
        angular=[{"type": kind, "eta": eta, "zeta": zeta, "lambda": sign} for eta, zeta, sign in angular],
        cutoff=4.5,
    )
    atoms = water_crystal()
    atoms.pbc = periodic
    ours = f.compute(atoms)
    # ours runs over functions and then elements (pairs HH, HO, OO); DScribe: G1 = sum of fc, then G2, for each element
    theirs = peer.create(atoms)
    n_radial, n_angular = len(radial), len(angular)
    expected = np.empty_like(ours)
    for e in range(2):
        expected[:, e : 2 * n_radial : 2] = theirs[:, e * (n_radial + 1) + 1 : (e + 1) * (n_radial + 1)]
    first = 2 * (n_radial + 1)
    for p in range(3):
        expected[:, 2 * n_radial + p :: 3] = theirs[:, first + p * n_angular : first + (p + 1) * n_angular]
    assert_close(ours, expected, PEER)


@pytest.mark.parametrize("periodic", [False, True])
def test_sums_of_cutoffs_and_cosine_waves_equal_dscribe(periodic):
    descriptors = pytest.importorskip("dscribe.descriptors", reason="DScribe is not installed: no second oracle")
    kappas = [0.7, 2.1]
    peer = descriptors.ACSF(r_cut=4.5, g3_params=kappas, species=["H", "O"], periodic=periodic)
    f = SymmetryFunctions(
        ["H", "O"],
        radial=[{"eta": 0.0}, *({"type": "radial_cosine", "kappa": kappa} for kappa in kappas)],
        cutoff=4.5,
    )
    atoms = water_crystal()
    atoms.pbc = periodic
    # DScribe: for each element G1 = sum of fc and then G3
    expected = peer.create(atoms).reshape(len(atoms), 2, 3).transpose(0, 2, 1).reshape(len(atoms), 6)
    assert_close(f.compute(atoms), expected, PEER)


def test_numbers_recorded_from_ml4chem():
    data = np.load(shared_data("claisen") / "claisen.npz", allow_pickle=False)
    atoms = Atoms(data["Z"], data["R"][0])
    f = Gaussian(["C", "H", "O"])  # ML4Chem sorts symbols
    G = f.compute(atoms)
    assert G.shape == (14, 36)
    assert str(atoms.symbols[0]) == "O"
    assert_close(G.sum(), 1061.25969009, REFERENCE, scale=10)  # as many digits as were recorded
    assert_close(G[0, :3], [3.01062301, 3.66925578, 0.0], REFERENCE, scale=10)
    assert_close(G[0, 12:15], [4.30889341, 12.59851457, 0.0], REFERENCE, scale=10)
