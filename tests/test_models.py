"""Behler-Parrinello models: scaling, forces, export."""

import numpy as np
import pytest
import torch

import atomcore
from atomcore.export import networks as export
from atomcore.features import ANI
from atomcore.models import BehlerParrinello
from atomcore.models.networks import Network
from atomcore.models.scaling import InputScaling
from tolerances import ENGINE, EXACT, FLOAT32, FORCES_FD, INVARIANT, assert_close
from training_sets import molecules, small_features


def prepared_model(data, dtype=torch.float64, **choices):
    """A model with scaling from ``data`` and random weights."""
    from atomcore.train.batches import Graph
    from atomcore.train.statistics import statistics

    features = small_features(data.elements)
    model = BehlerParrinello(features, hidden=(6, 5), seed=3, **choices)
    graph = Graph(data, features.numbers, features.cutoff)
    reference = np.array([-13.0, -430.0])
    model.prepare(statistics(features, graph, np.arange(len(data)), reference, 0.7), dtype)
    return model


def test_scaled_inputs_have_zero_mean_and_moderate_deviation_and_constant_columns_are_left_out():
    G = np.random.default_rng(0).normal(5.0, [2.0, 1e-3, 0.5], (4000, 3))
    G = np.insert(G, 1, 7.25, axis=1)
    scaling = InputScaling(4)
    scaling.prepare("soft", G.mean(axis=0), G.std(axis=0), G.min(axis=0), G.max(axis=0))
    assert scaling.columns.tolist() == [0, 2, 3]
    inputs = scaling(torch.from_numpy(G)).numpy()
    assert_close(inputs.mean(axis=0), np.zeros(3), INVARIANT)
    deviation = G.std(axis=0)[[0, 2, 3]]  # a column that hardly varies is not blown up to the size of the others
    assert_close(inputs.std(axis=0), np.sqrt(deviation / deviation.max()), INVARIANT)


@pytest.mark.parametrize("scaling", ["soft", "standard", "minmax"])
def test_tails_of_narrow_functions_are_no_inputs(scaling, tmp_path):
    """In a small molecule no neighbour comes near the outer shells of ANI: features of 1e-100 that vary by as much."""
    from atomcore.train.batches import Graph
    from atomcore.train.statistics import statistics

    data = molecules(6)
    graph = Graph(data, np.array([1, 8]), 5.2)
    features = ANI(data.elements)
    model = BehlerParrinello(features, hidden=(6,), scaling=scaling)
    found = statistics(features, graph, np.arange(6), np.zeros(2), 1.0)
    assert found.maximum[found.maximum > 0].min() < 1e-40
    model.prepare(found, torch.float32)
    largest = max(float(s.scale.max()) for s in model.scaling.values())
    assert largest < 1e32
    model.save(tmp_path / "model.atomcore")
    atoms = data[0]
    single = atomcore.Potential.load(tmp_path / "model.atomcore", precision="float32").energy_forces(atoms)[0]
    assert_close(single, model.energy_forces(atoms)[0], FLOAT32)


def test_the_gradient_in_features_is_the_chain_rule_of_the_scaling():
    scaling = InputScaling(5)
    mean, half = np.arange(5.0), np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    scaling.prepare("soft", mean, np.array([1.0, 0.0, 2.0, 0.5, 1.0]), mean - half, mean + half)
    G = torch.randn(7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    inputs = scaling(G)
    weights = torch.randn(inputs.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (expected,) = torch.autograd.grad((inputs * weights).sum(), G)
    assert_close(scaling.chain(weights), expected, INVARIANT)


def test_buffers_stay_in_double_when_the_model_is_converted():
    model = prepared_model(molecules(6)).float()
    assert model.dtype == torch.float32
    assert model.scaling["O"].mean.dtype == model.energy.reference.dtype == torch.float64
    assert_close(model.energy.reference, np.array([-13.0, -430.0]), EXACT)


def test_forces_are_the_derivative_of_the_energy():
    data = molecules(2)
    model = prepared_model(data)
    atoms = data[1]
    _, forces = model.energy_forces(atoms)
    step, numerical = 1e-4, np.zeros_like(forces)
    for i in np.ndindex(*forces.shape):
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[i] += sign * step
            numerical[i] -= sign * model.energy_forces(moved)[0] / (2 * step)
    assert_close(forces, numerical, FORCES_FD)


@pytest.mark.parametrize("activation", ["silu", "tanh", "relu", "celu"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_engine_and_torch_agree_and_the_file_says_what_it_holds(tmp_path, activation, dtype):
    data = molecules(4)
    model = prepared_model(data, dtype, activation=activation)
    path = tmp_path / "model.atomcore"
    model.save(path)
    potential = atomcore.Potential.load(path)
    model.networks.double()
    for atoms in data:
        energy, forces = potential.energy_forces(atoms)
        expected, expected_forces = model.energy_forces(atoms)
        assert_close(energy, expected, ENGINE)
        assert_close(forces, expected_forces, ENGINE)
    assert potential.elements == ("H", "O")
    assert potential.info["precision"] == str(dtype).removeprefix("torch.")
    assert [file.name for file in tmp_path.iterdir()] == ["model.atomcore"]


def test_a_model_that_engine_and_torch_see_differently_is_not_saved(tmp_path, monkeypatch):
    model = prepared_model(molecules(4))
    path = tmp_path / "model.atomcore"
    path.write_bytes(b"older model")
    tensors = export._tensors(model)
    tensors["networks.0.O.1.bias"] = tensors["networks.0.O.1.bias"] + 1e-6
    monkeypatch.setattr(export, "_tensors", lambda model: tensors)
    with pytest.raises(atomcore.AtomcoreError, match="engine and torch disagree"):
        model.save(path)
    assert path.read_bytes() == b"older model"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_same_seed_gives_the_same_weights():
    first, second = (BehlerParrinello(small_features(), seed=5) for _ in range(2))
    other = BehlerParrinello(small_features(), seed=6)
    for a, b, c in zip(first.parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not a.any() or not torch.equal(a, c)


def test_a_network_without_inputs_is_made_silently(recwarn):
    Network(0, (4,), "silu", torch.Generator().manual_seed(0))
    assert not recwarn.list


def test_bad_choices_are_named():
    with pytest.raises(ValueError, match="activation is 'sine'; accepted: silu, tanh"):
        BehlerParrinello(small_features(), activation="sine")
    with pytest.raises(ValueError, match=r"activation is \['silu'\]; accepted: silu"):
        BehlerParrinello(small_features(), activation=["silu"])
    for hidden, message in (
        ((4, 0), r"hidden\[1\] is 0; accepted: whole numbers from 1"), (("a",), r"hidden\[0\] is 'a'; accepted"),
        (64, "hidden is 64; accepted: a sequence of widths"), (None, "hidden is None; accepted: a sequence"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            BehlerParrinello(small_features(), hidden=hidden)
    with pytest.raises(ValueError, match="seed is 'abc'; accepted: whole numbers from 0"):
        BehlerParrinello(small_features(), seed="abc")
    model = BehlerParrinello(small_features())
    atoms = molecules(1)[0]
    atoms.numbers[0] = 6
    with pytest.raises(ValueError, match=r"Z = \[6\]; accepted: Z = \[1, 8\]"):
        model.energy_forces(atoms)


def test_statistics_are_those_of_the_training_atoms():
    data = molecules(10)
    model = prepared_model(data)
    oxygen = np.concatenate([model.features.compute(atoms)[atoms.numbers == 8] for atoms in data])
    assert_close(model.scaling["O"].minimum, oxygen.min(axis=0), INVARIANT)
    assert_close(model.scaling["O"].maximum, oxygen.max(axis=0), INVARIANT)
    assert_close(model.scaling["O"].mean, oxygen.mean(axis=0)[model.scaling["O"].columns], INVARIANT)


def test_a_seed_means_the_same_weights_whatever_the_default_type_of_torch_is():
    expected = BehlerParrinello(small_features(("H", "O")), hidden=(6, 5), seed=3)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = BehlerParrinello(small_features(("H", "O")), hidden=(6, 5), seed=3)
    finally:
        torch.set_default_dtype(before)
    for a, b in zip(found.networks.parameters(), expected.networks.parameters(), strict=True):
        assert a.dtype == b.dtype == torch.float32
        assert_close(a.detach(), b.detach(), EXACT)
