"""GDML models: energies and forces of one molecule, from a few hundred reference calculations."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_float64, whole_number
from atomcore.data import Dataset
from atomcore.kernels.gdml import Predictor
from atomcore.models.gdml.fit import Trained, Trainer
from atomcore.models.gdml.iterative import Iterative
from atomcore.models.gdml.material import as_geometries
from atomcore.models.gdml.predictor import make_predictor
from atomcore.models.gdml.record import GdmlRecord
from atomcore.models.gdml.report import GdmlReport

Float64 = npt.NDArray[np.float64]

_SOLVERS = ("auto", "analytic", "iterative")
_ENERGIES = ("offset", "constraints", None)
_PROPERTIES = ("energy", "forces")


class GDML:
    """Gradient-domain machine learning (sGDML) of one molecule, or of one periodic cell.

    A Gaussian process on the inverse distances of all atoms, with the Matern 5/2 kernel summed over permutations of
    atoms, trained on forces: energies are their integral (Chmiela et al., Sci. Adv. 3, e1603015 (2017); Nat. Commun. 9,
    3887 (2018)).

    Parameters
    ----------
    sigma : float
        Length of the kernel, in 1/Angstrom. It goes with `lam`: a grid or a search over both finds them
        (`atomcore.train.kernel_search`).
    lam : float
        Added to the diagonal of the covariance, labels being divided by their standard deviation.
    symmetries : bool or array_like of int, shape (P, N)
        True finds the permutations of atoms that the training geometries show, False uses none ("GDML"), and a group
        of permutations, a row each, is used as it is.
    energies : {"offset", "constraints", None}
        Energies of the training set set the constant of the energy only, or are trained on beside the forces, or are
        not used: energies then have an arbitrary constant.
    solver : {"auto", "analytic", "iterative"} or Iterative
        A Cholesky factor of the covariance, held once and packed (``4 n^2`` bytes, n = 3 N M), or conjugate gradients
        that never hold it; "auto" takes the first where it fits into memory. An `Iterative` has settings.
    seed : int
        Of everything that is drawn at random.

    Attributes
    ----------
    record : GdmlRecord
        The trained model as numbers.
    report : GdmlReport
        How it was trained; ``print(model.report)``.
    alphas : ndarray [M * 3 N]
        Coefficients of the training gradients.
    provenance : dict
        Where the model comes from, written to its file.
    """

    def __init__(
        self,
        sigma: float = 10.0,
        lam: float = 1e-10,
        *,
        symmetries: Any = True,
        energies: str | None = "offset",
        solver: str | Iterative = "auto",
        seed: int = 0,
    ):
        self.sigma, self.lam, self.symmetries = sigma, lam, symmetries
        self.energies, self.solver, self.seed = energies, solver, seed
        self._check()
        self._record: GdmlRecord | None = None
        self._predictor: Predictor | None = None
        self.report: GdmlReport | None = None
        self.alphas: Float64 | None = None
        self.provenance: dict[str, Any] = {}

    def _check(self) -> None:
        for name in ("sigma", "lam"):
            value = getattr(self, name)
            real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not (real and 0 < float(value) < np.inf):
                raise ValueError(f"{name} is {value!r}; accepted: numbers above 0")
        if self.energies not in _ENERGIES:
            raise ValueError(f"energies is {self.energies!r}; accepted: 'offset', 'constraints', None")
        if not isinstance(self.solver, Iterative) and self.solver not in _SOLVERS:
            raise ValueError(f"solver is {self.solver!r}; accepted: {', '.join(map(repr, _SOLVERS))}, Iterative(...)")
        whole_number("seed", self.seed, 0)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings, as scikit-learn asks for them."""
        return {name: getattr(self, name) for name in ("sigma", "lam", "symmetries", "energies", "solver", "seed")}

    def set_params(self, **settings: Any) -> "GDML":
        """Change settings; the model is what it was until it is fitted again."""
        known = self.get_params()
        for name in settings:
            if name not in known:
                raise ValueError(f"{name} is no setting of GDML; accepted: {', '.join(known)}")
        type(self)(**{**known, **settings})  # raises before anything is changed
        for name, value in settings.items():
            setattr(self, name, value)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_predictor": None}  # the core's object cannot be copied

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._record is not None:
            self._predictor = make_predictor(self._record)

    def __repr__(self) -> str:
        of = "" if self._record is None else f", {len(self._record.descriptors)} structures"
        return f"<GDML sigma={self.sigma:g}, lam={self.lam:g}{of}>"

    # Training

    def fit(self, dataset: Dataset, *, progress: bool = True) -> "GDML":
        """Train on geometries of one molecule.

        Parameters
        ----------
        dataset : Dataset
            Structures with forces, all of the same atoms in the same order; where they are periodic, in one cell.
            Energies are needed unless ``energies=None``.
        progress : bool
            Whether to show bars.

        Returns
        -------
        GDML
            This model.

        Raises
        ------
        ValueError
            When the structures are not of one molecule, labels are missing, or two atoms are at one place.
        MemoryError
            When the covariance does not fit; the message has the numbers.
        NotPositiveDefinite
            When `lam` is too small for the covariance.
        """
        self._check()
        self.adopt(Trainer(self, dataset, progress=progress).solve(self.sigma, self.lam))
        return self

    def adopt(self, trained: Trained) -> "GDML":
        """Become what a `Trainer` has made, with warnings of what is doubtful about the labels."""
        self._record, self._predictor = trained.record, make_predictor(trained.record)
        self.alphas, self.report, self.provenance = trained.alphas, trained.report, trained.provenance
        for text in () if trained.report is None else trained.report.warnings:
            warnings.warn(text, stacklevel=3)
        return self

    # The trained model

    @classmethod
    def from_record(cls, record: GdmlRecord, *, lam: float = 1e-10) -> "GDML":
        """Return a model that was trained elsewhere.

        Parameters
        ----------
        record : GdmlRecord
        lam : float
            That it was trained with, for training it again.
        """
        energies = "offset" if record.energy_coefficients is None else "constraints"
        model = cls(record.sigma, lam, symmetries=record.permutations, energies=energies)
        model._record, model._predictor = record, make_predictor(record)
        return model

    @property
    def record(self) -> GdmlRecord:
        """The trained model as numbers."""
        if self._record is None:
            raise ValueError("the model is not trained; call fit first")
        return self._record

    @property
    def permutations(self) -> npt.NDArray[np.int64]:
        """Permutations of atoms that leave the energy as it is, shape (P, N), the identity first."""
        return self.record.permutations

    @property
    def numbers(self) -> npt.NDArray[np.int32]:
        """Atomic numbers of the molecule, in the order that structures must have, shape (N,)."""
        return self.record.numbers

    def predict(self, structures: Any) -> tuple[Float64, Float64]:
        """Compute energies and forces of many geometries.

        Parameters
        ----------
        structures : Dataset, ase.Atoms, or several of these
            Of the molecule that the model was trained on, its atoms in the same order, in the same cell.

        Returns
        -------
        energy : ndarray, shape (n,)
            In eV.
        forces : ndarray, shape (n, N, 3)
            Minus the gradient, in eV/A.

        Raises
        ------
        ValueError
            When a structure has other atoms, another order of them or another cell, or two atoms at one place.
        """
        record = self.record
        return self._evaluate(as_geometries(structures, record.numbers, record.lattice))

    def predict_positions(self, positions: Any) -> tuple[Float64, Float64]:
        """Compute as :meth:`predict` does, from positions [n, N, 3] in Angstrom alone."""
        n = len(self.record.numbers)
        return self._evaluate(as_float64("positions", positions, ("n", n, 3)))

    def _evaluate(self, positions: Float64) -> tuple[Float64, Float64]:
        assert self._predictor is not None
        return self._predictor.predict(positions)

    def compute(self, atoms: Any, properties: Sequence[str] = ("energy", "forces")) -> dict[str, Any]:
        """Compute properties of one structure.

        Parameters
        ----------
        atoms : ase.Atoms
        properties : sequence of {"energy", "forces"}

        Returns
        -------
        dict
            ``energy`` in eV, ``forces`` [N, 3] in eV/A.

        Raises
        ------
        ValueError
            As for :meth:`predict`, and where a property is unknown.
        """
        if isinstance(properties, str):
            raise TypeError(f"properties is the text {properties!r}; accepted: a sequence of names")
        unknown = [name for name in properties if name not in _PROPERTIES]
        if unknown:
            raise ValueError(f"properties has {unknown[0]!r}; accepted: {', '.join(_PROPERTIES)}")
        energy, forces = self.predict(atoms)
        found = {"energy": float(energy[0]), "forces": forces[0]}
        return {name: found[name] for name in properties}

    # Files

    def save(self, path: str | os.PathLike) -> None:
        """Write the model to a ``.atomcore`` file, which `Potential`, `Calculator` and the command line take."""
        from atomcore.export import save_gdml

        save_gdml(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "GDML":
        """Read a model that :meth:`save` wrote."""
        from atomcore.export import load_gdml

        return load_gdml(path)
