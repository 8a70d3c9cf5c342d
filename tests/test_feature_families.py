"""Cutoff functions, windows, cosine waves and functions of every element: values, derivatives, identities."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.data import atomic_numbers

from atomcore.features import ANI, SymmetryFunctions
from atomcore.features.cutoffs import CUTOFF_FUNCTIONS
from feature_cases import WINDOWS, WITH_STEPS, explicit_edges, families
from helpers import slope
from structures import one_atom_cell, water_box, water_cluster, water_crystal, water_structures
from tolerances import EXACT, FEATURES, FEATURES_FD, INVARIANT, assert_close

STRUCTURES = water_structures()
CHANNELS = {
    "resolved": {},
    "unresolved": {"resolve_elements": False},
    "Z": {"weights": "Z"},
    "table": {"weights": {"H": -0.4, "O": 1.7}},
}


def pair(r: float) -> Atoms:
    return Atoms("Ar2", [(0, 0, 0), (r, 0, 0)])


def trimer(theta: float, a: float = 1.2, b: float = 1.5) -> Atoms:
    return Atoms("Ar3", [(0, 0, 0), (a, 0, 0), (b * np.cos(theta), b * np.sin(theta), 0)])


def of_a_pair(f: SymmetryFunctions, r: float) -> tuple[np.ndarray, np.ndarray]:
    """Return G of one of two atoms at a distance, and its derivative in the distance."""
    G, J = f.compute(pair(r), jacobian=True)
    return G[0], J.jvp(np.array([[0, 0, 0], [1.0, 0, 0]]))[0]


# Against the plain formulas


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_every_function_equals_the_plain_formula(name, channels):
    torch = pytest.importorskip("torch", reason="the oracle is written in torch")
    from atomcore.features.reference import reference_features

    f, atoms = families(**CHANNELS[channels]), STRUCTURES[name]
    species = torch.tensor([f.elements.index(symbol) for symbol in atoms.symbols], dtype=torch.int64)
    edges = map(torch.from_numpy, explicit_edges(atoms, f.cutoff))
    # sums of the oracle's high powers, which nearly cancel, times weights of pairs up to 64
    expected = reference_features(f.elements, f.table, species, *edges).numpy()
    assert_close(f.compute(atoms), expected, FEATURES, scale=np.abs(expected).max(initial=10.0))


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name != "one-atom cell"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_derivatives_against_differences(name, channels):
    f, atoms = families(["poly2", "exponential_asymmetric"], **CHANNELS[channels]), STRUCTURES[name]
    smooth = [row for row in f.table if row["cutoff_function"] not in ("hard", "tanh3_normalized", "tanh3")]
    f, random = SymmetryFunctions.from_table(f.elements, smooth), np.random.default_rng(91)

    def moved(positions: np.ndarray) -> np.ndarray:
        copy = atoms.copy()
        copy.positions = positions
        return f.compute(copy)

    G, J = f.compute(atoms, jacobian=True)
    for _ in range(3):
        V, W = random.normal(size=(len(atoms), 3)), random.normal(size=G.shape)
        assert_close(J.jvp(V), slope(moved, atoms.positions, V), FEATURES_FD, scale=np.abs(G).max(initial=1.0))
        assert_close((J.vjp(W) * V).sum(), (J.jvp(V) * W).sum(), INVARIANT, scale=np.abs(G).sum(initial=1.0))


@pytest.mark.parametrize("channels", ["resolved", "table"])
def test_operators_are_differentiable_twice(channels):
    torch = pytest.importorskip("torch", reason="operators need torch")
    from atomcore.features.batch import Batch

    f = families(["poly1", "poly4_asymmetric"], **CHANNELS[channels])
    batch = Batch.from_atoms([water_cluster()[:4]])
    W = torch.from_numpy(np.random.default_rng(92).normal(size=(4, f.n_features)))
    positions = batch.positions.requires_grad_()

    def contracted(R: "torch.Tensor") -> "torch.Tensor":
        return (f(batch._replace(positions=R)) * W).sum()

    assert torch.autograd.gradcheck(contracted, (positions,))
    assert torch.autograd.gradgradcheck(contracted, (positions,))


@pytest.mark.parametrize("channels", CHANNELS)
def test_single_precision_follows_double(channels):
    torch = pytest.importorskip("torch", reason="single precision is reached through torch")
    from atomcore.features.batch import Batch
    from tolerances import FLOAT32

    f, atoms = families(**CHANNELS[channels]), water_crystal()
    atoms.positions = atoms.positions.astype(np.float32)
    atoms.cell[:] = np.asarray(atoms.cell).astype(np.float32)
    G = f.compute(atoms)
    single = f(Batch.from_atoms([atoms], torch.float32)).double().numpy()
    assert_close(single, G, FLOAT32, scale=np.abs(G).max())


# Cutoff functions


PLATEAUS = [(name, inner) for name in CUTOFF_FUNCTIONS for inner in (0.0, 0.3) if not (inner and name in WITH_STEPS)]


@pytest.mark.parametrize(("name", "inner"), PLATEAUS)
def test_a_cutoff_function_falls_from_its_plateau_to_zero(name, inner):
    f = SymmetryFunctions(["Ar"], radial=[{"eta": 0.0}], cutoff=4.0, cutoff_function=name, inner=inner)
    distances = np.linspace(0.05, 3.999, 80)
    values, slopes = np.array([[x[0] for x in of_a_pair(f, r)] for r in distances]).T
    if name == "hard":
        assert_close(values, np.ones(80), EXACT)
    elif name != "untruncated_cosine":
        assert (np.diff(values) <= 1e-15).all()
        assert (slopes <= 1e-15).all()
        assert 0 <= values[-1] < 1e-5
    if name != "tanh3":
        assert values[0] == pytest.approx(1.0, abs=0.1)
    assert_close(values[distances < inner * 4.0], np.ones((distances < inner * 4.0).sum()), EXACT)
    assert_close(slopes[distances < inner * 4.0], np.zeros((distances < inner * 4.0).sum()), EXACT)
    for r in (4.0, np.nextafter(4.0, 5), 4.5):
        assert of_a_pair(f, r)[0][0] == 0
        assert of_a_pair(f, r)[1][0] == 0


@pytest.mark.parametrize("name", CUTOFF_FUNCTIONS)
def test_slopes_of_cutoff_functions_are_those_of_their_values(name):
    inner = 0.0 if name in WITH_STEPS else 0.3
    f = SymmetryFunctions(["Ar"], radial=[{"eta": 0.0}], cutoff=4.0, cutoff_function=name, inner=inner)
    for r in np.linspace(0.4, 3.9, 25):
        difference = slope(lambda x: of_a_pair(f, x)[0][0], r, 1.0, 1e-3)
        assert_close(of_a_pair(f, r)[1][0], difference, FEATURES_FD)


HALFWAY = {
    **dict.fromkeys(("cosine", "poly1", "poly2", "poly3", "poly4"), 0.5),
    "exponential": np.exp(-1 / 3),
    "polynomial": 1 + 4 / 32 - 5 / 16,
    "tanh3": np.tanh(0.5) ** 3,
    "poly2_asymmetric": 0.103515625,
}


@pytest.mark.parametrize(("name", "half"), HALFWAY.items())
def test_values_by_hand(name, half):
    f = SymmetryFunctions(["Ar"], radial=[{"eta": 0.0}], cutoff=4.0, cutoff_function=name)
    assert_close(of_a_pair(f, 2.0)[0], [half], INVARIANT)


# Windows


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_is_its_cutoff_function_mirrored(name):
    window = SymmetryFunctions(
        ["Ar"], radial=[{"type": "compact_radial", "low": 1.0, "cutoff": 4.0}], cutoff_function=name
    )
    plain = SymmetryFunctions(["Ar"], radial=[{"eta": 0.0, "cutoff": 1.5}], cutoff_function=name)
    for u in (0.1, 0.5, 1.0, 1.4, 1.49999):
        value, derivative = of_a_pair(plain, u)
        for side in (1, -1):
            ours = of_a_pair(window, 2.5 + side * u)
            assert_close(ours[0], value, INVARIANT)
            assert_close(ours[1], side * derivative, INVARIANT)
    assert_close(of_a_pair(window, 2.5)[0], [1.0], EXACT)
    for r in (0.5, 1.0, 4.0, 4.2):
        assert of_a_pair(window, r)[0][0] == 0
        assert of_a_pair(window, r)[1][0] == 0


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_centred_on_the_atom_is_a_cutoff_function(name):
    window = SymmetryFunctions(["Ar"], radial=[{"type": "compact_radial"}], cutoff=3.0, cutoff_function=name)
    plain = SymmetryFunctions(["Ar"], radial=[{"eta": 0.0}], cutoff=3.0, cutoff_function=name)
    atoms = Atoms("Ar4", [(0, 0, 0), (1.1, 0, 0), (0, 2.0, 0), (0.3, 0.4, 2.4)])
    assert_close(window.compute(atoms), plain.compute(atoms), EXACT)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize(
    ("low", "high"), [(0.5, 2.1), (0.0, 1.2), (1.6, np.pi), (-0.9, 0.9), (np.pi - 0.8, np.pi + 0.8)]
)
def test_windows_in_the_angle(name, low, high):
    f = SymmetryFunctions(
        ["Ar"],
        angular=[{"type": "compact_wide", "theta_low": low, "theta_high": high, "cutoff_function": name}],
        cutoff=8.0,
        cutoff_function=name,
    )
    symmetric = name.removesuffix("_asymmetric")
    core = SymmetryFunctions(["Ar"], radial=[{"eta": 0.0, "cutoff": 0.5 * (high - low)}], cutoff_function=symmetric)
    ends = SymmetryFunctions(["Ar"], radial=[{"eta": 0.0, "cutoff": 8.0}], cutoff_function=name)
    both = of_a_pair(ends, 1.2)[0][0] * of_a_pair(ends, 1.5)[0][0]
    for theta in np.linspace(0.05, np.pi - 0.05, 40):
        u = abs(theta - 0.5 * (low + high))
        expected = both * of_a_pair(core, max(u, 1e-3))[0][0] if u < 0.5 * (high - low) else 0.0
        assert f.compute(trimer(theta))[0, 0] == pytest.approx(expected, rel=1e-9, abs=1e-13)
        if not low < theta < high:
            assert f.compute(trimer(theta))[0, 0] == 0


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("end", [0.0, np.pi])
@pytest.mark.parametrize("gap", [0.0, 1e-8, 1e-6, 1e-4, 1e-2])
def test_windows_in_the_angle_where_atoms_are_in_line(name, end, gap):
    windows = [(0.0, 1.4), (-1.4, 1.4), (np.pi - 1.4, np.pi), (np.pi - 1.4, np.pi + 1.4), (0.0, np.pi)]
    f = SymmetryFunctions(
        ["Ar"],
        angular=[{"type": "compact_narrow", "theta_low": low, "theta_high": high} for low, high in windows],
        cutoff=6.0,
        cutoff_function=name,
    )
    atoms = trimer(abs(end - gap), 1.2, 2.3)
    V = np.random.default_rng(93).normal(size=(3, 3))
    G, J = f.compute(atoms, jacobian=True)
    assert np.isfinite(G).all()

    def moved(positions: np.ndarray) -> np.ndarray:
        copy = atoms.copy()
        copy.positions = positions
        return f.compute(copy)

    assert_close(J.jvp(V), slope(moved, atoms.positions, V, 3e-5), FEATURES_FD, scale=10)


# Functions of every element


@pytest.mark.parametrize("name", ["crystal", "cluster"])
@pytest.mark.parametrize("channels", ["unresolved", "Z", "table"])
def test_functions_of_every_element_are_weighted_sums_of_resolved_ones(name, channels):
    atoms = STRUCTURES[name]
    options = CHANNELS[channels]
    summed, resolved = families(**options), families()
    weights = {"unresolved": {"H": 1, "O": 1}, "Z": {x: atomic_numbers[x] for x in "HO"}}.get(
        channels, options.get("weights")
    )
    G, expected, column = resolved.compute(atoms), [], 0
    for row in summed.table:
        part = [other for other in resolved.table if without_elements(other) == without_elements(row)]
        n = 2 if row["type"] in ("radial", "radial_cosine", "compact_radial") else 3
        assert len(part) == n
        factors = [np.prod([weights[symbol] for symbol in other["elements"]]) for other in part]
        expected.append(G[:, column : column + n] @ np.array(factors, float))
        column += n
    assert column == resolved.n_features
    assert_close(summed.compute(atoms), np.stack(expected, axis=1), INVARIANT, scale=np.abs(G).max())


def without_elements(row: dict) -> dict:
    return {key: value for key, value in row.items() if key not in ("elements", "weights")}


def test_weights_of_one_are_no_weights():
    f, g = families(weights={"H": 1, "O": 1.0}), families(resolve_elements=False)
    assert f.table == g.table
    atoms = water_crystal()
    assert_close(f.compute(atoms), g.compute(atoms), EXACT)


def test_unresolved_ani_has_48_columns_for_any_elements():
    f = ANI(["H", "C", "O"], resolve_elements=False)
    assert f.n_features == 48
    swapped = molecule("CO")
    swapped.numbers = swapped.numbers[::-1]
    assert_close(f.compute(swapped), f.compute(molecule("CO")), EXACT)


# Invariances


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_number_of_threads_changes_no_bit(channels):
    f, atoms = families(["poly2"], **CHANNELS[channels]), water_box()
    G, J = f.compute(atoms, jacobian=True, threads=1)
    H, K = f.compute(atoms, jacobian=True, threads=3)
    W = np.random.default_rng(94).normal(size=G.shape)
    assert_close(H, G, EXACT)
    assert_close(K.vjp(W), J.vjp(W), EXACT)


@pytest.mark.parametrize("channels", CHANNELS)
def test_rotation_and_permutation(channels):
    f, atoms = families(**CHANNELS[channels]), water_cluster()
    G, random = f.compute(atoms), np.random.default_rng(95)
    q, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turned = atoms.copy()
    turned.positions = atoms.positions @ q
    assert_close(f.compute(turned), G, INVARIANT, scale=np.abs(G).max())
    order = random.permutation(len(atoms))
    assert_close(f.compute(atoms[order]), G[order], INVARIANT, scale=np.abs(G).max())


def test_images_of_the_only_atom_fold_back_to_a_zero_jacobian():
    G, J = families(weights="Z").compute(one_atom_cell(), jacobian=True)
    assert_close(J.to_scipy().toarray(), np.zeros((G.size, 3)), INVARIANT, scale=np.abs(G).max())


# Tables


@pytest.mark.parametrize("channels", CHANNELS)
def test_tables_survive_json_and_labels_are_unique(channels):
    f = families(**CHANNELS[channels])
    again = SymmetryFunctions.from_table(f.elements, json.loads(json.dumps(f.table)))
    assert again.table == f.table
    for part, same in zip(again.plan, f.plan, strict=True):
        np.testing.assert_array_equal(part, same)
    assert len(set(f.labels)) == f.n_features == len(f.table)


def test_labels_say_what_functions_are():
    f = families(["poly2"], weights="Z")
    assert "radial_cosine(all, H=1 O=8; kappa=1.7, cutoff=4.5)" in f.labels
    assert "compact_radial(all, H=1 O=8; low=0.7, cutoff=3.9, poly2)" in f.labels
    assert any("inner=0.35, exponential" in label for label in f.labels)


def test_the_order_of_elements_changes_nothing_but_species():
    f, atoms = families(weights={"H": 0.3, "O": 2.0}), water_crystal()
    swapped = SymmetryFunctions.from_table(f.elements[::-1], f.table)
    G = f.compute(atoms)
    assert_close(swapped.compute(atoms), G, INVARIANT, scale=np.abs(G).max())
