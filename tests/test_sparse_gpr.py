"""Sparse kernel machines against the formulas written out, and what they promise about memory."""

import logging

import numpy as np
import pytest

from atomcore import _memory
from atomcore.data import from_atoms, load, sample
from atomcore.features import Gaussian
from atomcore.kernels import RBF, Points, covariance, diagonal
from atomcore.models import GaussianProcess, KernelRidge
from atomcore.models import _kernel_machine as machine_module
from atomcore.models._kernel_sparse import SELECTIONS
from kernel_cases import functions, molecules, mueller_brown
from tolerances import GROWN, assert_close

NOISE = {"noise": 0.05, "gradient_noise": 0.1}
BOTH = {"energies": True, "forces": True}


def toy(n=60, seed=0):
    points = np.random.default_rng(seed).uniform((-1.0, 0.0), (0.5, 1.5), (n, 2))
    return points, *mueller_brown(points)


def test_mean_and_variance_are_those_of_the_formula():
    """Deterministic training conditional in its textbook form, with explicit inverses."""
    X, y, G = toy()
    query = toy(5, seed=1)[0]
    kernel = RBF(0.5, variance=20.0)
    model = GaussianProcess(kernel, search=None, mean="zero", inducing=15, jitter=1e-8, **NOISE)
    model.fit(X, y, gradients=G)
    Z = model._solver.points
    assert len(Z.X) == 15
    data, asked = Points.of_variables(X), Points.of_variables(query)
    kinds = {"energies": (True, True), "forces": (True, False)}
    K_nm, K_qm = covariance(kernel, data, Z, **kinds), covariance(kernel, asked, Z, **kinds)
    K_mm = covariance(kernel, Z) + 1e-8 * 20.0 * np.eye(15)
    weight = 1 / np.where(np.arange(len(K_nm)) < len(X), 0.05**2, 0.1**2)
    inverse = np.linalg.inv(K_mm + (K_nm.T * weight) @ K_nm)
    mean = K_qm @ inverse @ (K_nm.T @ (weight * np.concatenate([y, G.ravel()])))
    variance = diagonal(kernel, asked, **BOTH)
    variance += np.einsum("qm,mn,qn->q", K_qm, inverse - np.linalg.inv(K_mm), K_qm)
    values, slopes, std, slopes_std = model.predict(query, return_std=True, derivatives=True)
    assert_close(np.concatenate([values, slopes.ravel()]), mean, GROWN, scale=100.0)
    assert_close(np.concatenate([std, slopes_std.ravel()]) ** 2, variance, GROWN, scale=100.0)


def two_outputs(model_class, **settings):
    """Return a sparse model of two outputs with a constant mean, its labels gathered and not solved for."""
    X, y, G = toy()
    y = np.stack([y, X[:, 0] * X[:, 1]], 1)
    G = np.stack([G, X[:, ::-1]], 2)
    model = model_class(RBF(0.5, variance=20.0), inducing=15, jitter=1e-8, **settings).fit(X, y, gradients=G)
    model._begin_sparse(searched=True)
    model._gather(model._batches[0], False)
    return model, Points.of_variables(X), np.concatenate([y - y.mean(axis=0), G.reshape(-1, 2)])


@pytest.mark.parametrize("amplitude", [True, False])
def test_noise_maximizes_the_variational_bound(amplitude):
    """Titsias 2009, equation 9, with dense matrices; without an amplitude of the kernel at the best one."""
    settings = NOISE if amplitude else {"regularization": 0.05**2, "gradient_regularization": 0.1**2}
    model, data, labels = two_outputs(GaussianProcess if amplitude else KernelRidge, search=None, **settings)
    solver = model._solver
    kinds = {"energies": (True, True), "forces": (True, False)}
    K_nm = covariance(model.kernel_, data, solver.points, **kinds)
    Q = K_nm @ np.linalg.solve(covariance(model.kernel_, solver.points) + 1e-8 * 20.0 * np.eye(15), K_nm.T)
    noise = np.where(np.arange(len(K_nm)) < 60, 0.05**2, 0.1**2)
    left = np.sum((diagonal(model.kernel_, data, **BOTH) - Q.diagonal()) / noise)

    def dense(s):
        C = Q + s * np.diag(noise)
        fits = [y @ np.linalg.solve(C, y) for y in labels.T]
        data_terms = sum(fits) if amplitude else len(Q) * np.sum(np.log(fits))
        return -0.5 * (data_terms + 2 * (np.linalg.slogdet(C)[1] - np.sum(np.log(noise)) + left / s))

    for s in (1.0, 7.0, 3e3):
        assert_close(solver.bound(model._coefficients, s, amplitude=amplitude), dense(s), GROWN)
    model._solver.scale_noise(model._coefficients, amplitude=amplitude)
    found = solver.noise[0] / 0.05**2
    assert found > 100
    assert dense(found) > max(dense(0.8 * found), dense(1.25 * found))
    bounds = [solver.bound(model._coefficients, s, amplitude=amplitude) for s in (1.0, 2.0)]
    assert_close(bounds[1] - bounds[0], dense(2 * found) - dense(found), GROWN, scale=1e3)
    model._finish()  # as if the noise had been that from the start
    other, _, _ = two_outputs(
        type(model), search=None, **{k: v * found ** (0.5 if amplitude else 1.0) for k, v in settings.items()}
    )
    other._finish()
    query = toy(5, seed=1)[0]
    assert_close(model.predict(query), other.predict(query), GROWN, scale=100.0)


def test_noise_of_an_exact_search_is_not_forced_on_few_points(caplog):
    """The noise that 30 exact structures need is far below what 100 inducing points leave of them."""
    split = load(sample("glycol")).split(train=60, seed=0)
    train, test = (part.subset(range(30)) for part in (split.train, split.test))
    settings = {"features": Gaussian(split.elements), "inducing": 100}
    searched = GaussianProcess(search_rows=200, starts=1, **settings).fit(train)
    assert "The noise variances that the search found are multiplied by" in caplog.text
    assert "times the noise of the labels" not in caplog.text
    exact = GaussianProcess(features=settings["features"], search_rows=200, starts=1).fit(train)
    assert exact.kernel_ == searched.kernel_
    given = {"noise": exact.noise_, "gradient_noise": exact.gradient_noise_, "search": None}
    forced = GaussianProcess(exact.kernel_, **settings, **given).fit(train)
    assert "The 100 inducing points leave" in caplog.text

    def error(model):
        return np.sqrt(np.mean((model.predict(test, derivatives=True)[1] - test.forces) ** 2))

    assert error(searched) < 3 * error(exact)
    assert error(forced) > 3 * error(exact)


def test_energies_that_forces_outweigh_are_said(caplog):
    X, y, G = toy()
    settings = {"search": None, "inducing": 8}
    GaussianProcess(RBF(0.3, variance=400.0), noise=1.0, gradient_noise=1.0, **settings).fit(X, y)
    assert "the mean function alone" not in caplog.text
    model = GaussianProcess(RBF(0.3, variance=400.0), noise=1e3, gradient_noise=0.1, **settings).fit(X, y, gradients=-G)
    error = np.sqrt(np.mean((model.predict(X) - y) ** 2))
    assert error > y.std()
    assert f"off by {error:.3g} (root mean square) where the mean function alone is by {y.std():.3g}" in caplog.text


def test_given_noise_stays(caplog):
    X, y, G = toy()
    settings = {"inducing": 10, "starts": 1}
    model = GaussianProcess(**NOISE, **settings).fit(X, y, gradients=G)
    assert (model.noise_, model.gradient_noise_) == pytest.approx((0.05, 0.1), rel=1e-15)
    assert model._solver.noise == model._noise
    residuals = np.concatenate(
        [(y - model.predict(X)) / 0.05, (G - model.predict(X, derivatives=True)[1]).ravel() / 0.1]
    )
    misfit = np.sqrt(np.mean(residuals**2))
    assert misfit > 10
    assert f"The 10 inducing points leave {misfit:.3g} times the noise" in caplog.text
    half = GaussianProcess(noise=0.05, **settings).fit(X, y, gradients=G)
    assert half.noise_ == pytest.approx(0.05, rel=1e-15)
    assert "multiplied" not in caplog.text
    ridge = KernelRidge(search="leave_one_out", **settings).fit(X, y)
    assert (ridge.regularization_, ridge.gradient_regularization_) == ridge._solver.noise
    assert "multiplied" in caplog.text


def test_all_points_are_the_exact_model():
    X, y, _ = toy(30)
    exact = GaussianProcess(RBF(0.3, variance=20.0), search=None, **NOISE).fit(X, y)
    sparse = GaussianProcess(RBF(0.3, variance=20.0), search=None, inducing=30, jitter=1e-12, **NOISE).fit(X, y)
    query = toy(8, seed=2)[0]
    for a, b in zip(sparse.predict(query, return_std=True), exact.predict(query, return_std=True), strict=True):
        assert_close(a, b, GROWN, scale=100.0)


@pytest.mark.parametrize("labels", [("energy",), ("forces",), ("energy", "forces")])
def test_chunks_and_additions_change_nothing(labels, monkeypatch):
    images = molecules(9)
    query = molecules(3, seed=5)
    settings = {"features": functions(), "labels": labels, "search": None, "inducing": 12, **NOISE}

    def predictions(model):
        return model.predict(query, return_std=True, derivatives=True)

    whole = predictions(GaussianProcess(RBF(2.0), **settings).fit(images))
    monkeypatch.setattr(machine_module, "CHUNK", 1)
    chunked = predictions(GaussianProcess(RBF(2.0), **settings).fit(images))
    for a, b in zip(chunked, whole, strict=True):
        assert_close(a, b, GROWN)
    first = GaussianProcess(RBF(2.0), **settings).fit(images[:6])
    kept = first._solver.points.X.copy()
    grown = predictions(first.add(images[6:]))
    assert (kept == first._solver.points.X).all()
    assert first._solver.n_labels == sum(len(first._labels(batch).values) for batch in first._batches)
    first._begin_sparse = lambda: None  # the same inducing points and scales, all data at once
    again = GaussianProcess(RBF(2.0), **settings).fit(images[:6])
    again._gather(again._batch(from_atoms(images[6:]), None, None), False)
    again._batches.append(again._batch(from_atoms(images[6:]), None, None))
    again._finish()
    for a, b in zip(predictions(again), grown, strict=True):
        assert_close(a, b, GROWN)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_more_points_are_better_and_seeds_repeat(selection):
    X, y, _ = toy(300)
    query, label, _ = toy(100, seed=7)
    errors = []
    for count in (10, 60):
        settings = {"search": None, "noise": 0.02, "inducing": count, "selection": selection, "seed": 3}
        models = [GaussianProcess(RBF(0.4, variance=20.0), **settings).fit(X, y) for _ in range(2)]
        predicted = [model.predict(query) for model in models]
        assert (predicted[0] == predicted[1]).all()
        errors.append(np.sqrt(np.mean((predicted[0] - label) ** 2)))
    assert errors[1] < 0.2 * errors[0]


def test_rare_elements_have_their_share():
    images = molecules(12, ["CH3OH", "CH3CH2OH"])
    model = KernelRidge(RBF(2.0), features=functions(["H", "C", "O"]), labels=["energy"], inducing=30).fit(images)
    numbers, counts = np.unique(model._solver.points.elements, return_counts=True)
    assert numbers.tolist() == [1, 6, 8]
    assert counts.min() >= 5


def test_memory_is_said_beforehand_and_refused(monkeypatch, caplog):
    X, y, _ = toy(400)
    monkeypatch.setattr(_memory, "free_memory", lambda: 2e6)
    with pytest.raises(MemoryError, match=r"with 300 inducing points would take .* 2 MB are free; instead"):
        KernelRidge(inducing=300).fit(X, y)
    with pytest.raises(MemoryError, match=r"kernel matrix of 700 labels .*inducing=350, which takes 12.9 MB"):
        KernelRidge().fit(np.random.default_rng(0).normal(size=(700, 2)), np.zeros(700))
    monkeypatch.setattr(_memory, "free_memory", lambda: 1e9)
    monkeypatch.setattr(_memory, "_ANNOUNCED", 1e6)
    with caplog.at_level(logging.INFO, "atomcore"):
        KernelRidge(inducing=300).fit(X, y)
    assert "A sparse model with 300 inducing points takes" in caplog.text


@pytest.mark.long
def test_a_hundred_thousand_atoms():
    """Energies of 33000 waters by 200 inducing points, in memory that does not grow with the structures' square."""
    images = molecules(60, ["H2O"])
    many = from_atoms([images[i % 60] for i in range(33_400)])
    model = GaussianProcess(RBF(2.0), features=functions(["H", "O"]), labels=["energy"], inducing=200, starts=1)
    model.fit(many)
    assert len(many.numbers) > 100_000
    error = model.predict(from_atoms(images)) - from_atoms(images).energy
    assert np.sqrt(np.mean(error**2)) < 0.05 * from_atoms(images).energy.std()
