"""``atomcore md``: molecular dynamics with a model file. Runs the C++ engine through ASE, without torch."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomcore._files import write_json


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
    parser.add_argument("--ps", type=float, default=10.0, help="length of the run [%(default)s]")
    parser.add_argument("--dt", type=float, default=0.5, help="time step in fs [%(default)s]")
    parser.add_argument("--temperature", type=float, default=300.0, help="of the velocities, in K [%(default)s]")
    parser.add_argument("--ensemble", choices=("nve", "langevin"), default="nve", help="[%(default)s]")
    parser.add_argument("--friction", type=float, default=0.01, help="of the thermostat, in 1/fs [%(default)s]")
    parser.add_argument("--equilibrate", type=float, default=0.0, help="ps of Langevin dynamics before [%(default)s]")
    parser.add_argument("--output", default="md", help="folder for all files [%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of velocities and thermostat [%(default)s]")
    parser.add_argument("--threads", type=int, help="default OMP_NUM_THREADS, or all cores")
    options = parser.parse_args(arguments)
    from atomcore.calculators import Calculator
    from atomcore.data.readers import load_structure

    calculator = Calculator(options.model, threads=options.threads)
    atoms = load_structure(options.start, units=options.units)
    folder = Path(options.output)
    names = ("ps", "dt", "temperature", "ensemble", "friction", "equilibrate", "seed")
    choices = {name: getattr(options, name) for name in names}
    write_json(folder / "metrics.json", {"md": run(atoms, calculator, folder, **choices)})
    return 0


def run(atoms: Any, calculator: Any, folder: Path, **choices: Any) -> dict[str, float]:
    """Run, print the drift, draw, and return what ``metrics.json`` holds; keywords as in `atomcore.md.simulate`."""
    from atomcore.md import energy_drift, simulate

    atoms.calc = calculator
    atoms.get_potential_energy()  # an unsuitable structure fails before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    trajectory = simulate(atoms, folder, **choices)
    metrics = {
        "ps": choices["ps"],
        "dt_fs": choices["dt"],
        "n_atoms": trajectory.n_atoms,
        "mean_temperature_K": float(trajectory.temperature.mean()),
    }
    title = choices["ensemble"]
    if choices["ensemble"] == "nve" and len(trajectory.time) >= 60:
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
