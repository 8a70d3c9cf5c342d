"""Gaussian processes: exact ones, against plain linear algebra and derivatives by differences."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from atomcore import Potential, model_file
from atomcore.data import from_atoms
from atomcore.features import CoulombMatrix, InverseDistances
from atomcore.kernels import RBF, Laplacian, Matern, Polynomial
from atomcore.kernels.linalg import NotPositiveDefinite
from atomcore.models import GaussianProcess, KernelRidge
from atomcore.models import _kernel_search as search_module
from helpers import run_python, slope
from kernel_cases import as_oracle, functions, labelled, molecules, mueller_brown, mueller_brown_grid
from tolerances import CRITERION_FD, FORCES_FD, GROWN, KERNEL_MODEL, assert_close

torch = pytest.importorskip("torch", reason="the oracle is written in torch")
import kernel_oracle  # noqa: E402

NOISE = {"noise": 0.02, "gradient_noise": 0.05}


def toy(n=25, seed=0):
    points = np.random.default_rng(seed).uniform((-1.5, -0.3), (1.2, 2.0), (n, 2))
    return points, *mueller_brown(points)


def plain(K, noise, y, cross, prior):
    """Mean and variance by explicit inverses."""
    inverse = np.linalg.inv(K + np.diag(noise))
    return cross @ inverse @ y, prior - np.einsum("qn,nm,qm->q", cross, inverse, cross)


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("kernel", [RBF([0.4, 0.5], variance=20.0), Matern(0.8, nu=2.5, variance=9.0)])
def test_mean_and_variance_are_those_of_plain_linear_algebra(kernel, gradients):
    X, y, G = toy(8)
    query = toy(3, seed=1)[0]
    model = GaussianProcess(kernel, search=None, mean="zero", **NOISE)
    model.fit(X, y, gradients=G if gradients else None)
    own, asked = ([(x[None], [0], np.eye(2)[None]) for x in points] for points in (X, query))
    kinds = {"gradients": gradients}
    K = kernel_oracle.covariance(kernel, own, own, **kinds)
    both = kernel_oracle.covariance(kernel, asked, own, gradients=True)
    cross = both if gradients else both[:, : len(X)]
    prior = np.diag(kernel_oracle.covariance(kernel, asked, asked, gradients=True))
    noise = np.where(np.arange(len(K)) < len(X), 0.02**2, 0.05**2)
    mean, variance = plain(K, noise, np.concatenate([y, G.ravel()])[: len(K)], cross, prior)
    values, slopes, std, slopes_std = model.predict(query, return_std=True, derivatives=True)
    assert_close(np.concatenate([values, slopes.ravel()]), mean, KERNEL_MODEL, scale=np.abs(y).max())
    assert_close(np.concatenate([std, slopes_std.ravel()]) ** 2, variance, KERNEL_MODEL, scale=prior.max())


@pytest.mark.parametrize("labels", [("energy",), ("forces",), ("energy", "forces")])
def test_structures_by_atoms_against_plain_linear_algebra(labels):
    images, query = molecules(4), molecules(2, seed=9)
    kernel = RBF(2.0, variance=0.3)
    model = GaussianProcess(kernel, features=functions(), labels=labels, search=None, mean="constant", **NOISE).fit(
        from_atoms(images)
    )
    own, asked = as_oracle(model, images), as_oracle(model, query)
    kinds = {"energies": "energy" in labels, "gradients": "forces" in labels}
    K = kernel_oracle.covariance(kernel, own, own, **kinds)
    whole = kernel_oracle.covariance(kernel, asked, own, gradients=True)
    prior = np.diag(kernel_oracle.covariance(kernel, asked, asked, gradients=True))
    n, sizes = len(images), [len(atoms) for atoms in images]
    columns = np.arange(whole.shape[1]) < n
    cross = whole[:, columns if not kinds["gradients"] else ~columns if not kinds["energies"] else slice(None)]
    energy = np.array([atoms.get_potential_energy() for atoms in images])
    offset = energy.mean() if kinds["energies"] else 0.0
    parts = [energy - offset] * kinds["energies"]
    parts += [-np.concatenate([atoms.get_forces().ravel() for atoms in images])] * kinds["gradients"]
    noise = [0.02**2 * np.array(sizes)] * kinds["energies"] + [np.full(3 * sum(sizes), 0.05**2)] * kinds["gradients"]
    mean, variance = plain(K, np.concatenate(noise), np.concatenate(parts), cross, prior)
    if not kinds["energies"]:  # the constant is what the forces leave
        fitted = kernel_oracle.covariance(kernel, own, own, gradients=True)[:n, n:]
        offset = np.mean(energy - fitted @ np.linalg.inv(K + np.diag(noise[0])) @ parts[0])
    values, forces, std, forces_std = model.predict(query, return_std=True, derivatives=True)
    assert_close(values, mean[: len(query)] + offset, KERNEL_MODEL)
    assert_close(forces.ravel(), -mean[len(query) :], KERNEL_MODEL)
    assert_close(np.concatenate([std, forces_std.ravel()]) ** 2, variance, KERNEL_MODEL, scale=prior.max())


def test_forces_are_minus_the_slope_of_the_energy():
    model = GaussianProcess(features=functions(), seed=1, starts=1).fit(from_atoms(molecules(6)))
    atoms = molecules(1, seed=5)[0]
    direction = np.random.default_rng(0).normal(size=(len(atoms), 3))

    def energy(positions):
        moved = atoms.copy()
        moved.positions[:] = positions
        return model.compute(moved, ["energy"])["energy"]

    found = model.compute(atoms, ["energy", "forces", "energy_spread", "forces_spread"])
    assert_close(-np.sum(found["forces"] * direction), slope(energy, atoms.positions, direction), FORCES_FD)
    assert_close(found["energy"], energy(atoms.positions), KERNEL_MODEL)
    assert found["energy_spread"] > 0
    assert found["forces_spread"].shape == (len(atoms), 3)


def test_order_of_atoms_does_not_matter_where_kernels_are_of_atoms():
    model = GaussianProcess(features=functions(), starts=1).fit(molecules(6))
    atoms = molecules(3, seed=4)[2]
    order = np.random.default_rng(1).permutation(len(atoms))
    whole, turned = model.compute(atoms), model.compute(atoms[order])
    assert_close(turned["energy"], whole["energy"], KERNEL_MODEL)
    assert_close(turned["forces"], whole["forces"][order], KERNEL_MODEL)


@pytest.mark.parametrize("criterion", search_module.CRITERIA)
@pytest.mark.parametrize("gradients", [False, True])
def test_criteria_have_the_slopes_of_differences(criterion, gradients):
    X, y, G = toy(9)
    model = GaussianProcess(search=None, mean="zero", **NOISE).fit(X, y, gradients=G if gradients else None)
    labels = model._labels(model._batches[0])
    problem = search_module._Problem(
        RBF([0.5, 0.7]), labels, criterion, noise=(None, None), fixed_variance=False, seed=3
    )
    theta = np.log([12.0, 0.5, 0.7, *([1e-3, 1e-2] if gradients else [1e-3])])
    direction = np.random.default_rng(2).normal(size=theta.shape)
    value, gradient = problem(theta)
    assert value == problem.value(theta)
    assert_close(gradient @ direction, slope(problem.value, theta, direction), CRITERION_FD, scale=abs(value))


def test_leaving_out_is_training_without():
    X, y, G = toy(10)
    settings = {"search": None, "mean": "zero", **NOISE}
    model = GaussianProcess(RBF(0.5, variance=20.0), **settings).fit(X, y, gradients=G)
    values, slopes = model.leave_one_out()
    for left in (0, 7):
        rest = np.arange(10) != left
        other = GaussianProcess(RBF(0.5, variance=20.0), **settings).fit(X[rest], y[rest], gradients=G[rest])
        value, gradient = other.predict(X[[left]], derivatives=True)
        assert_close(values[left], value[0], GROWN)
        assert_close(slopes[left], gradient[0], GROWN)


@pytest.mark.parametrize("kind", ["values", "gradients", "structures"])
def test_adding_is_training_on_all(kind):
    if kind == "structures":
        images = molecules(6)
        first, second, query = (images[:4],), (images[4:],), molecules(2, seed=8)
        settings = {"features": functions(), "scaling": "none"}
        whole = (images,)
    else:
        X, y, G = toy(20)
        G = G if kind == "gradients" else None
        part = [slice(12), slice(12, 20)]
        first, second = ((X[p], y[p], None if G is None else G[p]) for p in part)
        whole, query, settings = (X, y, G), toy(4, seed=3)[0], {}

    def fitted(method, data):
        return method(*data[:2], gradients=data[2]) if len(data) == 3 else method(*data)

    make = lambda: GaussianProcess(RBF(0.6, variance=9.0), search=None, **NOISE, **settings)  # noqa: E731
    grown, once = make(), make()
    fitted(grown.fit, first)
    fitted(grown.add, second)
    fitted(once.fit, whole)
    results = [model.predict(query, return_std=True, derivatives=True) for model in (grown, once)]
    for a, b in zip(*results, strict=True):
        assert_close(a, b, GROWN, scale=max(1.0, np.abs(b).max()))


def test_mueller_brown_with_few_points_finds_the_scale_by_itself():
    def valley(n, seed):
        points = np.random.default_rng(seed).uniform((-1.0, 0.0), (0.5, 1.5), (n, 2))
        return points, *mueller_brown(points)

    X, y, G = valley(60, 0)
    query = valley(40, 5)
    for shift in (1.0, 1000.0):  # whatever the units
        model = GaussianProcess(RBF([1.0, 1.0])).fit(shift * X, y, gradients=G / shift)
        assert model.search_.converged
        assert model.search_.values[0] == min(model.search_.values)
        error = model.predict(shift * query[0]) - query[1]
        assert np.sqrt(np.mean(error**2)) < 0.1
        assert np.allclose(model.kernel_.length / shift, [0.33, 0.31], atol=0.05)


@pytest.mark.long
@pytest.mark.parametrize(("n", "seeds", "bound"), [(696, [0], 0.0025), (300, range(5), 0.003)])
def test_mueller_brown(n, seeds, bound):
    X, y, G = mueller_brown_grid()
    assert len(X) == 696
    errors = []
    for seed in seeds:
        chosen = np.random.default_rng(seed).permutation(len(X))[:n]
        given = G[chosen] if n < len(X) else None
        model = GaussianProcess(RBF([1.0, 1.0]), seed=seed).fit(X[chosen], y[chosen], gradients=given)
        errors.append(np.sqrt(np.mean((model.predict(X) - y) ** 2)))
    assert np.median(errors) <= bound


def test_several_outputs_are_each_what_they_are_alone():
    X, y, G = toy(12)
    two, slopes = np.stack([y, np.sin(y)], 1), np.stack([G, G * np.cos(y)[:, None]], 2)
    settings = {"search": None, **NOISE}
    model = GaussianProcess(RBF(0.5), **settings).fit(X, two, gradients=slopes)
    query = toy(3, seed=2)[0]
    values, gradients, std, gradients_std = model.predict(query, return_std=True, derivatives=True)
    assert values.shape == std.shape == (3, 2)
    assert gradients.shape == gradients_std.shape == (3, 2, 2)
    for k in range(2):
        alone = GaussianProcess(RBF(0.5), **settings).fit(X, two[:, k], gradients=slopes[..., k])
        value, gradient, one, one_std = alone.predict(query, return_std=True, derivatives=True)
        for a, b in (
            (values[:, k], value),
            (gradients[..., k], gradient),
            (std[:, k], one),
            (gradients_std[..., k], one_std),
        ):
            assert_close(a, b, GROWN)


@pytest.mark.parametrize("labels", [("energy",), ("energy", "forces")])
def test_the_record_is_the_model(labels):
    images, atoms = molecules(6), molecules(3, seed=7)[2]
    model = GaussianProcess(Matern(2.0, variance=0.2), features=functions(), labels=labels, search=None, **NOISE)
    record = model.fit(images).to_record()
    energy = record.constant
    for number, symbol, x in zip(atoms.numbers, atoms.symbols, model.features.compute(atoms), strict=True):
        part = record.sums[number]
        d = x * part.scale - part.centres
        s = np.sqrt(5 * np.sum(d**2, axis=1))
        energy += record.reference[record.elements.index(symbol)]
        energy += part.coefficients @ ((1 + s + s**2 / 3) * np.exp(-s))
        if part.derivative_coefficients is not None:
            energy += np.sum(part.derivative_coefficients * d * (5 / 3 * (1 + s) * np.exp(-s))[:, None])
    assert (record.sums[8].derivative_coefficients is None) == ("forces" not in labels)
    assert_close(energy, model.compute(atoms)["energy"], KERNEL_MODEL)


def test_repeated_points_without_noise_are_named():
    X, y, _ = toy(8)
    twice = np.concatenate([X, X[:1]])
    with pytest.raises(NotPositiveDefinite, match="8") as caught:
        GaussianProcess(RBF(0.5), search=None, noise=0.0).fit(twice, np.append(y, y[0]))
    assert caught.value.pivot == 8
    assert isinstance(caught.value, np.linalg.LinAlgError)


def test_a_matrix_that_does_not_fit_is_refused_before_it_is_made():
    code = """
import resource, time
import numpy as np
from atomcore.models import GaussianProcess, KernelRidge
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
for n in (17_000, 1_000_000):
    start = time.monotonic()
    try:
        GaussianProcess(search=None).fit(np.random.default_rng(0).normal(size=(n, 2)), np.zeros(n))
    except MemoryError as error:
        assert time.monotonic() - start < 1, "slow"
        print(error)
"""
    words = run_python(code).splitlines()
    assert len(words) == 2
    assert all("free" in line and "inducing=" in line for line in words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"search": "grid"}, "search is 'grid'; accepted: None, marginal_likelihood"),
        ({"noise": -1.0, "search": None}, "noise is -1.0"),
        ({"mean": "elements"}, "mean is 'elements' for rows of numbers"),
        ({"starts": 0}, "starts is 0"),
        ({"labels": ["stress"]}, "labels is"),
        ({"inducing": 1.5}, "inducing is 1.5"),
        ({"jitter": 0.0}, "jitter is 0.0"),
        ({"inducing": 3, "noise": 0.0, "search": None}, "labels without noise"),
    ],
)
def test_arguments_are_checked_in_words(settings, words):
    X, y, _ = toy(6)
    with pytest.raises(ValueError, match=words):
        GaussianProcess(**settings).fit(X, y)


def test_what_is_given_must_fit():
    X, y, G = toy(6)
    model = GaussianProcess(search=None)
    for arguments, words in (
        ((X, y[:5]), "y must have shape"),
        ((X.T[:, :, None], y), "X must have shape"),
        ((X, np.where(y > y.mean(), np.nan, y)), "y has a value that is not finite"),
        ((np.where(X > 1, np.inf, X), y), "X has a value that is not finite"),
        ((X,), "no energy and no forces|there are no"),
        ((molecules(2),), "features is None"),
    ):
        with pytest.raises(ValueError, match=words):
            model.fit(*arguments)
    for wrong in ({"kernel": "rbf"}, {"kernel": RBF}, {"features": "coulomb"}):
        with pytest.raises(TypeError, match=f"{next(iter(wrong))} is "):
            GaussianProcess(**wrong).fit(molecules(2, ["H2O"]) if "features" in wrong else X, y)
    with pytest.raises(ValueError, match="gradients must have shape"):
        model.fit(X, y, gradients=G[:, :1])
    with pytest.raises(ValueError, match="not trained yet"):
        model.predict(X)
    fitted = GaussianProcess(features=functions(["H", "O"]), search=None).fit(molecules(2, ["H2O"]))
    with pytest.raises(ValueError, match="elements N; this model knows: H, O"):
        fitted.predict(molecules(1, ["NH3"]))
    with pytest.raises(ValueError, match="Laplacian"):
        GaussianProcess(Laplacian(1.0), search=None).fit(X, y, gradients=G)


@pytest.mark.parametrize("case", ["one", "constant", "outlier", "flat feature"])
def test_tiny_and_strange_sets_stay_finite(case):
    X, y, _ = toy(1 if case == "one" else 12)
    if case == "constant":
        y = np.full(12, 3.0)
    elif case == "outlier":
        y[3] = 1e8
    elif case == "flat feature":
        X = np.column_stack([X, np.full(12, 2.0)])
    model = GaussianProcess(RBF(np.ones(X.shape[1])), starts=1).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    if case == "constant":
        assert_close(mean, y, KERNEL_MODEL)


def test_concatenated_features_need_the_same_atoms():
    images = molecules(6, ["H2O"])
    model = GaussianProcess(features=functions(["H", "O"]), atomic=False, starts=1).fit(images)
    atoms = labelled([images[0].copy()])[0]
    atoms.rattle(0.02, seed=3)
    found = model.compute(atoms, ["energy", "forces", "energy_spread"])
    assert_close(found["forces"].sum(0), np.zeros(3), FORCES_FD)
    assert found["energy_spread"] > 0
    with pytest.raises(ValueError, match=r"need those of the first training structure: \[8, 1, 1\]"):
        model.predict(atoms[[1, 0, 2]])


@pytest.mark.parametrize("features", [InverseDistances(), CoulombMatrix()])
def test_another_order_of_atoms_is_refused(features):
    model = GaussianProcess(features=features, search=None).fit(molecules(4, ["H2O"]))
    other = molecules(1, ["H2O"])[0][[1, 0, 2]]
    with pytest.raises(ValueError, match=r"numbers \[1, 8, 1\].*training structure: \[8, 1, 1\]"):
        model.predict(other)
    with pytest.raises(ValueError, match=r"structure 1 has the atomic numbers"):
        GaussianProcess(features=features).fit(molecules(2))


def test_features_of_another_number_are_refused():
    images = molecules(4, ["H2O", "CH3OH"])
    with pytest.raises(ValueError, match=r"structure 1 has 21 features, .* 6; accepted: .*n_atoms_max"):
        GaussianProcess(features=CoulombMatrix("sorted")).fit(images)
    model = GaussianProcess(features=CoulombMatrix("sorted"), search=None).fit(images[::2])
    with pytest.raises(ValueError, match="structure 0 has 3 features"):
        model.predict(images[0][[0, 1]])


def test_a_training_that_fails_leaves_no_model():
    X, y, _ = toy(6)
    model = GaussianProcess(search=None).fit(X, y)
    with pytest.raises(ValueError, match="not finite"):
        model.fit(X[:, :1], y * np.nan)
    with pytest.raises(ValueError, match="not trained yet"):
        model.predict(X)


def test_a_noise_that_is_given_stays():
    X, y, G = toy(20)
    model = GaussianProcess(noise=0.3, starts=1).fit(X, y, gradients=G)
    assert_close(np.array([model.noise_]), np.array([0.3]), KERNEL_MODEL)
    assert model.gradient_noise_ != GaussianProcess(noise=0.3, search=None).fit(X, y, gradients=G).gradient_noise_
    model = GaussianProcess(noise=0.3, gradient_noise=0.2, starts=1).fit(X, y, gradients=G)
    assert_close(np.array([model.noise_, model.gradient_noise_]), np.array([0.3, 0.2]), KERNEL_MODEL)
    with pytest.raises(ValueError, match="noise is -1"):
        GaussianProcess(noise=-1).fit(X, y)


@pytest.mark.parametrize("inducing", [None, 10])
def test_trained_models_pickle(inducing):
    X, y, _ = toy(30)
    model = GaussianProcess(RBF(0.5), noise=0.1, search=None, inducing=inducing).fit(X[:20], y[:20])
    twin = pickle.loads(pickle.dumps(model))
    for one in (model, twin):
        one.set_params(inducing=None if inducing else 5)  # of the next training; this model stays what it is
        one.add(X[20:], y[20:])
    np.testing.assert_array_equal(twin.predict(X, return_std=True), model.predict(X, return_std=True))


@pytest.mark.parametrize("model", [GaussianProcess, KernelRidge])
def test_model_files_say_where_the_data_come_from(model, tmp_path):
    images = from_atoms(molecules(4, ["H2O"]))
    trained = model(features=InverseDistances(), search=None).fit(images)
    trained.save(tmp_path / "model.atomcore")
    metadata, _ = model_file.read(tmp_path / "model.atomcore")
    assert metadata["provenance"]["data_sha256"] == images.sha256
    potential = Potential.load(tmp_path / "model.atomcore")
    assert_close(potential.compute(images[0])["forces"], trained.compute(images[0])["forces"], KERNEL_MODEL)
    with pytest.raises(ValueError, match="differences to 'DFT'; accepted: to ''"):
        trained.add(replace(images, baseline="DFT"))


def test_predictions_are_finite_or_refused():
    X, y, _ = toy(6)
    model = KernelRidge(Polynomial(5), regularization=1e-4).fit(X, y)
    with pytest.raises(ValueError, match="predictions are not finite"), np.errstate(all="ignore"):
        model.predict([[1e120, 1.0]])


def test_compute_takes_one_structure_and_a_list_of_names():
    images = molecules(4, ["H2O"])
    model = KernelRidge(features=InverseDistances()).fit(images)
    with pytest.raises(TypeError, match=r"atoms is list; accepted: ase.Atoms"):
        model.compute(images)
    with pytest.raises(ValueError, match="properties is 'energy'"):
        model.compute(images[0], "energy")
    with pytest.raises(ValueError, match=r"of energy, forces$"):
        model.compute(images[0], ["energy_spread"])


def test_terms_that_cancel_are_saved_to_rounding(tmp_path):
    model = KernelRidge(Polynomial(5), features=InverseDistances(), regularization=1e-3)
    model.fit(molecules(12, ["H2O"])).save(tmp_path / "model.atomcore")
    assert Potential.load(tmp_path / "model.atomcore").capability == "molecular"


def test_smooth_data_without_noise_converge():
    X = np.random.default_rng(0).uniform(-2, 2, (60, 2))
    assert GaussianProcess().fit(X, np.sin(X[:, 0]) * X[:, 1]).search_.converged
