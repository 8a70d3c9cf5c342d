"""Sparse kernel machines against the formulas written out, and what they promise about memory."""

import logging

import numpy as np
import pytest

from atomcore import _memory
from atomcore.data import from_atoms
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
