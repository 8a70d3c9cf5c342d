"""Models of charges: a label for each atom, and no sum over them."""

from dataclasses import replace

import numpy as np
import pytest

import atomcore
from atomcore.models import BehlerParrinello
from atomcore.train import fit
from test_training import QUICK
from tolerances import FLOAT32, INVARIANT, assert_close
from training_sets import molecules, small_features


def new_model():
    return BehlerParrinello(small_features(), hidden=(8,), target="charges")


def charged(n=40):
    """Molecules whose charges depend on the distances to the other atoms and sum to zero."""
    data = molecules(n)
    charges = np.zeros(len(data.numbers))
    for start, end in zip(data.structure_ptr, data.structure_ptr[1:], strict=False):
        x, z = data.positions[start:end], data.numbers[start:end]
        near = np.exp(-np.linalg.norm(x[:, None] - x[None], axis=2))
        charges[start:end] = (near * (z[:, None] - z[None]) / -7.0).sum(axis=1)
    return replace(data, charges=charges)


def test_charges_are_learned_and_judged_by_the_engine(tmp_path):
    split = charged().split(valid=5, test=5, seed=0)
    report = fit(new_model(), split, max_epochs=60, run_dir=tmp_path, **QUICK)
    potential = atomcore.Potential.load(report.model_path)
    assert potential.target == "charges"
    errors = np.concatenate([potential.compute(a, ["charges"])["charges"] for a in split.test]) - split.test.charges
    assert_close(report.test["charges_rmse"], np.sqrt(np.mean(errors**2)), INVARIANT)
    assert_close(report.test["charges_mae"], np.mean(np.abs(errors)), INVARIANT)
    oxygen = split.dataset.charges[split.dataset.numbers == 8]
    assert report.test["charges_rmse"] < 0.2 * np.std(oxygen)
    best = min(report.history, key=lambda row: row["valid_loss"])
    assert_close(report.valid["charges_rmse"], best["valid_charges_rmse"], FLOAT32)
    assert_close(best["valid_charges_rmse"] ** 2, best["valid_loss"], INVARIANT)
    assert "charges, me" in str(report)
    log = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert log.dtype.names[3:] == ("train_loss", "train_charges_rmse", "valid_loss", "valid_charges_rmse")


def test_charges_are_not_learned_from_energies():
    with pytest.raises(ValueError, match="data has no charges to learn from, which is the target of the model"):
        fit(new_model(), molecules(6), **QUICK)
    without_energies = replace(charged(6), energy=None, forces=None)
    report = fit(new_model(), without_energies, max_epochs=1, convergence={"charges_rmse": 1.0}, **QUICK)
    assert len(report.history) == 1
    with pytest.raises(ValueError, match="reference_energies cannot be given for a model of charges"):
        fit(new_model(), charged(6), reference_energies={"H": 0.0}, **QUICK)
    with pytest.raises(ValueError, match="convergence has forces_rmse, which is not trained on; accepted: charges_rms"):
        fit(new_model(), charged(6), convergence={"forces_rmse": 1.0}, **QUICK)
