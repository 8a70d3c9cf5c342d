"""``atomcore md``: molecular dynamics with a model file. Runs the C++ engine through ASE, without torch."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomcore._core import AtomcoreError
from atomcore._files import check_folder, write_json


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore md",
        usage="%(prog)s MODEL START [options]",
        description="Molecular dynamics with a model; NVE runs report the drift of the energy.",
    )
    parser.add_argument("model", help="model file (.atomcore)")
    parser.add_argument("start", help="structure to start from (the last of the file): npz, or anything ASE reads")
    parser.add_argument("--units", help='of an npz file, e.g. "kcal/mol, Angstrom"')
    parser.add_argument("--ps", metavar="PS", type=float, default=10.0, help="length of the run [%(default)s]")
    parser.add_argument("--dt", metavar="FS", type=float, default=0.5, help="time step in fs [%(default)s]")
    parser.add_argument(
        "--temperature", metavar="K", type=float, default=300.0, help="of the velocities, in K [%(default)s]"
    )
    parser.add_argument(
        "--ensemble", metavar="E", choices=("nve", "langevin"), default="nve", help="nve or langevin [%(default)s]"
    )
    parser.add_argument(
        "--friction", metavar="F", type=float, default=0.01, help="of the thermostat, in 1/fs [%(default)s]"
    )
    parser.add_argument(
        "--equilibrate", metavar="PS", type=float, default=0.0, help="ps of Langevin dynamics before [%(default)s]"
    )
    parser.add_argument("--output", default="md", help="folder for all files [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of velocities and thermostat [%(default)s]")
    parser.add_argument("--overwrite", action="store_true", help="replace a run in the folder")
    parser.add_argument("--threads", type=int, help="default OMP_NUM_THREADS, or all cores")
    options = parser.parse_args(arguments)
    from atomcore.calculators import Calculator
    from atomcore.data.readers import load_structure

    folder = Path(options.output)
    check_folder("--output", folder)
    calculator = Calculator(options.model, threads=options.threads)
    atoms = load_structure(options.start, units=options.units)
    names = ("ps", "dt", "temperature", "ensemble", "friction", "equilibrate", "seed", "overwrite")
    run(atoms, calculator, folder, **{name: getattr(options, name) for name in names})
    return 0


def run(atoms: Any, calculator: Any, folder: Path, **choices: Any) -> dict[str, float]:
    """Run, print the drift, draw, and return what ``metrics.json`` gets; keywords as in `atomcore.md.simulate`."""
    from atomcore.md import simulate

    atoms.calc = calculator
    if len(atoms):
        atoms.get_potential_energy()  # an unsuitable structure fails before anything is written
    settings = {"ps": choices["ps"], "dt_fs": choices["dt"], "n_atoms": len(atoms)}
    try:
        trajectory = simulate(atoms, folder, **choices)
    except (AtomcoreError, KeyboardInterrupt) as error:
        _record(folder, {**settings, "stopped": str(error) or "interrupted"})
        print(f"frames and energies so far are in {folder}{os.sep}", file=sys.stderr)
        raise
    metrics = settings | _judge(trajectory, folder, choices["ensemble"])
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


def _judge(trajectory: Any, folder: Path, ensemble: str) -> dict[str, float]:
    """Print and draw how the run went; return the numbers."""
    from atomcore.md import energy_drift

    metrics = {"mean_temperature_K": float(trajectory.temperature.mean())}
    title = ensemble
    if ensemble == "nve" and len(trajectory.time) >= 60:
        drift = energy_drift(trajectory.time, trajectory.total_per_atom)
        metrics["drift_meV_per_atom_per_ps"] = drift.slope
        metrics["drift_standard_error_meV_per_atom_per_ps"] = drift.standard_error
        title = f"drift {drift.slope:.2g} ± {drift.standard_error:.1g} meV/atom/ps"
        print(
            f"energy drift {drift.slope:.3g} +- {drift.standard_error:.2g} meV/atom/ps (slope and its standard error)"
        )
    print(f"mean temperature {metrics['mean_temperature_K']:.0f} K; trajectory: {folder / 'trajectory.extxyz'}")
    try:
        from atomcore import plot

        picture = folder / "md_energy.png"
        plot.md_energy(trajectory.time, trajectory.total_per_atom, trajectory.temperature, picture, title=title)
    except ModuleNotFoundError as error:
        print(f'no picture: {error}; pip install "atomcore[plot]"', file=sys.stderr)
    return metrics
