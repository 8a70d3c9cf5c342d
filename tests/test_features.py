"""Features of ASE structures: values, derivatives and symmetries."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from atomcore.features import ANI, SymmetryFunctions, preset
from feature_cases import every_function, explicit_edges, mixed_cutoffs, presets
from helpers import slope
from structures import one_atom_cell, water_box, water_cluster, water_crystal, water_structures
from tolerances import (
    ASE_SYMMETRY,
    CUTOFF_SLOPE,
    CUTOFF_VALUE,
    EXACT,
    FEATURES,
    FEATURES_FD,
    INVARIANT,
    assert_close,
)

STRUCTURES = water_structures()
PRESETS = presets()


def oracle(f: SymmetryFunctions, atoms: Atoms) -> np.ndarray:
    """Evaluate the plain formulas on explicitly enumerated neighbours."""
    torch = pytest.importorskip("torch", reason="the oracle is written in torch")
    from atomcore.features.reference import reference_features

    species = torch.tensor([f.elements.index(symbol) for symbol in atoms.symbols], dtype=torch.int64)
    edges = map(torch.from_numpy, explicit_edges(atoms, f.cutoff))
    return reference_features(f.elements, f.table, species, *edges).numpy()


def moved(f: SymmetryFunctions, atoms: Atoms):
    """Return the function that takes positions to G."""

    def G(positions: np.ndarray) -> np.ndarray:
        copy = atoms.copy()
        copy.positions = positions
        return f.compute(copy)

    return G


def rotation(seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def turned(atoms: Atoms, matrix: np.ndarray) -> Atoms:
    copy = atoms.copy()
    copy.set_cell(np.asarray(atoms.cell) @ matrix.T)
    copy.positions = atoms.positions @ matrix.T
    return copy


# Values


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_function_equals_the_plain_formula(name):
    f = mixed_cutoffs()
    assert_close(f.compute(STRUCTURES[name]), oracle(f, STRUCTURES[name]), FEATURES)


@pytest.mark.parametrize("column", range(mixed_cutoffs().n_features))
def test_a_column_does_not_depend_on_its_company(column):
    f, atoms = mixed_cutoffs(), water_crystal()
    alone = SymmetryFunctions.from_table(f.elements, [f.table[column]])
    assert_close(alone.compute(atoms)[:, 0], f.compute(atoms)[:, column], INVARIANT)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("formula", ["CH3CH2OH", "CO2", "C6H6"])
def test_presets_equal_the_plain_formula(name, formula):
    atoms = molecule(formula)
    assert_close(PRESETS[name].compute(atoms), oracle(PRESETS[name], atoms), FEATURES)


def test_presets_equal_the_plain_formula_in_a_small_cell():
    for f in (preset("ani1x", ["O", "H"]), preset("amp_default", ["O", "H"])):
        assert_close(f.compute(water_crystal()), oracle(f, water_crystal()), FEATURES)


def test_sizes_of_the_presets():
    assert ANI.ani1x().n_features == 384
    assert ANI.ani2x().n_features == 1008
    assert preset("ml4chem_default", ["O", "C", "H"]).n_features == 36
    assert preset("amp_default", ["Cu"]).n_features == 8
    assert [preset("compact", ["O", "C", "H"][:n]).n_features for n in (1, 2, 3)] == [34, 88, 162]


def test_a_radial_function_by_hand():
    f = SymmetryFunctions(["H", "O"], radial=[{"eta": 0.5, "shift": 0.2}], cutoff=4.0)
    r = 1.3
    expected = np.exp(-0.5 * (r - 0.2) ** 2) * 0.5 * (1 + np.cos(np.pi * r / 4.0))
    assert_close(f.compute(Atoms("OH", [[0, 0, 0], [0, r, 0]])), [[expected, 0], [0, expected]], INVARIANT)


def test_normalized_and_pair_factor_are_folded_into_the_table():
    angular = [{"type": "narrow", "eta": 0.9, "zeta": 2.0, "lambda": -1.0}]
    folded = SymmetryFunctions(["H", "O"], angular=angular, cutoff=3.0, normalized=True, pair_factor=2.0)
    plain = SymmetryFunctions(["H", "O"], angular=[{**angular[0], "eta": 0.1}], cutoff=3.0)
    atoms = water_cluster()
    assert_close(folded.compute(atoms), 2 * plain.compute(atoms), INVARIANT)


# Tables


@pytest.mark.parametrize("f", [mixed_cutoffs(), *PRESETS.values()], ids=["every function", *PRESETS])
def test_tables_survive_json_and_labels_are_unique(f):
    table = json.loads(json.dumps(f.table))
    again = SymmetryFunctions.from_table(f.elements, table)
    assert again.table == f.table
    for part, same in zip(again.plan, f.plan, strict=True):
        np.testing.assert_array_equal(part, same)
    assert len(set(f.labels)) == f.n_features == len(f.table)
    assert f.cutoff == max(row["cutoff"] for row in f.table)


def test_labels_tell_close_functions_apart():
    row = {"type": "ani", "elements": ["H", "H"], "prefactor": 1.0, "eta": 4.0, "shift": 1.0, "zeta": 8.0}
    row |= {"theta": 0.3, "cos_scale": 0.95, "cutoff": 3.5, "cutoff_function": "cosine"}
    f = SymmetryFunctions.from_table(["H"], [row, {**row, "cos_scale": 1.0}, {**row, "eta": 4.0 + 1e-9}])
    assert len(set(f.labels)) == 3


def test_columns_follow_the_table_in_any_order():
    f, atoms = every_function(), water_crystal()
    order = np.random.default_rng(3).permutation(f.n_features)
    shuffled = SymmetryFunctions.from_table(f.elements, [f.table[i] for i in order])
    assert_close(shuffled.compute(atoms), f.compute(atoms)[:, order], INVARIANT)


def test_the_order_of_elements_changes_nothing_but_species():
    f, atoms = every_function(), water_crystal()
    swapped = SymmetryFunctions.from_table(
        f.elements[::-1], [{**row, "elements": row["elements"][::-1]} for row in f.table]
    )
    assert_close(swapped.compute(atoms), f.compute(atoms), INVARIANT)


# Derivatives


@pytest.mark.parametrize("name", STRUCTURES)
def test_jacobian_against_differences_and_its_own_products(name):
    f, atoms, random = every_function(), STRUCTURES[name], np.random.default_rng(21)
    if name == "one-atom cell":  # exactly collinear images: the clean ANI form has a kink
        f = SymmetryFunctions.from_table(f.elements, [row for row in f.table if row.get("cos_scale") != 1.0])
    G, J = f.compute(atoms, jacobian=True)
    n, k = G.shape
    assert J.shape == (n, k, n, 3)
    matrix = J.to_scipy()
    assert matrix.shape == (n * k, 3 * n)
    dense = matrix.toarray()
    assert_close(J.to_numpy().reshape(dense.shape), dense, INVARIANT)
    for _ in range(4):
        V, W = random.normal(size=(n, 3)), random.normal(size=(n, k))
        assert_close(J.jvp(V), (dense @ V.ravel()).reshape(n, k), INVARIANT)
        assert_close(J.vjp(W), (dense.T @ W.ravel()).reshape(n, 3), INVARIANT, scale=10)
        assert_close(J.jvp(V), slope(moved(f, atoms), atoms.positions, V), FEATURES_FD)
    for atom in range(n):
        for axis in range(3):
            unit = np.zeros((n, 3))
            unit[atom, axis] = 1
            expected = slope(moved(f, atoms), atoms.positions, unit)
            assert_close(dense[:, 3 * atom + axis], expected.ravel(), FEATURES_FD)


@pytest.mark.parametrize("name", PRESETS)
def test_jacobian_of_presets_against_differences(name):
    f, random = PRESETS[name], np.random.default_rng(22)
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=5)
    _, J = f.compute(atoms, jacobian=True)
    for _ in range(3):
        V = random.normal(size=(len(atoms), 3))
        assert_close(J.jvp(V), slope(moved(f, atoms), atoms.positions, V, 3e-4), FEATURES_FD)
    W = random.normal(size=J.shape[:2])
    assert_close((J.vjp(W) * V).sum(), (J.jvp(V) * W).sum(), INVARIANT)


def test_images_of_the_only_atom_fold_back_to_a_zero_jacobian():
    G, J = every_function().compute(one_atom_cell(), jacobian=True)
    assert G.max() > 1  # dozens of images, and moving the atom moves them all
    assert_close(J.to_scipy().toarray(), np.zeros((G.size, 3)), INVARIANT)


@pytest.mark.parametrize("column", range(every_function().n_features))
@pytest.mark.parametrize("apart", [False, True], ids=["centre to neighbour", "neighbour to neighbour"])
def test_a_function_ends_smoothly_at_its_cutoff(column, apart):
    full = every_function()
    f = SymmetryFunctions.from_table(full.elements, [full.table[column]])
    second = f.table[0]["elements"][-1]
    for r in [f.cutoff - 1e-6, np.nextafter(f.cutoff, 0), f.cutoff, np.nextafter(f.cutoff, 9), f.cutoff + 1e-6]:
        ends = [[-0.5 * r, 0.1, 0], [0.5 * r, 0.1, 0]] if apart else [[0.3, 1.1, 0], [r, 0, 0]]
        atoms = Atoms(["O", f.table[0]["elements"][0], second], [[0, 0, 0], *ends])
        if f.table[0]["type"] == "radial":
            atoms = atoms[[0, 2]]  # the one neighbour at the cutoff
        if apart and f.table[0]["type"] != "narrow":
            continue  # only narrow functions know this distance
        G, J = f.compute(atoms, jacobian=True)
        # fc falls as the square of the distance to the cutoff, its slope linearly
        derivatives = J.to_scipy().toarray()[0]
        assert_close(G[0, 0], 0.0, CUTOFF_VALUE)
        assert_close(derivatives, np.zeros_like(derivatives), CUTOFF_SLOPE)
        if r >= f.cutoff:
            assert G[0, 0] == 0


# Angles of 0 and 180 degrees


def smooth_sets() -> list[SymmetryFunctions]:
    return [PRESETS["ani1x"], PRESETS["ani2x"], PRESETS["ml4chem_default"], PRESETS["wide"]]


@pytest.mark.parametrize("formula", ["C2H2", "CO2", "C6H6"])
@pytest.mark.parametrize("tilt", [False, True], ids=["on an axis", "turned"])
def test_linear_molecules_have_finite_and_right_derivatives(formula, tilt):
    atoms = molecule(formula)
    if tilt:
        atoms = turned(atoms, rotation(31))
    for f in smooth_sets():
        G, J = f.compute(atoms, jacobian=True)
        assert np.isfinite(G).all()
        for seed in range(3):
            V = np.random.default_rng(seed).normal(size=(len(atoms), 3))
            assert_close(J.jvp(V), slope(moved(f, atoms), atoms.positions, V, 3e-4), FEATURES_FD)


def bent(angle: float) -> Atoms:
    """Return OCO with an angle in degrees."""
    a = np.deg2rad(angle)
    return Atoms("COO", [[0, 0, 0], [1.16, 0, 0], [1.16 * np.cos(a), 1.16 * np.sin(a), 0]])


@pytest.mark.parametrize("gap", [0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
@pytest.mark.parametrize("end", [0.0, 180.0])
def test_derivatives_close_to_collinear(gap, end):
    atoms = bent(end - gap if end else 30 * gap + 20)  # two atoms cannot stand on one another
    if end == 0.0:
        a = np.deg2rad(gap)
        atoms = Atoms("COO", [[0, 0, 0], [1.16, 0, 0], [2.3 * np.cos(a), 2.3 * np.sin(a), 0]])
    V = np.random.default_rng(41).normal(size=(3, 3))
    for f in smooth_sets():
        _, J = f.compute(atoms, jacobian=True)
        assert_close(J.jvp(V), slope(moved(f, atoms), atoms.positions, V, 3e-4), FEATURES_FD)


@pytest.mark.parametrize("end", ["0", "180"])
def test_clean_ani_derivatives_equal_autograd_of_the_plain_formula_up_to_its_kink(end):
    torch = pytest.importorskip("torch", reason="the oracle is written in torch")
    from atomcore.features.reference import reference_features

    f = PRESETS["ani without 0.25 and 0.95"]
    species = torch.tensor([f.elements.index(s) for s in "COO"])
    for gap in (0.1, 1e-3, 1e-4):
        a = np.deg2rad(gap)
        far = [-1.2 * np.cos(a), 1.2 * np.sin(a), 0] if end == "180" else [2.3 * np.cos(a), 2.3 * np.sin(a), 0]
        atoms = Atoms("COO", [[0, 0, 0], [1.16, 0, 0], far])
        row_ptr, neighbor, _ = (torch.from_numpy(x) for x in explicit_edges(atoms, f.cutoff))
        centre = torch.repeat_interleave(torch.arange(3), row_ptr.diff())

        R = torch.from_numpy(atoms.positions).requires_grad_()
        G = reference_features(f.elements, f.table, species, row_ptr, neighbor, R[neighbor] - R[centre])
        W = torch.from_numpy(np.random.default_rng(42).normal(size=G.shape))
        expected = torch.autograd.grad(G, R, W)[0].numpy()
        _, J = f.compute(atoms, jacobian=True)
        assert_close(J.vjp(W.numpy()), expected, FEATURES_FD)


def test_a_scan_through_180_degrees_is_smooth():
    for f in smooth_sets():
        angles = np.concatenate([np.linspace(179.9, 180.1, 41), 180 + np.array([-2e-6, -1e-6, 0, 1e-6, 2e-6])])
        angles = np.unique(angles)
        blocks = [f.compute(bent(a), jacobian=True)[1].to_scipy().toarray() for a in angles]
        steps = np.deg2rad(np.diff(angles))
        slopes = [np.abs(b - a).max() / h for a, b, h in zip(blocks[:-1], blocks[1:], steps, strict=True)]
        assert max(slopes) < 3 * np.median(slopes) + 1e-3


def test_clean_ani_is_finite_when_collinear():
    for atoms in (molecule("C2H2"), molecule("CO2"), molecule("C6H6"), turned(molecule("CO2"), rotation(32))):
        G, J = PRESETS["ani without 0.25 and 0.95"].compute(atoms, jacobian=True)
        assert np.isfinite(G).all()
        assert np.isfinite(J.to_scipy().toarray()).all()


def test_benzene_keeps_its_symmetry():
    atoms = molecule("C6H6")
    for f in PRESETS.values():
        G = f.compute(atoms)
        for symbol in "CH":
            rows = G[atoms.symbols == symbol]
            assert_close(rows, np.broadcast_to(rows[:1], rows.shape), ASE_SYMMETRY)


# Invariances


@pytest.mark.parametrize("name", ["cluster", "crystal", "slab", "wire"])
def test_translation_rotation_reflection_and_wrapping(name):
    f, atoms = every_function(), STRUCTURES[name]
    G = f.compute(atoms)
    assert_close(moved(f, atoms)(atoms.positions + np.array([3.7, -11.3, 0.123])), G, INVARIANT)
    assert_close(f.compute(turned(atoms, rotation(51))), G, INVARIANT)
    assert_close(f.compute(turned(atoms, -rotation(52))), G, INVARIANT)  # a left-handed cell
    shift = np.random.default_rng(53).integers(-50, 51, (len(atoms), 3)) * atoms.pbc
    assert_close(moved(f, atoms)(atoms.positions + shift @ np.asarray(atoms.cell)), G, INVARIANT)


@pytest.mark.parametrize("name", ["cluster", "crystal"])
def test_permutation(name):
    f, atoms = every_function(), STRUCTURES[name]
    order = np.random.default_rng(54).permutation(len(atoms))
    assert_close(f.compute(atoms[order]), f.compute(atoms)[order], INVARIANT)


@pytest.mark.parametrize("repeats", [(2, 1, 1), (1, 3, 2)])
def test_supercell_and_other_cell_vectors(repeats):
    f = every_function()
    for atoms in (water_crystal(), one_atom_cell()):
        G = f.compute(atoms)
        assert_close(f.compute(atoms.repeat(repeats)), np.tile(G, (np.prod(repeats), 1)), INVARIANT, scale=10)
        other = atoms.copy()
        other.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]]) @ np.asarray(atoms.cell))
        assert_close(f.compute(other), G, INVARIANT, scale=10)


def test_far_fragments_do_not_see_each_other():
    f, water = every_function(), molecule("H2O")
    other = water.copy()
    other.positions += [0, 0, 50.0]
    assert_close(f.compute(water + other), np.tile(f.compute(water), (2, 1)), INVARIANT)


@pytest.mark.parametrize("threads", [2, 4])
def test_the_number_of_threads_changes_no_bit(threads):
    f, atoms, random = every_function(), water_box(), np.random.default_rng(61)
    assert len(atoms) >= 200
    G, J = f.compute(atoms, jacobian=True, threads=1)
    H, K = f.compute(atoms, jacobian=True, threads=threads)
    V, W = random.normal(size=(len(atoms), 3)), random.normal(size=G.shape)
    assert_close(H, G, EXACT)
    assert_close(K.jvp(V), J.jvp(V), EXACT)
    assert_close(K.vjp(W), J.vjp(W), EXACT)
