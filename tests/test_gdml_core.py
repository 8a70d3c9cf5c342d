"""Kernels of GDML beside plain formulas, finite differences, sGDML's own matrices and an 80-bit reference."""

import itertools
import signal
import time

import numpy as np
import pytest

from atomcore.kernels.gdml import Covariance, Predictor, descriptors
from helpers import shared_data, slope
from sgdml_peer import sgdml
from tolerances import EXACT, INVARIANT, KERNEL, KERNEL_FD, PEER, Tolerance, assert_close

LATTICE = np.array([[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.5, 0.3, 8.0]])
KCAL_NOISE = 3  # times the rounding noise that the README of the shared model states


def group(n_atoms, *alike):
    """Return all permutations within sets of like atoms, the identity first."""
    rows = [list(range(n_atoms))]
    for atoms in alike:
        made = []
        for row, order in itertools.product(rows, itertools.permutations(atoms)):
            new = list(row)
            for place, atom in zip(atoms, order, strict=True):
                new[place] = row[atom]
            made.append(new)
        rows = made
    return np.array(rows)


# atoms, structures, permutations, sigma, lattice
CASES = {
    "one permutation": (9, 20, group(9), 10, None),
    "methyl group": (9, 17, group(9, [6, 7, 8]), 10.75, None),
    "two kinds of atoms": (6, 9, group(6, [0, 2], [3, 4, 5]), 2.5, None),
    "water": (3, 25, group(3, [1, 2]), 1.3, None),
    "two atoms": (2, 3, group(2, [0, 1]), 0.7, None),
    "periodic": (5, 8, group(5, [1, 2]), 2.3, LATTICE),
    "one structure": (4, 1, group(4), 1.0, None),
}


def make(name):
    """Return positions [M, N, 3], permutations, sigma and the lattice of a case."""
    n_atoms, n, permutations, sigma, lattice = CASES[name]
    random = np.random.default_rng(len(name))
    positions = 1.5 * random.normal(size=(n_atoms, 3)) + 0.1 * random.normal(size=(n, n_atoms, 3))
    if lattice is not None:
        positions += random.integers(-1, 2, size=(n, n_atoms, 3)) @ lattice
    return positions, permutations, float(sigma), lattice


def pairs(n_atoms):
    return [(a, b) for a in range(n_atoms) for b in range(a)]


def plain_descriptors(positions, lattice):
    """Return x [M, D] and the Jacobian [M, D, 3N] by loops, and the order of pairs after a permutation."""
    n, n_atoms = positions.shape[:2]
    x, J = np.zeros((n, len(pairs(n_atoms)))), np.zeros((n, len(pairs(n_atoms)), n_atoms, 3))
    for k, (a, b) in enumerate(pairs(n_atoms)):
        d = positions[:, a] - positions[:, b]
        if lattice is not None:
            d -= np.rint(d @ np.linalg.inv(lattice)) @ lattice
        r = np.linalg.norm(d, axis=1)
        x[:, k] = 1 / r
        J[:, k, b] = d / r[:, None] ** 3
        J[:, k, a] = -J[:, k, b]
    return x, J.reshape(n, -1, 3 * n_atoms)


def permuted_pairs(permutation):
    number = {frozenset(pair): k for k, pair in enumerate(pairs(len(permutation)))}
    return [number[frozenset((permutation[a], permutation[b]))] for a, b in pairs(len(permutation))]


def plain_covariance(x, J, permutations, sigma):
    """Return the covariance of gradients and energies as the published formulas have it."""
    n, m = len(x), J.shape[2]
    FF, EF, EE = np.zeros((n, m, n, m)), np.zeros((n, n, m)), np.zeros((n, n))
    for i, j, permutation in itertools.product(range(n), range(n), permutations):
        order = permuted_pairs(permutation)
        d, J_j = x[i] - x[j][order], J[j][order]
        s = np.sqrt(5) * np.linalg.norm(d) / sigma
        e = 5 / (3 * sigma**2) * np.exp(-s)
        hessian = e * (5 / sigma**2 * np.outer(d, d) - (1 + s) * np.eye(len(d)))
        FF[i, :, j] -= J[i].T @ hessian @ J_j
        EF[i, j] += e * (1 + s) * d @ J_j
        EE[i, j] += (1 + s + s**2 / 3) * np.exp(-s)
    FF, EF = FF.reshape(n * m, n * m), EF.reshape(n, n * m)
    return np.block([[FF, EF.T], [EF, EE]])


@pytest.fixture(scope="module", params=CASES)
def case(request):
    positions, permutations, sigma, lattice = make(request.param)
    x, C = descriptors(positions, lattice)
    expected = plain_covariance(*plain_descriptors(positions, lattice), permutations, sigma)
    return positions, permutations, sigma, lattice, x, C, expected


def scale_of(matrix):
    return float(np.abs(matrix).max())


# ---- descriptors


def test_descriptors_are_the_published_ones(case):
    positions, _, _, lattice, x, C, _ = case
    expected, J = plain_descriptors(positions, lattice)
    assert_close(x, expected, KERNEL)
    lower = [b for _, b in pairs(positions.shape[1])]
    n = len(positions)
    assert_close(C, J.reshape(n, x.shape[1], -1, 3)[:, range(x.shape[1]), lower], KERNEL)


def test_derivatives_of_descriptors(case):
    positions, _, _, lattice, _, C, _ = case
    direction = np.random.default_rng(1).normal(size=positions.shape)
    upper, lower = zip(*pairs(positions.shape[1]), strict=True)
    along = np.einsum("nkc,nkc->nk", C, direction[:, lower] - direction[:, upper])
    measured = slope(lambda r: descriptors(r, lattice)[0], positions, direction)
    assert_close(along, measured, KERNEL_FD, scale=max(1.0, scale_of(measured)))


@pytest.mark.parametrize(
    ("positions", "lattice", "said"),
    [
        (np.zeros((1, 2, 3)), None, "positions of the atoms 0 and 1 are 0"),
        (np.array([[[0, 0, 0], [0, 0, 1e-7]]]), None, "accepted: finite positions, no two of them closer than 1e-6 A"),
        (np.full((1, 2, 3), np.nan), None, "positions holds NaN"),
        (np.zeros((2, 3)), None, r"positions has the shape \[2, 3\]; accepted: \[M, N, 3\]"),
        (np.zeros((2, 1, 3)), None, "positions has 1 atoms"),
        (np.eye(3)[None], np.ones((3, 3)), "lattice has the volume 0"),
        (np.eye(3)[None], np.ones(3), r"lattice has the shape \[3\]"),
    ],
)
def test_descriptors_refuse(positions, lattice, said):
    with pytest.raises(ValueError, match=said):
        descriptors(positions, lattice)


# ---- covariance


@pytest.mark.parametrize("energies", [False, True])
def test_covariance_is_that_of_the_formulas(case, energies):
    _, permutations, sigma, _, x, C, expected = case
    found = Covariance(x, C, permutations, sigma=sigma, energies=energies).assemble()
    expected = expected[: len(found), : len(found)]
    assert_close(found, expected, KERNEL, scale=scale_of(expected))


def test_covariance_is_the_second_derivative_of_the_kernel(case):
    """Energies alone have the kernel itself as covariance; finite differences of it in both geometries."""
    positions, permutations, sigma, lattice, *_ = case
    random = np.random.default_rng(2)
    first, second = positions[0], positions[-1] + 0.05 * random.normal(size=positions[0].shape)
    u, v = random.normal(size=(2, *first.shape))

    def energies(r, other):
        x, C = descriptors(np.stack([r, other]), lattice)
        return Covariance(x, C, permutations, sigma=sigma, energies=True).assemble()[-2, -1]

    measured = slope(lambda r: slope(lambda q: energies(r, q), second, v, 1e-3), first, u, 1e-3)
    x, C = descriptors(np.stack([first, second]), lattice)
    whole = Covariance(x, C, permutations, sigma=sigma).assemble()
    m = first.size
    size = scale_of(whole) * float(np.linalg.norm(u) * np.linalg.norm(v))
    assert_close(u.ravel() @ whole[:m, m:] @ v.ravel(), measured, Tolerance(1e-6, 0.0), scale=size)


@pytest.mark.parametrize("energies", [False, True])
def test_storages_hold_the_same(case, energies):
    _, permutations, sigma, _, x, C, _ = case
    covariance = Covariance(x, C, permutations, sigma=sigma, energies=energies)
    whole, n = covariance.assemble(), covariance.size
    lower = np.full((n, n), 7.0)
    assert covariance.assemble("lower", lower) is lower
    assert_close(np.tril(lower), np.tril(whole), EXACT)
    assert (lower[np.triu_indices(n, 1)] == 7.0).all()
    scipy_linalg = pytest.importorskip("scipy.linalg")
    packed, _ = scipy_linalg.lapack.dtrttf(np.asfortranarray(whole), transr="N", uplo="U")
    assert_close(covariance.assemble("packed"), packed, KERNEL, scale=scale_of(whole))


def test_progress_in_pieces_changes_nothing(case):
    _, permutations, sigma, _, x, C, _ = case
    covariance = Covariance(x, C, permutations, sigma=sigma)
    assert_close(covariance.assemble("packed", progress=True), covariance.assemble("packed"), EXACT)


def test_rows_and_products(case):
    _, permutations, sigma, _, x, C, _ = case
    covariance = Covariance(x, C, permutations, sigma=sigma, energies=True)
    whole, n = covariance.assemble(), covariance.size
    random = np.random.default_rng(3)
    some = np.sort(random.choice(n, min(n, 11), replace=False))
    assert_close(covariance.rows(some), whole[some], EXACT)
    vector = random.normal(size=n)
    assert_close(covariance.product(vector), whole @ vector, KERNEL, scale=n * scale_of(whole))


def test_threads_change_nothing(case):
    _, permutations, sigma, _, x, C, _ = case
    one, three = (Covariance(x, C, permutations, sigma=sigma, energies=True, threads=t) for t in (1, 3))
    vector = np.random.default_rng(4).normal(size=one.size)
    assert_close(three.assemble("packed"), one.assemble("packed"), EXACT)
    assert_close(three.product(vector), one.product(vector), EXACT)
    assert_close(three.rows([0, one.size - 1]), one.rows([0, one.size - 1]), EXACT)


def test_covariance_is_positive_semidefinite(case):
    *_, expected = case
    _, permutations, sigma, _, x, C, _ = case
    values = np.linalg.eigvalsh(Covariance(x, C, permutations, sigma=sigma, energies=True).assemble())
    assert values.min() > -1e-12 * scale_of(expected) * len(expected)


def test_large_molecules_and_groups():
    """Tens of atoms, more permutations than lanes: sampled rows beside the product, which is other code."""
    n_atoms = 30
    random = np.random.default_rng(8)
    positions = 3 * random.normal(size=(n_atoms, 3)) + 0.05 * random.normal(size=(9, n_atoms, 3))
    x, C = descriptors(positions)
    covariance = Covariance(x, C, group(n_atoms, [0, 1, 2], [9, 11, 15]), sigma=3.0, energies=True)
    some = np.array([0, 100, 500, covariance.size - 9, covariance.size - 1])
    rows, vector = covariance.rows(some), random.normal(size=covariance.size)
    assert_close(rows @ vector, covariance.product(vector)[some], KERNEL, scale=covariance.size * scale_of(rows))


def test_large_matrices_past_the_caches():
    """What is written past the caches is the same, on buffers that start anywhere."""
    positions, permutations, sigma, _ = make("methyl group")
    x, C = descriptors(
        np.concatenate([positions, positions + 0.01 * np.random.default_rng(1).normal(size=positions.shape)])
    )
    covariance = Covariance(x, C, permutations, sigma=sigma)
    n = covariance.size
    buffer = np.empty(n * n + 1)
    shifted = covariance.assemble("full", buffer[1:].reshape(n, n))
    assert shifted.nbytes > 2 << 20
    some = np.arange(0, n, 97)
    assert_close(shifted[some], covariance.rows(some), EXACT)


def test_ctrl_c_ends_a_long_assembly():
    """One call of seconds, of which a signal after 0.2 s of processor time leaves little."""
    positions = 3 * np.random.default_rng(9).normal(size=(400, 24, 3))
    covariance = Covariance(*descriptors(positions), group(24, [0, 1, 2, 3, 4]), sigma=3.0, threads=1)
    rows = np.arange(0, covariance.size, 3 * 24)
    before = signal.signal(signal.SIGPROF, signal.default_int_handler)
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            covariance.rows(rows)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sigma": 0.0}, "sigma is 0.0"),
        ({"sigma": np.nan}, "sigma is nan"),
        ({"permutations": [[0, 1, 1]]}, r"permutations\[0, 2\] is 1"),
        ({"permutations": [[0, 1, 3]]}, r"permutations\[0, 2\] is 3"),
        ({"permutations": [[0, 1, 2.5]]}, "permutations holds numbers that are not whole"),
        ({"permutations": [[0, 1]]}, r"permutations has the shape \[1, 2\]"),
        ({"x": np.ones((2, 4))}, "x has 4 features"),
        ({"x": np.full((2, 3), np.inf)}, "x holds NaN or infinity"),
        ({"C": np.ones((2, 3))}, r"C has the shape \[2, 3\]; accepted: \[2, 3, 3\]"),
    ],
)
def test_covariance_refuses(change, said):
    given = {"x": np.ones((2, 3)), "C": np.ones((2, 3, 3)), "permutations": None, "sigma": 1.0} | change
    if given["x"].shape != (2, 3):
        given["C"] = np.ones((*given["x"].shape, 3))
    with pytest.raises(ValueError, match=said):
        Covariance(given["x"], given["C"], given["permutations"], sigma=given["sigma"])


def test_wrong_buffers_are_refused():
    covariance = Covariance(np.ones((2, 3)), np.ones((2, 3, 3)), sigma=1.0)
    with pytest.raises(ValueError, match="storage is 'upper'"):
        covariance.assemble("upper")
    with pytest.raises(ValueError, match=r"out has the shape \[3, 3\]"):
        covariance.assemble("full", np.empty((3, 3)))
    with pytest.raises(ValueError, match="indices go from -1 to 2; accepted: 0 to 17"):
        covariance.rows([-1, 2])
    with pytest.raises(ValueError, match=r"vector has the shape \[3\]; accepted: \[18\]"):
        covariance.product(np.ones(3))


# ---- predictions


def model_of(case, *, energies=True):
    """Return a predictor with random coefficients, and all that it was made of."""
    positions, permutations, sigma, lattice, x, _, _ = case
    random = np.random.default_rng(11)
    v, c = random.normal(size=x.shape), random.normal(size=len(x)) if energies else None
    arrays = {"descriptors": x, "derivative_coefficients": v, "energy_coefficients": c, "permutations": permutations}
    model = Predictor(**arrays, sigma=sigma, scale=1.7, constant=2.0, lattice=lattice)
    return model, arrays, positions + 0.05 * random.normal(size=positions.shape)


def plain_prediction(case, arrays, positions):
    """Return energies and forces by the formulas of sGDML."""
    _, permutations, sigma, lattice, *_ = case
    x, J = plain_descriptors(positions, lattice)
    E, F = np.zeros(len(x)), np.zeros((len(x), J.shape[2]))
    c = arrays["energy_coefficients"]
    for permutation in permutations:
        order = permuted_pairs(permutation)
        d = x[:, None] - arrays["descriptors"][:, order]
        v = arrays["derivative_coefficients"][:, order]
        s = np.sqrt(5) * np.linalg.norm(d, axis=2) / sigma
        e, dv = 5 / (3 * sigma**2) * np.exp(-s), (d * v).sum(2)
        f = ((5 / sigma**2 * e * dv)[..., None] * d - (e * (1 + s))[..., None] * v).sum(1)
        E += (e * (1 + s) * dv).sum(1)
        if c is not None:
            E += (c * (1 + s + s**2 / 3) * np.exp(-s)).sum(1)
            f += ((c * e * (1 + s))[..., None] * d).sum(1)
        F += np.einsum("nkm,nk->nm", J, f)
    return 2.0 + 1.7 * E, 1.7 * F.reshape(positions.shape)


@pytest.mark.parametrize("energies", [False, True])
def test_predictions_are_those_of_the_formulas(case, energies):
    model, arrays, positions = model_of(case, energies=energies)
    for found, expected in zip(model.predict(positions), plain_prediction(case, arrays, positions), strict=True):
        assert_close(found, expected, KERNEL, scale=max(1.0, scale_of(expected)))


def test_forces_are_derivatives_of_energies(case):
    model, _, positions = model_of(case)
    direction = np.random.default_rng(12).normal(size=positions.shape)
    forces = model.predict(positions)[1]
    measured = slope(lambda r: model.predict(r)[0], positions, direction)
    assert_close(-(forces * direction).sum((1, 2)), measured, KERNEL_FD, scale=max(1.0, scale_of(measured)))


def test_predictions_do_not_depend_on_company_or_threads(case):
    model, _, positions = model_of(case)
    many = np.tile(positions, (5, 1, 1))
    E, F = model.predict(many, threads=1)
    for i in (0, len(positions) // 2, len(many) - 1):
        alone = model.predict(many[i : i + 1])
        assert alone[0][0] == E[i]
        assert_close(alone[1][0], F[i], EXACT)
    assert_close(model.predict(many, threads=3)[1], F, EXACT)


def test_permuted_geometries_have_the_same_energy(case):
    _, permutations, *_ = case
    model, _, positions = model_of(case)
    E, F = model.predict(positions)
    for permutation in permutations:
        energies, forces = model.predict(positions[:, permutation])
        assert_close(energies, E, INVARIANT, scale=max(1.0, scale_of(E)))
        assert_close(forces, F[:, permutation], INVARIANT, scale=max(1.0, scale_of(F)))


def test_predictions_of_the_official_ethanol_model():
    """Coefficients reach 1e11: rounding noise beside an 80-bit evaluation of the same formula."""
    folder = shared_data("sgdml_ethanol_model")
    with np.load(folder / "sgdml_ethanol.npz") as m, np.load(folder / "sgdml_ethanol_reference.npz") as reference:
        model = Predictor(
            m["R_desc"].T,
            m["R_d_desc_alpha"],
            None,
            m["perms"],
            sigma=float(m["sig"]),
            scale=float(m["std"]),
            constant=float(m["c"]),
        )
        E, F = model.predict(reference["R"])
        assert_close(E, reference["E_longdouble"], Tolerance(4e-6 * KCAL_NOISE, 0.0))
        assert_close(F, reference["F_longdouble"], Tolerance(2e-5 * KCAL_NOISE, 0.0))


@pytest.mark.parametrize(
    ("positions", "said"),
    [
        (np.zeros((1, 4, 3)), r"positions must have the shape \[n, 3, 3\]"),
        (np.zeros((1, 3, 3)), "positions of the atoms 0 and 1 are 0"),
        (np.full((1, 3, 3), np.nan), "positions of the atoms 0 and 1 are nan"),
    ],
)
def test_predictions_refuse(positions, said):
    model = Predictor(np.ones((2, 3)), np.ones((2, 3)), sigma=1.0)
    with pytest.raises(ValueError, match=said):
        model.predict(positions)


def test_no_geometries():
    E, F = Predictor(np.ones((2, 3)), np.ones((2, 3)), sigma=1.0).predict(np.empty((0, 3, 3)))
    assert E.shape == (0,)
    assert F.shape == (0, 3, 3)


# ---- sGDML itself


@pytest.mark.parametrize("energies", [False, True])
def test_same_matrix_and_predictions_as_sgdml(case, energies):
    positions, permutations, sigma, lattice, x, C, _ = case
    trainer, predictor, desc_class = sgdml()
    n, n_atoms = positions.shape[:2]
    columns = None if lattice is None else (lattice.T, np.linalg.inv(lattice.T))
    desc = desc_class(n_atoms, max_processes=1)
    desc_x, desc_C = desc.from_R(positions.reshape(n, -1), lat_and_inv=columns)
    desc_x, desc_C = desc_x.reshape(n, -1), desc_C.reshape(n, -1, 3)  # which it drops of a single structure
    assert_close(x, desc_x, PEER)
    assert_close(C, desc_C, PEER)
    tril = np.array([desc_class.perm(p) for p in permutations])
    lin = (tril + np.arange(len(permutations))[:, None] * x.shape[1]).flatten("F")
    K = trainer._assemble_kernel_mat(desc_x, desc_C, lin, sigma, desc, use_E_cstr=energies)
    found = Covariance(x, C, permutations, sigma=sigma, energies=energies).assemble()
    assert_close(found, -K, KERNEL, scale=scale_of(K))
    model, arrays, moved = model_of(case, energies=energies)
    file = {
        "type": np.array("m"),
        "z": np.ones(n_atoms, int),
        "R_desc": x.T,
        "R_d_desc_alpha": arrays["derivative_coefficients"],
        "perms": permutations,
        "tril_perms_lin": lin,
        "sig": sigma,
        "c": 2.0,
        "std": 1.7,
    }
    file |= {"alphas_E": arrays["energy_coefficients"]} if energies else {}
    file |= {"lattice": lattice.T} if lattice is not None else {}
    theirs = predictor(file, max_processes=1, use_torch=False)
    theirs._set_num_workers(0)
    E, F = theirs.predict(moved.reshape(n, -1))
    ours = model.predict(moved)
    assert_close(ours[0], E, KERNEL, scale=max(1.0, scale_of(E)))
    assert_close(ours[1], F.reshape(moved.shape), KERNEL, scale=max(1.0, scale_of(F)))
