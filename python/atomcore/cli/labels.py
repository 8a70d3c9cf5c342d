"""Options that say where a file of structures has its labels, the same for every command that compares with them."""

import argparse
import logging
from typing import Any

_log = logging.getLogger("atomcore")

_OPTIONS = {  # of `atomcore.data.load`
    "units": 'of an npz file, e.g. "kcal/mol, Angstrom"',
    "energy_key": "name of the energy in the file, where it is not the usual one",
    "forces_key": "of the forces",
    "stress_key": "of the stress",
    "stress_convention": "ase (default) or vasp: order, sign and unit of the stress",
    "charges_key": "of the charges",
    "baseline_energy_key": "of what to subtract: the model predicts differences",
    "baseline_forces_key": "the same of the forces",
    "baseline_stress_key": "the same of the stress",
}


def add_options(parser: argparse.ArgumentParser, *, hidden: bool = False) -> None:
    """Add the options; ``hidden`` leaves them out of the help."""
    for name, text in _OPTIONS.items():
        help_text = argparse.SUPPRESS if hidden else text
        default = "ase" if name == "stress_convention" else None
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="X", default=default, help=help_text)


def load(options: argparse.Namespace, path: str) -> Any:
    """Read ``path`` as the options say."""
    from atomcore import data

    # Uncertainties weigh structures in training only; a key of that name must not stand in the way here.
    return data.load(path, uncertainty_key="none", **{name: getattr(options, name) for name in _OPTIONS})


def warn_of_difference(potential: Any) -> None:
    """Say so when what a model predicts has to be added to another method: alone it is no potential."""
    if potential.baseline:
        _log.warning(
            "the model predicts differences to %s only: what it gives here lacks what they are added to",
            potential.baseline,
        )


def warn_of_other_baseline(potential: Any, data: Any) -> None:
    """Say so when either the model or the data has differences to another method, and the other has not."""
    if potential.baseline and not data.baseline:
        _log.warning(
            "the model predicts differences to %s, but the labels are whole: name what is subtracted from them by "
            "--baseline-energy-key, --baseline-forces-key, --baseline-stress-key",
            potential.baseline,
        )
    if data.baseline and not potential.baseline:
        _log.warning("the labels are differences to %s, but the model was not trained on differences", data.baseline)
