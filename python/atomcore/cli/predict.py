"""``atomcore predict``: what a model says of structures, and how far it can be trusted. C++ engine, without torch."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore._progress import Progress
from atomcore.cli.labels import warn_of_difference

_WORST = 5  # lines of the table
_RESULTS = ("energy", "energies", "forces", "stress", "charges")  # what extended XYZ files have as results


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore predict",
        usage="%(prog)s MODEL FILE [options]",
        description="Compute the structures in a file, with labels or without, and write extended XYZ.",
    )
    parser.add_argument("model", help="model file (.atomcore)")
    parser.add_argument("file", help="structures: npz, or anything ASE reads")
    parser.add_argument("-o", "--output", default="predicted.extxyz", help="file to write [%(default)s]")
    parser.add_argument("--units", help='of an npz file or input.data, e.g. "kcal/mol, Angstrom"')
    parser.add_argument("--threads", type=int, help="default OMP_NUM_THREADS, or all cores")
    options = parser.parse_args(arguments)
    _check_output(options)
    from atomcore import data
    from atomcore.potential import Potential

    potential = Potential.load(options.model, threads=options.threads)
    warn_of_difference(potential)
    without = dict.fromkeys(("energy_key", "forces_key", "stress_key", "charges_key", "uncertainty_key"), "none")
    structures = data.load(options.file, units=options.units, duplicates="keep", **without)
    summary = write_predictions(potential, structures, Path(options.output))
    print(f"{len(structures)} structures of {structures.source}: {options.output}\n{summary}")
    return 0


def _check_output(options: argparse.Namespace) -> None:
    """Raise when the output would replace what is read: labels would be gone, with predictions in their place."""
    output = Path(options.output)
    for name in (options.model, options.file):
        if output.exists() and Path(name).exists() and output.samefile(name):
            raise ValueError(f"--output is {options.output!r}, which is what is read; accepted: another file")


def write_predictions(potential: Any, data: Any, path: Path) -> "Summary":
    """Write what ``potential`` predicts for each structure of ``data`` as extended XYZ, whole or not at all.

    Raises
    ------
    TypeError, ValueError, AtomcoreError
        When ``potential`` refuses a structure; the message says which.
    """
    from ase.io.extxyz import write_extxyz

    summary = Summary(tuple(potential.feature_labels))
    bar = Progress(len(data), "predicting, structure")
    try:
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for i, (atoms, results) in enumerate(_predictions(potential, data)):
                summary.add(i, atoms, results)
                write_extxyz(file, [_annotated(atoms, results)])
                bar.update(i + 1)
    finally:
        bar.close(summary.n_structures)
    return summary


def _predictions(potential: Any, data: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    for i, atoms in enumerate(data):
        try:
            yield atoms, potential.compute(atoms, _properties(potential, atoms))
        except (TypeError, ValueError, AtomcoreError) as error:
            raise type(error)(f"structure {i} of {data.source} (from 0): {error}") from error


def _properties(potential: Any, atoms: Any) -> list[str]:
    names = [name for name in potential.properties if name != "charges_spread"]
    return [name for name in names if not name.startswith("stress") or atoms.pbc.all()]


def _annotated(atoms: Any, results: dict[str, Any]) -> Any:
    """Return ``atoms`` with results where ASE has them, and all others as arrays of the atoms or of the frame."""
    from ase.calculators.singlepoint import SinglePointCalculator

    frame = atoms.copy()
    frame.calc = SinglePointCalculator(frame, **{name: results[name] for name in _RESULTS if name in results})
    for name, value in results.items():
        if name in _RESULTS or name == "extrapolation_feature":  # its numbers mean nothing without the model
            continue
        if name in ("energy_spread", "stress_spread"):
            frame.info[name] = value
        else:
            frame.set_array(name, value)
    return frame


@dataclass
class Summary:
    """How far the predictions can be trusted, as text: `str` of it."""

    feature_labels: tuple[str, ...]
    spreads: list[tuple[float, float, int, str]] = field(default_factory=list)
    worst: list[tuple[float, int, int, str, str]] = field(default_factory=list)
    grades: list[tuple[float, int, str]] = field(default_factory=list)
    n_structures: int = 0
    n_atoms: int = 0
    n_atoms_beyond: int = 0

    def add(self, i: int, atoms: Any, results: dict[str, Any]) -> None:
        """Add what was found for structure ``i``."""
        self.n_structures, self.n_atoms = self.n_structures + 1, self.n_atoms + len(atoms)
        if "forces_spread" in results:
            lengths = np.linalg.norm(results["forces_spread"], axis=1)
            atom = int(np.argmax(lengths))
            energy = float(results["energy_spread"]) / len(atoms)
            self.spreads.append((energy, float(lengths[atom]), atom, atoms.symbols[atom]))
        if "extrapolation_grade" in results:
            atom = int(np.argmax(results["extrapolation_grade"]))
            self.grades.append((float(results["extrapolation_grade"][atom]), atom, atoms.symbols[atom]))
        if "extrapolation" not in results:
            return
        excess = results["extrapolation_excess"]
        atom, beyond = int(np.argmax(excess)), int(np.count_nonzero(results["extrapolation"]))
        self.n_atoms_beyond += beyond
        if beyond:
            label = self.feature_labels[int(results["extrapolation_feature"][atom])]
            self.worst.append((float(excess[atom]), i, atom, atoms.symbols[atom], label))

    def __str__(self) -> str:
        lines = []
        if self.spreads:
            energy, force = np.array([row[:2] for row in self.spreads]).T
            first, second = int(np.argmax(energy)), int(np.argmax(force))
            _, _, atom, symbol = self.spreads[second]
            lines += [
                f"spread of the energy: median {1000 * np.median(energy):.3g}, "
                f"largest {1000 * energy[first]:.3g} meV/atom (structure {first})",
                f"largest spread of a force in a structure: median {np.median(force):.3g}, "
                f"largest {force[second]:.3g} eV/A (structure {second}, atom {atom}, {symbol})",
            ]
        if self.grades:
            grades = [row[0] for row in self.grades]
            first = int(np.argmax(grades))
            grade, atom, symbol = self.grades[first]
            lines.append(
                f"largest extrapolation grade in a structure: median {np.median(grades):.3g}, largest {grade:.3g} "
                f"(structure {first}, atom {atom}, {symbol}); 1: the most extreme atom of the training"
            )
        if not self.feature_labels:
            return "\n".join(lines)
        beyond = f"{self.n_atoms_beyond} of {self.n_atoms} atoms"
        lines.append(f"{len(self.worst)} of {self.n_structures} structures extrapolate ({beyond})")
        if self.worst:
            lines[-1] += "; how far the worst lie outside, in units of the range in training:"
            lines.append(f"{'structure':>9}{'atom':>7}  element{'outside':>9}  feature")
        for excess, i, atom, symbol, label in sorted(self.worst, key=lambda row: -row[0])[:_WORST]:
            lines.append(f"{i:>9}{atom:>7}  {symbol:<7}{excess:>9.3g}  {label}")
        return "\n".join(lines)
