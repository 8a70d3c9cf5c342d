"""Training that starts from a model file."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import atomcore
from atomcore.models import BehlerParrinello, Ensemble
from atomcore.train import fit
from test_charge_training import charged
from test_training import QUICK, new_model, new_split
from tolerances import ENGINE, FLOAT32_ENERGY, assert_close
from training_sets import molecules, small_features


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A model file, trained on molecules of a Morse potential."""
    path = tmp_path_factory.mktemp("old") / "old.atomcore"
    model = new_model()
    fit(model, new_split(molecules(60)), max_epochs=20, **QUICK)
    model.save(path)
    return path


def shifted(n=24, *, seed=5, oxygen=3.0, hydrogen=-1.5):
    """Molecules with energies of another zero: what a second level of theory looks like."""
    data = molecules(n, seed=seed)
    constant = np.where(data.numbers == 8, oxygen, hydrogen)
    return replace(data, energy=data.energy + np.add.reduceat(constant, data.structure_ptr[:-1]))


def frozen_and_free(model, layers=(0,)):
    frozen, free = [], []
    for network in model.networks.values():
        for i, layer in enumerate(network.layers):
            (frozen if i in layers else free).extend(w.detach().clone() for w in layer.parameters())
    return frozen, free


def test_references_move_to_the_new_labels_and_weights_stay(pretrained):
    old, new = BehlerParrinello.load(pretrained), BehlerParrinello.load(pretrained)
    data = shifted()
    # Hardly any training: what is left is what transfer itself does.
    report = fit(new, data.split(test=4, seed=0), transfer=True, max_epochs=1, **{**QUICK, "learning_rate": 1e-12})
    train = data.split(test=4, seed=0).train
    counts = np.array([[np.sum(a.numbers == 1), np.sum(a.numbers == 8)] for a in train], dtype=float)
    difference = train.energy - np.array([old.double().energy_forces(a)[0] for a in train])
    shift = np.linalg.lstsq(counts, difference, rcond=None)[0]
    assert_close(new.energy.reference - old.energy.reference, shift, FLOAT32_ENERGY)
    assert report.test["energy_rmse_per_atom"] < 0.05
    for before, after in zip(old.networks.parameters(), new.networks.parameters(), strict=True):
        assert_close(after.detach(), before.detach(), FLOAT32_ENERGY)
    for x in old.elements:
        for name in ("columns", "mean", "scale"):
            assert torch.equal(getattr(old.scaling[x], name), getattr(new.scaling[x], name))


def test_ranges_grow_to_cover_the_new_data(pretrained):
    old, new = BehlerParrinello.load(pretrained), BehlerParrinello.load(pretrained)
    data = shifted(seed=9)
    stretched = replace(data, positions=1.15 * data.positions)
    fit(new, stretched, transfer=True, max_epochs=1, **QUICK)
    wider = 0
    for x in old.elements:
        assert (new.scaling[x].minimum <= old.scaling[x].minimum).all()
        assert (new.scaling[x].maximum >= old.scaling[x].maximum).all()
        wider += int((new.scaling[x].minimum < old.scaling[x].minimum).sum())
        wider += int((new.scaling[x].maximum > old.scaling[x].maximum).sum())
    assert wider > 0


def test_frozen_layers_stay_bit_for_bit_and_the_others_learn(pretrained):
    model = BehlerParrinello.load(pretrained)
    frozen, free = frozen_and_free(model)
    fit(model, shifted(), transfer=True, freeze=[0], max_epochs=3, **QUICK)
    after = frozen_and_free(model)
    assert all(torch.equal(a, b) for a, b in zip(frozen, after[0], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(free[:-1], after[1][:-1], strict=True))
    assert all(weight.requires_grad for weight in model.networks.parameters())


def test_a_few_structures_suffice_for_fine_tuning(pretrained):
    split = shifted(40).split(train=6, valid=4, test=30, seed=0)
    choices = {**QUICK, "max_epochs": 15, "learning_rate": 1e-3}
    tuned = fit(BehlerParrinello.load(pretrained), split, transfer=True, **choices)
    fresh = fit(new_model(), split, **choices)
    assert tuned.test["forces_rmse"] < 0.5 * fresh.test["forces_rmse"]


def test_a_transfer_can_be_continued_but_not_from_other_weights(pretrained, tmp_path):
    choices = {**QUICK, "transfer": True, "freeze": [0], "schedule_epochs": 4}
    whole = fit(BehlerParrinello.load(pretrained), shifted(), max_epochs=4, run_dir=tmp_path / "whole", **choices)
    for epochs in (2, 4):
        model = BehlerParrinello.load(pretrained)
        parts = fit(model, shifted(), max_epochs=epochs, run_dir=tmp_path / "parts", resume=True, **choices)
    assert parts.history == whole.history
    again = {"max_epochs": 4, "run_dir": tmp_path / "parts", "resume": True}
    for other, name in (({**choices, "freeze": []}, "freeze"), ({**choices, "transfer": False, "freeze": []}, "tr")):
        with pytest.raises(ValueError, match=f"belongs to another run: its {name}"):
            fit(BehlerParrinello.load(pretrained), shifted(), **again, **other)
    with torch.no_grad():
        model = BehlerParrinello.load(pretrained)
        next(iter(model.networks.parameters())).add_(1.0)
    with pytest.raises(ValueError, match="belongs to another run: its start is"):
        fit(model, shifted(), **again, **choices)


def test_what_the_model_does_not_know_is_named(pretrained):
    data = molecules(12)
    other = replace(data, numbers=np.where(data.numbers == 8, 7, data.numbers))
    with pytest.raises(
        ValueError, match=r"data has N, which the model to start from does not know; accepted: data of H"
    ):
        fit(BehlerParrinello.load(pretrained), other, transfer=True, **QUICK)
    for choices, message in (
        ({"freeze": [0]}, r"freeze is \(0,\); accepted: layers with transfer only"),
        ({"transfer": True, "freeze": [3]}, r"freeze is \[3\]; accepted: layers from 0 to 2, at least one left"),
        ({"transfer": True, "freeze": [0, 1, 2]}, r"freeze is \[0, 1, 2\]; accepted: layers from 0 to 2, at least"),
        ({"transfer": True, "freeze": 0}, "freeze is 0; accepted: a list of rising whole numbers from 0"),
        ({"transfer": "x"}, "transfer is 'x'; accepted: true, false"),
        ({"transfer": True, "reference_energies": {"H": 1.0}}, "reference_energies cannot be given with transfer"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(BehlerParrinello.load(pretrained), data, **QUICK, **choices)


def test_ensembles_and_charges_can_be_taken_over(tmp_path):
    split = charged(30).split(test=6, seed=0)
    model = BehlerParrinello(small_features(), hidden=(8,), target="charges")
    fit(model, split, max_epochs=20, **QUICK)
    before = np.concatenate([model.double().charges(a) for a in split.train])
    moved = replace(split.dataset, charges=split.dataset.charges + np.where(split.dataset.numbers == 1, 0.5, -0.25))
    reference = model.energy.reference.clone()
    fit(model, replace_dataset(split, moved), transfer=True, max_epochs=1, **{**QUICK, "learning_rate": 1e-12})
    train = replace_dataset(split, moved).train
    for i, z in enumerate((1, 8)):
        expected = np.mean((train.charges - before)[train.numbers == z])
        assert_close(model.energy.reference[i] - reference[i], expected, FLOAT32_ENERGY)

    ensemble = Ensemble(new_model(), 2)
    fit(ensemble, new_split(), max_epochs=2, **QUICK)
    ensemble.save(tmp_path / "old.atomcore")
    loaded = Ensemble.load(tmp_path / "old.atomcore")
    report = fit(loaded, shifted(), transfer=True, max_epochs=1, run_dir=tmp_path / "run", **QUICK)
    potential = atomcore.Potential.load(report.model_path)
    for member in loaded.members:
        member.double()
    assert_close(potential.energy_forces(shifted()[0])[0], loaded.energy_forces(shifted()[0])[0], ENGINE)
    assert potential.members == 2


def replace_dataset(split, data):
    return type(split)(data, split.indices, split.settings)
