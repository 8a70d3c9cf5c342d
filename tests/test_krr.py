"""Kernel ridge regression, and both kernel machines in scikit-learn's tools."""

import numpy as np
import pytest

from atomcore.data import from_atoms
from atomcore.kernels import RBF, Laplacian, Matern
from atomcore.models import GaussianProcess, KernelRidge
from helpers import run_python
from kernel_cases import functions, molecules, mueller_brown
from tolerances import GROWN, KERNEL_MODEL, PEER, assert_close


def toy(n=40, seed=0):
    points = np.random.default_rng(seed).uniform((-1.5, -0.3), (1.2, 2.0), (n, 2))
    return points, *mueller_brown(points)


def test_the_same_as_scikit_learn():
    peer = pytest.importorskip("sklearn.kernel_ridge", reason="scikit-learn is the oracle")
    X, y, _ = toy()
    Y = np.stack([y, y**2 / 100], 1)
    ours = KernelRidge(RBF(0.4), regularization=1e-6, mean="zero").fit(X, Y)
    theirs = peer.KernelRidge(kernel="rbf", gamma=1 / (2 * 0.4**2), alpha=1e-6).fit(X, Y)
    query = toy(9, seed=1)[0]
    assert_close(ours.predict(query), theirs.predict(query), PEER, scale=1e3)
    label = np.stack([toy(9, seed=1)[1], np.arange(9.0)], 1)
    assert_close(ours.score(query, label), theirs.score(query, label), PEER, scale=1e3)


def test_the_same_as_a_process_with_that_noise():
    X, y, G = toy(12)
    ridge = KernelRidge(RBF(0.5), regularization=1e-4, gradient_regularization=1e-3).fit(X, y, gradients=G)
    process = GaussianProcess(RBF(0.5), search=None, noise=1e-2, gradient_noise=1e-3**0.5).fit(X, y, gradients=G)
    query = toy(4, seed=2)[0]
    for a, b in zip(ridge.predict(query, derivatives=True), process.predict(query, derivatives=True), strict=True):
        assert_close(a, b, KERNEL_MODEL, scale=100.0)
    with pytest.raises(ValueError, match="KernelRidge has no variance"):
        ridge.predict(query, return_std=True)


@pytest.mark.parametrize("criterion", ["leave_one_out", "cross_validation"])
def test_searches_find_errors_that_are_small(criterion):
    X, y, _ = toy(80)
    model = KernelRidge(RBF([1.0, 1.0]), search=criterion, starts=2).fit(X, y)
    assert model.search_.criterion == criterion
    assert model.kernel_.variance == 1.0
    plain = KernelRidge(RBF(model.kernel_.length * 3), regularization=1e-8).fit(X, y)
    query, label, _ = toy(60, seed=4)
    assert model.score(query, label) > max(0.7, plain.score(query, label))
    with pytest.raises(ValueError, match="accepted: None, leave_one_out, cross_validation"):
        KernelRidge(search="marginal_likelihood").fit(X, y)


@pytest.mark.parametrize("make", [KernelRidge, GaussianProcess])
def test_model_selection_of_scikit_learn(make):
    selection = pytest.importorskip("sklearn.model_selection", reason="scikit-learn is what this is about")
    from sklearn.base import clone, is_regressor

    X, y, _ = toy(60)
    model = make(RBF(0.4), search=None)
    assert is_regressor(model)
    copy = clone(model)
    assert copy is not model
    assert copy.get_params() == model.get_params()
    grid = selection.GridSearchCV(model, {"kernel__length": [0.05, 0.4], "mean": ["zero", "constant"]}, cv=3).fit(X, y)
    assert grid.best_params_["kernel__length"] == 0.4
    assert model.kernel.length == 0.4
    scores = selection.cross_val_score(model, X, y, cv=selection.KFold(4, shuffle=True, random_state=0))
    assert np.mean(scores) > 0.7
    by_length, _ = selection.validation_curve(model, X, y, param_name="kernel__length", param_range=[0.01, 0.4], cv=3)
    assert by_length.shape == (2, 3)


def test_structures_in_model_selection():
    selection = pytest.importorskip("sklearn.model_selection", reason="scikit-learn is what this is about")
    images = molecules(12)
    model = KernelRidge(RBF(3.0), features=functions(), labels=["energy"], regularization=1e-6, mean="elements")
    energy = np.array([atoms.get_potential_energy() for atoms in images])
    folds = selection.KFold(3, shuffle=True, random_state=1)
    scores = selection.cross_val_score(model, images, energy, cv=folds)
    alone = []
    for train, test in folds.split(images):
        fitted = KernelRidge(**model.get_params(deep=False)).fit([images[i] for i in train])
        alone.append(fitted.score([images[i] for i in test]))
    assert_close(scores, np.array(alone), GROWN)


def test_parameters_by_name():
    model = KernelRidge(Matern(2.0, nu=1.5), regularization=1e-3, seed=4)
    assert model.get_params()["kernel__nu"] == 1.5
    model.set_params(kernel__length=3.0, seed=5)
    assert model.kernel == Matern(3.0, nu=1.5)
    assert model.seed == 5
    with pytest.raises(ValueError, match="KernelRidge has no argument 'sigma'"):
        model.set_params(sigma=1.0)
    assert repr(KernelRidge(seed=2)) == "KernelRidge(seed=2)"


def test_atomic_kernels_are_sums_over_pairs_of_atoms():
    """The rule of ML4Chem: (L K L^T + lambda) w = E, with nothing between atoms of two elements."""
    images, query = molecules(5), molecules(2, seed=3)
    kernel, f = Laplacian(2.0, norm=2), functions()
    model = KernelRidge(kernel, features=f, labels=["energy"], regularization=1e-5, mean="zero", scaling="none")
    model.fit(images)

    def pairs(first, second):
        K = np.zeros((len(first), len(second)))
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                for x, z in zip(f.compute(a), a.numbers, strict=True):
                    for u, other in zip(f.compute(b), b.numbers, strict=True):
                        K[i, j] += z == other and np.exp(-np.linalg.norm(x - u) / 2.0)
        return K

    noise = 1e-5 * np.diag([len(atoms) for atoms in images])
    w = np.linalg.solve(pairs(images, images) + noise, from_atoms(images).energy)
    assert_close(model.predict(query), pairs(query, images) @ w, KERNEL_MODEL, scale=np.abs(w).max())


def test_neither_torch_nor_scikit_learn_is_imported():
    code = """
import sys
import numpy as np
import atomcore
from atomcore.models import GaussianProcess, KernelRidge
assert "scipy" not in sys.modules
X = np.random.default_rng(0).normal(size=(20, 2))
GaussianProcess(starts=1).fit(X, X[:, 0])
KernelRidge().fit(X, X[:, 0])
assert "torch" not in sys.modules and "sklearn" not in sys.modules
"""
    run_python(code)


@pytest.mark.parametrize("bad", ["shape (3, N)", "ragged", "strings", "complex"])
def test_malformed_input_is_refused(bad):
    X, y, _ = toy(6)
    given = {"shape (3, N)": X[None], "ragged": [[0.0, 1.0], [2.0]], "strings": [["a", "b"]], "complex": X + 1j}[bad]
    with pytest.raises((TypeError, ValueError), match="X"):
        KernelRidge().fit(given, y[: len(given)])
