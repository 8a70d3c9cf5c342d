"""Trained potentials, run by the compiled engine. Needs neither torch nor ASE."""

import functools
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from atomcore import _core
from atomcore._arrays import Structure, as_structure
from atomcore._core import AtomcoreError
from atomcore._labels import labels
from atomcore._threads import resolve_threads
from atomcore._voigt import VOIGT
from atomcore.model_file import encoded_path

PROPERTIES = ("energy", "forces", "energies", "stress")
_BY_DEFAULT = ("energy", "forces", "energies", "charges")
EXTRAPOLATION = ("extrapolation", "extrapolation_excess", "extrapolation_feature")
GRADE = "extrapolation_grade"
_JUDGEMENTS = (*EXTRAPOLATION, GRADE)  # as the core has them
_OF_TARGET = {"energy": PROPERTIES, "charges": ("charges",)}
_PRECISIONS = ("float64", "float32")
_Precision = Literal["float64", "float32"]


class Potential:
    """A trained model, ready to give energies and forces. Made by :meth:`load`.

    It never changes after loading and keeps nothing between calls, so that any number of Python threads may use one
    object at a time. Results do not depend on the number of threads, to the last bit. It can be copied and pickled.
    """

    def __init__(self, core: _core.Potential, threads: int, content: bytes, precision: _Precision):
        self._core = core
        self._threads = threads
        self._content, self._precision = content, precision  # of the file, which may be gone when this is pickled
        self._info = json.loads(core.metadata)
        self._atomic_energies, self._spread, self._ranges, self._grades = core.abilities
        if self.target not in _OF_TARGET:
            raise AtomcoreError(
                f"the model file has the target {self.target!r}, which is unknown to this version of atomcore; "
                f"accepted: {', '.join(_OF_TARGET)}"
            )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        *,
        precision: _Precision = "float64",
        threads: int | None = None,
    ) -> "Potential":
        """Read a model file.

        Parameters
        ----------
        path
            A file that ``model.save`` has written (``.atomcore``).
        precision
            Floating-point type of features and networks. Neighbours, reference energies and sums over atoms are
            computed in double always. Kernel models, whose coefficients are large and cancel, run in double only.
        threads
            Number of threads a call may use; by default ``OMP_NUM_THREADS``, or all processors.

        Raises
        ------
        OSError
            The file cannot be read.
        AtomcoreError
            The file is no model file, is damaged, or needs a newer version of atomcore; or a kernel model is asked for
            in single precision.
        """
        if precision not in _PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(_PRECISIONS)}, got {precision!r}")
        count = resolve_threads(threads)
        core = _core.Potential.load(encoded_path(path), precision == "float32")
        return cls(core, count, Path(path).read_bytes(), precision)

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_content, (self._content, self._precision, self._threads)

    @property
    def info(self) -> dict[str, Any]:
        """What the model file says about itself: elements, features, training provenance. A copy."""
        return json.loads(self._core.metadata)

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols of the elements that the model knows."""
        return tuple(self._info["elements"])

    @property
    def cutoff(self) -> float:
        """Distance in Angstrom beyond which two atoms do not feel each other; infinite unless the model is local."""
        return float(self._info.get("cutoff", np.inf))

    @property
    def members(self) -> int:
        """Number of networks an element, more than one for an ensemble; 1 for a kernel model."""
        return int(self._info["networks"]["members"]) if "networks" in self._info else 1

    @property
    def kind(self) -> str:
        """What the model is: ``"behler_parrinello"``, ``"atomic_kernel"``, ``"gdml"``, ..."""
        return str(self._info["kind"])

    @property
    def capability(self) -> str:
        """For what the model is: ``"local"`` energies, a ``"molecular"`` one (its atoms in its order), ``"global"``."""
        return str(self._info["capability"])

    @property
    def atoms(self) -> tuple[str, ...] | None:
        """Chemical symbols of the atoms of a molecular model, in its order."""
        return tuple(self._info["atoms"]) if "atoms" in self._info else None

    @property
    def properties(self) -> tuple[str, ...]:
        """What :meth:`compute` can be asked for, with the spreads that the model knows."""
        names = tuple(name for name in _OF_TARGET[self.target] if name != "energies" or self._atomic_energies)
        spreads = tuple(f"{name}_spread" for name in names) if self._spread else ()
        return (*names, *spreads, *(EXTRAPOLATION if self._ranges else ()), *((GRADE,) if self._grades else ()))

    @property
    def target(self) -> str:
        """What the model predicts: ``"energy"`` (and its derivatives), or ``"charges"`` of the atoms."""
        return str(self._info.get("target", "energy"))

    @property
    def baseline(self) -> str:
        """To what the predictions must be added, where the model was trained on differences; otherwise empty."""
        provenance = self._info.get("provenance")
        return str(provenance.get("baseline", "")) if isinstance(provenance, dict) else ""

    @functools.cached_property
    def _askable(self) -> tuple[str, ...]:
        """Also the spreads and grades that the model does not know: the core says why not."""
        own = [name for name in self.properties if not name.endswith("_spread") and name not in _JUDGEMENTS]
        judged = [name for name in _JUDGEMENTS if self._ranges or name in self.properties]
        return (*own, *(f"{name}_spread" for name in own), *judged)

    @property
    def feature_labels(self) -> list[str]:
        """A short text for each feature, what ``extrapolation_feature`` points to; none for models without these."""
        return labels(self._info["features"]) if self._ranges else []

    def energy_forces(self, atoms: Any) -> tuple[float, npt.NDArray[np.float64]]:
        """Compute the energy in eV and the forces [N, 3] in eV/A; the mean over the members of an ensemble.

        Parameters
        ----------
        atoms
            An ``ase.Atoms``, or anything else with ``numbers`` [N], ``positions`` [N, 3] in Angstrom, ``cell``
            [3, 3] with lattice vectors as rows, and ``pbc`` [3].

        Raises
        ------
        TypeError, ValueError
            An array is missing, has the wrong type or shape or values that are not finite, an element is unknown to
            the model, two atoms are at one place, or the model predicts no energies. The message names the argument.
        AtomcoreError
            The result is not finite: the structure is far from anything that the model was trained on.
        """
        results = self.compute(atoms, ("energy", "forces"))
        return results["energy"], results["forces"]

    def compute(self, atoms: Any, properties: Sequence[str] | None = None) -> dict[str, Any]:
        """Compute properties of one structure.

        Parameters
        ----------
        atoms
            As for :meth:`energy_forces`.
        properties
            Any of

            - ``"energy"`` (eV), ``"energies"`` ([N], eV, they sum to the energy), ``"forces"`` ([N, 3], eV/A) and
              ``"stress"`` ([6], eV/A^3, with ASE's sign and the order xx, yy, zz, yz, xz, xy): the default is the first
              three. Models of whole structures have no ``"energies"``;
            - each of these with ``"_spread"``, where the model knows it (see `properties`): the sample standard
              deviation over the members of an ensemble, or the predictive one of a Gaussian process;
            - ``"extrapolation"`` ([N], how many features of the atom lie outside the range seen in training),
              ``"extrapolation_excess"`` ([N], by how much the worst one does, in units of that range) and
              ``"extrapolation_feature"`` ([N], which one, an index into `feature_labels`, or -1);
            - ``"extrapolation_grade"`` ([N], how unlike the training atoms of its element the atom looks to the last
              hidden layer of its network: 1 for the most extreme of them, more beyond), which files of single networks
              have from their training;
            - of a model of charges ``"charges"`` ([N], e) and ``"charges_spread"`` instead of the first two groups.

        Returns
        -------
        dict
            The asked properties. Arrays are new, nobody else holds them.

        Raises
        ------
        TypeError, ValueError, AtomcoreError
            As for :meth:`energy_forces`; a property is unknown to this model; the stress is asked of a structure that
            is not periodic in three directions, or a spread or grade of a model that knows none.
        """
        question = _question(self, properties)
        structure = as_structure(atoms)
        question.check(structure)
        return question.answer(structure, self._core.compute(*structure, question.request, self._threads))

    def compute_batch(self, structures: Iterable[Any], properties: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Compute properties of several structures: a list of what :meth:`compute` returns, to the last bit.

        Much faster than one call a structure where these are small: molecules go through the networks together, and
        threads share them.

        Parameters
        ----------
        structures
            Structures as for :meth:`energy_forces`.
        properties
            As for :meth:`compute`.

        Raises
        ------
        TypeError, ValueError, AtomcoreError
            As for :meth:`compute`; the message says which structure, counted from 0.
        """
        question = _question(self, properties)
        arrays = []
        for i, atoms in enumerate(structures):
            try:
                arrays.append(as_structure(atoms))
                question.check(arrays[-1])
            except (TypeError, ValueError) as error:
                raise type(error)(f"structure {i}: {error}") from None
        found = self._core.compute_batch(arrays, question.request, self._threads)
        return [question.answer(structure, values) for structure, values in zip(arrays, found, strict=True)]

    def __repr__(self) -> str:
        reach = f"cutoff {self.cutoff:g} A" if np.isfinite(self.cutoff) else f"{self.kind}, {self.capability}"
        return f"<Potential of {', '.join(self.elements)}, {reach}>"


class Evaluator:
    """A potential that follows one structure while it moves: it keeps what it knows about the neighbours.

    Results are those of the potential, to the last bit. Calls from several threads wait for one another.
    """

    def __init__(self, potential: Potential):
        self._potential = potential
        self._core = _core.Evaluator(potential._core)

    def __reduce__(self) -> tuple[Any, ...]:
        return Evaluator, (self._potential,)

    def compute(self, atoms: Any, properties: Sequence[str] | None = None) -> dict[str, Any]:
        """Compute properties as :meth:`Potential.compute` does."""
        question = _question(self._potential, properties)
        structure = as_structure(atoms)
        question.check(structure)
        values = self._core.compute(*structure, question.request, self._potential._threads)
        return question.answer(structure, values)


class _Question:
    """The properties that somebody asks for: what the core has to compute for them, and how they follow from it."""

    def __init__(self, properties: tuple[str, ...]):
        self._names = properties
        self._stress = any(name.startswith("stress") for name in properties)
        self.request = _core.Request(
            any(name.startswith(("forces", "stress")) for name in properties),
            any(name.endswith("_spread") for name in properties),
            any(name in EXTRAPOLATION for name in properties),
            GRADE in properties,
        )

    def check(self, structure: Structure) -> None:
        """Raise a ValueError where a property makes no sense for the structure."""
        if self._stress and not structure.pbc.all():
            raise ValueError(f"stress needs a cell that is periodic in three directions, got pbc {structure.pbc}")

    def answer(self, structure: Structure, evaluation: tuple[Any, Any, Any]) -> dict[str, Any]:
        """Return the properties from what the core has computed."""
        mean, spread, judgements = evaluation
        results: dict[str, Any] = dict(zip(_JUDGEMENTS, judgements, strict=True))
        for name in self._names:
            if name not in results:
                results[name] = _value(name, spread if name.endswith("_spread") else mean, structure)
        return {name: results[name] for name in self._names}


@functools.lru_cache(maxsize=32)
def _known_question(accepted: tuple[str, ...], properties: tuple[str, ...]) -> _Question:
    unknown = [name for name in properties if name not in accepted]
    if unknown:
        raise ValueError(f"properties must be among {', '.join(accepted)}, got {', '.join(map(repr, unknown))}")
    return _Question(properties)


def _question(potential: Potential, properties: Sequence[str] | None) -> _Question:
    if properties is None:
        properties = [name for name in _BY_DEFAULT if name in potential.properties]
    if isinstance(properties, str):
        raise TypeError(f"properties must be a sequence of names, got the string {properties!r}")
    return _known_question(potential._askable, tuple(properties))


def _from_content(content: bytes, precision: _Precision, threads: int) -> Potential:
    """Load a copied or pickled potential; the core reads and verifies files only."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.atomcore"
        path.write_bytes(content)
        return Potential.load(path, precision=precision, threads=threads)


def _value(name: str, values: tuple[float, Any, Any, Any], structure: Structure) -> Any:
    """Return the property, or its spread, from what the core computes."""
    energy, energies, gradient, strain_gradient = values
    spread = name.endswith("_spread")
    quantity = name.removesuffix("_spread")
    if quantity == "energy":
        return energy
    if quantity == "forces":
        return gradient if spread else np.negative(gradient, out=gradient)
    if quantity == "stress":
        symmetric = 0.5 * (strain_gradient + strain_gradient.T)
        return symmetric[VOIGT] / abs(np.linalg.det(structure.cell))
    return energies
