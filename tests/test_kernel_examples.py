"""The worked examples of kernel machines, with small settings."""

import importlib.util

import pytest

from helpers import NEEDS_SOURCES, REPOSITORY, shared_data

pytestmark = NEEDS_SOURCES


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mueller_brown(capsys):
    errors = example("mueller_brown").main(["--points", "100", "--epochs", "0"])
    assert errors["energies and gradients"] < 0.4
    assert errors["energies and gradients"] < 0.5 * errors["energies"]
    assert "far away" in capsys.readouterr().out


@pytest.mark.long
def test_mueller_brown_beside_a_network():
    pytest.importorskip("torch", reason="the network needs torch")
    errors = example("mueller_brown").main(["--points", "300"])
    assert errors["energies and gradients"] <= 0.003
    assert errors["energies and gradients"] < 0.1 * errors["network"]


def test_qm7(capsys):
    errors = example("qm7").main([str(shared_data("qm7/qm7.npz")), "--molecules", "250"])
    assert errors["sorted"] < errors["eigenvalues"] < 40
    assert "lambda" in capsys.readouterr().out


def test_claisen():
    errors = example("claisen_gpr").main(
        [str(shared_data("claisen/claisen.npz")), "--frames", "60", "--inducing", "500"]
    )
    assert errors["energy"] < 5.0  # trivial: 16.5
    assert errors["forces"] < 10.0  # trivial: 23
