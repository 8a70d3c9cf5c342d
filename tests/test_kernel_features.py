"""Features of whole molecules: conventions beside DScribe's, exact Jacobians, invariances, periodic images."""

import json
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from atomcore.features import CoulombMatrix, DScribe, InverseDistances, SymmetryFunctions, from_metadata
from helpers import run_python, slope
from tolerances import FEATURES_FD, INVARIANT, PEER, REFERENCE, assert_close

FEATURES = [
    InverseDistances(),
    CoulombMatrix(),
    CoulombMatrix("raw", length_unit="bohr", exponent=2.0),
    CoulombMatrix("raw", n_atoms_max=11),
    CoulombMatrix("sorted"),
    CoulombMatrix("sorted", n_atoms_max=12),
    CoulombMatrix("eigenvalues"),
    CoulombMatrix("eigenvalues", n_atoms_max=10),
]


def ethanol(seed: int = 0) -> Atoms:
    atoms = molecule("CH3CH2OH")
    atoms.positions += np.random.default_rng(seed).normal(size=(9, 3)) * 0.05
    return atoms


def moved(atoms: Atoms, displacements: np.ndarray) -> Atoms:
    copy = atoms.copy()
    copy.positions += displacements
    return copy


def check_jacobian(features, atoms: Atoms) -> None:
    """Compare with differences along single coordinates and along a random direction."""
    x, J = features.compute(atoms, jacobian=True)
    np.testing.assert_array_equal(x, features.compute(atoms))
    assert J.shape == (*x.shape, len(atoms), 3)
    steps = [*np.eye(3 * len(atoms))[:6], np.random.default_rng(1).normal(size=3 * len(atoms))]
    for step in steps:
        v = step.reshape(-1, 3)
        expected = slope(lambda t, v=v: features.compute(moved(atoms, t * v)), 0.0, 1.0, 1e-4)
        assert_close(np.einsum("...nc,nc->...", J, v), expected, FEATURES_FD, scale=max(1.0, np.abs(J).max()))


@pytest.mark.parametrize("features", FEATURES, ids=repr)
def test_jacobian(features):
    check_jacobian(features, ethanol())


@pytest.mark.parametrize("features", FEATURES, ids=repr)
def test_rotation_and_translation(features):
    atoms, turned = ethanol(), ethanol()
    turned.rotate(40, (1, 2, 3))
    turned.translate((3, -1, 2))
    scale = np.abs(features.compute(atoms)).max()
    assert_close(features.compute(turned), features.compute(atoms), INVARIANT, scale=scale)


@pytest.mark.parametrize("kind", ["sorted", "eigenvalues"])
def test_the_order_of_atoms_does_not_matter(kind):
    atoms, features = ethanol(), CoulombMatrix(kind)
    order = np.random.default_rng(2).permutation(9)
    x, J = features.compute(atoms, jacobian=True)
    other_x, other_J = features.compute(atoms[order], jacobian=True)
    assert_close(other_x, x, INVARIANT, scale=x.max())
    assert_close(other_J, J[:, order], INVARIANT, scale=x.max())


@pytest.mark.parametrize(
    ("kind", "permutation"), [("raw", "none"), ("sorted", "sorted_l2"), ("eigenvalues", "eigenspectrum")]
)
@pytest.mark.parametrize("name", ["CH3CH2OH", "C60", "H2", "bicyclobutane"])
def test_coulomb_matrices_are_those_of_dscribe(kind, permutation, name):
    descriptors = pytest.importorskip("dscribe.descriptors", reason="compares with DScribe")
    atoms = molecule(name)
    atoms.positions += np.random.default_rng(0).normal(size=atoms.positions.shape) * 0.05
    expected = descriptors.CoulombMatrix(n_atoms_max=61, permutation=permutation).create(atoms)
    if kind != "eigenvalues":
        expected = expected.reshape(61, 61)[np.tril_indices(61)]
    assert_close(CoulombMatrix(kind, n_atoms_max=61).compute(atoms), expected, PEER, scale=np.abs(expected).max())


def test_coulomb_matrix_of_two_atoms():
    """The numbers of the formula, in both units of length."""
    atoms = Atoms("HO", [[0, 0, 0], [0, 0, 0.5]])
    assert_close(CoulombMatrix().compute(atoms), np.array([0.5, 16.0, 0.5 * 8**2.4]), PEER)
    bohr = CoulombMatrix(length_unit="bohr").compute(atoms)
    assert_close(bohr, np.array([0.5, 16.0 * 0.529177210903, 0.5 * 8**2.4]), REFERENCE)
    assert CoulombMatrix().labels_for(2) == ["C(0,0)", "C(1,0)", "C(1,1)"]
    assert CoulombMatrix("eigenvalues", n_atoms_max=3).labels_for(2) == [f"eigenvalue {k}" for k in range(3)]


def test_padding_is_zero_and_larger_molecules_are_refused():
    water = molecule("H2O")
    for kind, size in (("raw", 15), ("sorted", 15), ("eigenvalues", 5)):
        x, J = CoulombMatrix(kind, n_atoms_max=5).compute(water, jacobian=True)
        own = CoulombMatrix(kind).compute(water)
        assert (x.shape, J.shape) == ((size,), (size, 3, 3))
        np.testing.assert_array_equal(x[: len(own)], own)
        assert not x[len(own) :].any()
        assert not J[len(own) :].any()
        with pytest.raises(ValueError, match="atoms has 9 atoms; accepted: at most 5"):
            CoulombMatrix(kind, n_atoms_max=5).compute(ethanol())


def test_equal_eigenvalues_are_said():
    methane = molecule("CH4")
    with pytest.warns(UserWarning, match="2 eigenvalues of the Coulomb matrix are equal"):
        x, J = CoulombMatrix("eigenvalues").compute(methane, jacobian=True)
    v = np.random.default_rng(0).normal(size=(5, 3))
    total = slope(lambda t: CoulombMatrix("eigenvalues").compute(moved(methane, t * v)).sum(), 0.0, 1.0, 1e-4)
    assert_close(np.einsum("knc,nc->", J, v), total, FEATURES_FD, scale=x.max())


def test_inverse_distances_stand_in_the_order_of_sgdml():
    atoms = molecule("H2O")
    x, J = InverseDistances().compute(atoms, jacobian=True)
    d = atoms.get_all_distances()
    assert_close(x, 1 / np.array([d[1, 0], d[2, 0], d[2, 1]]), PEER)
    assert InverseDistances().labels_for(3) == ["1/r(1,0)", "1/r(2,0)", "1/r(2,1)"]
    compressed = (atoms.positions[1] - atoms.positions[0]) / d[1, 0] ** 3  # sGDML's: in the atom of lower index
    assert_close(J[0, 0], compressed, PEER)
    assert_close(J[0, 1], -compressed, PEER)


# ---- periodic structures


def periodic(pbc=True) -> Atoms:
    atoms = ethanol()
    atoms.set_cell([[6, 0, 0], [5, 5, 0], [1, 2, 7]])
    atoms.pbc = pbc
    atoms.positions[3] += atoms.cell[0] - 2 * atoms.cell[1]
    return atoms


@pytest.mark.parametrize("image", ["shortest", "fractional"])
def test_jacobian_in_a_cell(image):
    check_jacobian(InverseDistances(image=image), periodic())


@pytest.mark.parametrize("pbc", [True, [True, True, False], [False, False, True]])
def test_the_shortest_image(pbc):
    atoms = periodic(pbc)
    shifts = np.array(list(np.ndindex(9, 9, 9))) - 4
    shifts = shifts[~(shifts[:, ~atoms.pbc] != 0).any(1)] @ atoms.cell.array
    a, b = np.tril_indices(9, -1)
    d = atoms.positions[a] - atoms.positions[b]
    expected = 1 / np.linalg.norm(d[:, None] + shifts, axis=2).min(1)
    assert_close(InverseDistances().compute(atoms), expected, PEER)


def test_the_fractional_image_is_that_of_sgdml(monkeypatch):
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # sgdml 1.0.3 needs what NumPy 2.4 has dropped
    descriptor = pytest.importorskip("sgdml.utils.desc", reason="compares with sGDML")
    atoms = periodic()
    lattice = (atoms.cell.array.T, np.linalg.inv(atoms.cell.array.T))
    x, slopes = descriptor.Desc(9, max_processes=1).from_R(atoms.positions.reshape(1, -1), lattice)
    own, J = InverseDistances(image="fractional").compute(atoms, jacobian=True)
    assert_close(own, x.ravel(), PEER)
    b = np.tril_indices(9, -1)[1]
    assert_close(J[np.arange(36), b], slopes.reshape(36, 3), PEER)
    assert np.abs(own - InverseDistances().compute(atoms)).max() > 0.01  # a cell in which the two differ


@pytest.mark.parametrize("features", [InverseDistances(), CoulombMatrix(), CoulombMatrix("eigenvalues")], ids=repr)
def test_bad_structures_are_refused(features):
    together = Atoms("H3", [[0, 0, 0], [0, 0, 1], [0, 0, 1]])
    with pytest.raises(ValueError, match="atoms 1 and 2 are at the same place"):
        features.compute(together)
    lost = Atoms("H2", [[0, 0, 0], [0, 0, np.nan]])
    with pytest.raises(ValueError, match="positions of atoms (0 and )?1 are not finite"):
        features.compute(lost)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: CoulombMatrix("random"), "kind is 'random'; accepted: 'raw', 'sorted', 'eigenvalues'"),
        (lambda: CoulombMatrix(length_unit="nm"), "length_unit is 'nm'; accepted: 'Angstrom', 'bohr'"),
        (lambda: CoulombMatrix(exponent=-1), "exponent is -1; accepted"),
        (lambda: CoulombMatrix(n_atoms_max=0), "n_atoms_max is 0; accepted"),
        (lambda: CoulombMatrix().compute(periodic()), "pbc is .*; accepted: molecules"),
        (lambda: CoulombMatrix().compute(Atoms("X2", [[0, 0, 0], [1, 0, 0]])), "atomic numbers from 1"),
        (lambda: InverseDistances(image="nearest"), "image is 'nearest'; accepted: 'shortest', 'fractional'"),
        (lambda: InverseDistances(image="fractional").compute(periodic([1, 1, 0])), "pbc is .*; accepted"),
        (lambda: InverseDistances().compute(Atoms("H2", [[0, 0, 0], [1, 0, 0]], pbc=True)), "cell is .*; accepted"),
        (lambda: from_metadata({"kind": "wavelets"}), "features of kind 'wavelets'; accepted"),
    ],
)
def test_bad_arguments_are_refused_by_name(call, said):
    with pytest.raises(ValueError, match=said):
        call()


# ---- DScribe


SOAP = {"species": ["H", "C", "O"], "r_cut": 4.0, "n_max": 3, "l_max": 2}
MBTR = {
    "species": ["H", "C", "O"],
    "geometry": {"function": "inverse_distance"},
    "grid": {"min": 0, "max": 1, "n": 10, "sigma": 0.1},
    "weighting": {"function": "exp", "scale": 0.5, "threshold": 1e-3},
    "periodic": False,
}


@pytest.fixture
def needs_dscribe():
    pytest.importorskip("dscribe.descriptors", reason="needs DScribe")


@pytest.mark.usefixtures("needs_dscribe")
@pytest.mark.filterwarnings("ignore::FutureWarning")  # DScribe's own use of ASE
@pytest.mark.parametrize(
    ("name", "parameters", "per_atom", "shape"),
    [
        ("SOAP", SOAP, True, (9, 135)),
        ("MBTR", MBTR, False, (60,)),
        ("SOAP", {**SOAP, "average": "inner", "numerical_derivatives": True}, False, (135,)),
        ("ACSF", {"species": ["H", "C", "O"], "r_cut": 4.0, "numerical_derivatives": True}, True, (9, 3)),
    ],
)
def test_dscribe(name, parameters, per_atom, shape):
    features = DScribe(name, **parameters)
    assert features.per_atom == per_atom
    assert features.compute(ethanol()).shape == shape
    assert len(features.labels) == features.n_features == shape[-1]
    check_jacobian(features, ethanol())


@pytest.mark.usefixtures("needs_dscribe")
def test_dscribe_refuses_what_it_cannot_derive():
    for parameters in ({"rbf": "polynomial"}, {"average": "outer"}):
        with pytest.raises(ValueError, match="no analytical derivatives of this SOAP; accepted"):
            DScribe("SOAP", **SOAP, **parameters).compute(ethanol(), jacobian=True)
    with pytest.raises(ValueError, match=r"name is 'SNAP'; accepted: .*'SOAP'"):
        DScribe("SNAP")


def test_without_dscribe_the_message_says_what_to_install():
    code = """
import sys
sys.modules["dscribe"] = None
from atomcore.features import DScribe
try:
    DScribe("SOAP", species=["H"])
except ImportError as error:
    print(error)
"""
    assert "pip install dscribe" in run_python(code)


def test_features_come_back_from_their_metadata():
    given = [*FEATURES, SymmetryFunctions(["H", "O", "C"], radial=[{"eta": 1.0}], cutoff=4.0)]
    if "dscribe" in sys.modules:
        given.append(DScribe("SOAP", **SOAP))
    for features in given:
        restored = from_metadata(json.loads(json.dumps(features.to_metadata())))
        np.testing.assert_array_equal(restored.compute(ethanol()), features.compute(ethanol()))
        assert restored.to_metadata() == features.to_metadata()
        assert restored.per_atom == features.per_atom
    assert CoulombMatrix("sorted") == CoulombMatrix("sorted") != CoulombMatrix("sorted", n_atoms_max=3)
    assert InverseDistances() == InverseDistances() != InverseDistances(image="fractional")
