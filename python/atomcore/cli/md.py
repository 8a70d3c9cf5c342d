"""``atomcore md``: molecular dynamics with a model file, in the C++ engine and without torch."""

import argparse
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore._files import check_folder, write_json
from atomcore.cli.limits import add_options, limits
from atomcore.md import CHECKPOINT, ENGINES, ENSEMBLES, Trajectory, block_mean, energy_drift, simulate

_LONG_ENOUGH = 60  # samples, three in each of the blocks that standard errors come from
_OPTIONS = (  # of `atomcore.md.simulate`
    "ps", "dt", "temperature", "ensemble", "friction", "pressure", "barostat_time", "equilibrate", "seed", "engine",
    "overwrite",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    from atomcore.calculators import Calculator
    from atomcore.data.readers import load_structure
    from atomcore.potential import Potential

    folder = Path(options.output if options.restart is None else options.restart)
    check_folder("--output" if options.restart is None else "--restart", folder)
    potential = Potential.load(options.model, threads=options.threads)
    if potential.target != "energy":
        raise ValueError(f"model {options.model!r} predicts {potential.target}; accepted: a model of energies")
    atoms = load_structure(options.start, units=options.units)
    with plain_warnings("md"):
        calculator = Calculator(potential, **limits(options, potential))
        choices = {name: getattr(options, name) for name in _OPTIONS}
        run(atoms, calculator, folder, restart=options.restart is not None, **choices)
    return 0


@contextlib.contextmanager
def plain_warnings(command: str) -> Iterator[None]:
    """Print warnings as lines of a command, without the place in the code that they come from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"atomcore {command}: {message}", file=sys.stderr)
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="atomcore md",
        usage="%(prog)s MODEL START [options]",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=28, width=100),
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)  # all the rest then fits a screen
    arguments = parser.add_argument_group("arguments")
    arguments.add_argument("model", help="model file (.atomcore)")
    arguments.add_argument("start", help="structure to start from, the last of the file: npz, or anything ASE reads")
    arguments.add_argument("--units", help='of an npz file or input.data, e.g. "kcal/mol, Angstrom"')
    arguments.add_argument(
        "--ensemble", metavar="E", choices=ENSEMBLES, default="nve", help="nve, langevin or npt [nve]"
    )
    numbers = (
        ("--ps", "PS", 10.0, "length of the run"),
        ("--dt", "FS", 0.5, "time step in fs"),
        ("--temperature", "K", 300.0, "of the velocities, in K"),
        ("--friction", "F", 0.01, "of the thermostat, in 1/fs"),
        ("--pressure", "GPA", 1e-4, "of npt, in GPa"),
        ("--barostat-time", "PS", 1.0, "how slowly the volume of npt follows the pressure"),
        ("--equilibrate", "PS", 0.0, "length of a thermostatted run before"),
    )
    for name, unit, default, text in numbers:
        arguments.add_argument(name, metavar=unit, type=float, default=default, help=f"{text} [%(default)s]")
    add_options(arguments)
    arguments.add_argument("--output", default="md", help="folder for all files [%(default)s]")
    arguments.add_argument("--seed", type=int, default=0, help="of velocities and thermostat [%(default)s]")
    arguments.add_argument("--overwrite", action="store_true", help="replace a run in the folder")
    arguments.add_argument("--restart", metavar="DIR", help="go on with the run in this folder, all else as before")
    arguments.add_argument(
        "--engine", metavar="E", choices=ENGINES, default="auto", help="auto, or ase for ASE's integrators"
    )
    arguments.add_argument("--threads", type=int, help="default OMP_NUM_THREADS, or all cores")
    return parser


def run(atoms: Any, calculator: Any, folder: Path, **choices: Any) -> dict[str, float]:
    """Run, print the drift, draw, and return what ``metrics.json`` gets; keywords as in `atomcore.md.simulate`."""
    from atomcore.calculators import ExtrapolationError

    atoms.calc = calculator
    if len(atoms):
        with contextlib.suppress(ExtrapolationError):  # ends the run at its start, and then its frame is kept
            atoms.get_potential_energy()  # an unsuitable structure fails before anything is written
    settings = {"ps": choices["ps"], "dt_fs": choices["dt"], "n_atoms": len(atoms)}
    try:
        trajectory = simulate(atoms, folder, **choices)
    except (AtomcoreError, KeyboardInterrupt) as error:
        _record(folder, {**settings, "stopped": str(error) or "interrupted"})
        more = f"; --restart {folder} goes on" if (folder / CHECKPOINT).exists() else ""
        print(f"frames and energies so far are in {folder}{os.sep}{more}", file=sys.stderr)
        raise
    metrics = settings | _judge(trajectory, folder, choices["ensemble"], atoms.get_chemical_symbols())
    _record(folder, metrics)
    return metrics


def _record(folder: Path, metrics: dict[str, Any]) -> None:
    """Set what ``metrics.json`` says of the run and keep what else it says, of a training for instance."""
    path = folder / "metrics.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    write_json(path, {**(known if isinstance(known, dict) else {}), "md": metrics})


def _judge(trajectory: Trajectory, folder: Path, ensemble: str, symbols: Sequence[str]) -> dict[str, float]:
    """Print and draw how the run went; return the numbers."""
    metrics = {"mean_temperature_K": float(trajectory.temperature.mean())}
    title, long_enough = ensemble, len(trajectory.time) >= _LONG_ENOUGH
    if ensemble == "nve" and long_enough:
        drift = energy_drift(trajectory.time, trajectory.total_per_atom)
        metrics["drift_meV_per_atom_per_ps"] = drift.slope
        metrics["drift_standard_error_meV_per_atom_per_ps"] = drift.standard_error
        title = f"drift {drift.slope:.2g} ± {drift.standard_error:.1g} meV/atom/ps"
        print(
            f"energy drift {drift.slope:.3g} +- {drift.standard_error:.2g} meV/atom/ps (slope and its standard error)"
        )
    if trajectory.volume is not None and trajectory.pressure is not None and long_enough:
        for name, unit, values in (("volume", "A3", trajectory.volume), ("pressure", "GPa", trajectory.pressure)):
            mean, error = block_mean(values)
            metrics |= {f"mean_{name}_{unit}": mean, f"mean_{name}_standard_error_{unit}": error}
            print(f"mean {name} {_with_error(mean, error)} {unit.replace('3', '^3')}")
    metrics |= _reliability(trajectory, symbols)
    print(f"mean temperature {metrics['mean_temperature_K']:.0f} K; trajectory: {folder / 'trajectory.extxyz'}")
    try:
        _draw(trajectory, folder, title)
    except ModuleNotFoundError as error:
        print(f'no picture: {error}; pip install "atomcore[plot]"', file=sys.stderr)
    return metrics


def _with_error(mean: float, error: float) -> str:
    """Return both with as many decimals as two digits of the error need."""
    decimals = max(0, 1 - int(np.floor(np.log10(error)))) if error > 0 else 6
    return f"{mean:.{decimals}f} +- {error:.{decimals}f}"


def _reliability(trajectory: Trajectory, symbols: Sequence[str]) -> dict[str, float]:
    """Print how far the run has left what the model knows; return the numbers."""
    metrics: dict[str, float] = {}
    if trajectory.forces_spread is not None:
        metrics["largest_forces_spread_eV_per_A"] = float(trajectory.forces_spread.max())
        print(f"largest spread of a force {metrics['largest_forces_spread_eV_per_A']:.3g} eV/A")
    if trajectory.extrapolation_excess is not None:
        beyond, n = int(np.count_nonzero(trajectory.extrapolation_excess)), len(trajectory.time)
        metrics |= {"extrapolating_samples": beyond, "samples": n}
        text = f"{beyond} of {n} sampled steps extrapolate"
        if trajectory.worst is not None:
            step, atom, feature, excess = trajectory.worst
            metrics["largest_extrapolation_excess"] = excess
            text += f", worst at step {step}: atom {atom} ({symbols[atom]}), {excess:.3g} ranges outside in {feature}"
        print(text)
    if trajectory.extrapolation_grade is not None:
        at = int(np.argmax(trajectory.extrapolation_grade))
        metrics["largest_extrapolation_grade"] = float(trajectory.extrapolation_grade[at])
        print(
            f"largest extrapolation grade {metrics['largest_extrapolation_grade']:.3g}, at {trajectory.time[at]:g} ps "
            "(1: the most extreme atom of the training)"
        )
    return metrics


def _draw(trajectory: Trajectory, folder: Path, title: str) -> None:
    from atomcore import plot

    if trajectory.volume is None:
        picture = folder / "md_energy.png"
        plot.md_energy(trajectory.time, trajectory.total_per_atom, trajectory.temperature, picture, title=title)
        return
    volume = trajectory.volume / trajectory.n_atoms
    plot.md_volume(trajectory.time, volume, trajectory.temperature, folder / "md_volume.png")
