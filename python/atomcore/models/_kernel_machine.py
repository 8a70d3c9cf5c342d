"""What kernel ridge regression and Gaussian processes share: labels, training, prediction, growing, files."""

import logging
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from atomcore._arrays import whole_number
from atomcore._progress import Progress
from atomcore.data import Dataset
from atomcore.kernels import RBF, diagonal
from atomcore.kernels.functions import Kernel
from atomcore.models import _kernel_sparse as sparse
from atomcore.models._kernel_estimator import Estimator
from atomcore.models._kernel_exact import CHUNK, ExactSolver, require_matrix
from atomcore.models._kernel_inputs import SCALINGS, ArrayInputs, StructureInputs, as_dataset, is_structures
from atomcore.models._kernel_labels import Batch, chunks, columns, flat_gradients, in_words, positive
from atomcore.models._kernel_search import CRITERIA, GivenNoise, Kinds, Labels, Search, left_out, scaled_kernel, search

_log = logging.getLogger("atomcore")
_BLOCK = 4e6  # numbers in a block of covariances that is made at a time while predicting
_LABELS = ("energy", "forces")
_ENERGIES: Kinds = {"energies": True, "forces": False}
MEANS = ("elements", "constant", "zero")
_PROPERTIES = ("energy", "forces", "energy_spread", "forces_spread")


class KernelMachine(Estimator):
    """Estimator with scikit-learn's conventions; see `KernelRidge` and `GaussianProcess`."""

    _has_variance: ClassVar[bool] = False
    _criteria: ClassVar[tuple[str, ...]] = CRITERIA

    # What every subclass stores from its arguments, unchanged, as scikit-learn wants it.
    kernel: Any
    features: Any
    atomic: bool | None
    labels: Sequence[str] | None
    mean: str | None
    scaling: str
    search: str | None
    starts: int
    search_rows: int
    inducing: int | None
    selection: str
    jitter: float
    seed: int
    _noise: tuple[float, float]

    # Training

    def fit(self, X: Any, y: Any = None, *, gradients: Any = None, progress: bool = False) -> Self:
        """Train on rows of numbers or on structures.

        Parameters
        ----------
        X : array_like [n, D], Dataset, or sequence of ase.Atoms
            Points, or structures, for which the model needs ``features``.
        y : array_like [n] or [n, T], optional
            Values, by default the energies of the structures in eV. Several outputs share the kernel. Structures whose
            values are given are trained on these alone: the forces that they carry may be of another energy.
        gradients : array_like [n, D] or [n, D, T], optional
            Derivatives of the values in the coordinates of the points, for rows of numbers only; structures carry
            forces, of which the gradient is minus.
        progress : bool
            Show bars.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Labels are missing, not finite, or do not fit the structures; an argument is not what is accepted.
        MemoryError
            The kernel matrix does not fit; nothing has been allocated then.
        NotPositiveDefinite
            The kernel matrix with its noise is singular to rounding: repeated points without noise, say. The message
            names the label at which the factorization failed.
        """
        self._check_arguments()
        vars(self).pop("_solver", None)  # a training that fails leaves no model of mixed parts
        structural = is_structures(X)
        if structural != (self.features is not None):
            raise ValueError(
                f"features is {self.features!r} and X is {type(X).__name__}; accepted: structures, at least one, with "
                "features, rows of numbers without"
            )
        data = as_dataset(X, labels=True) if structural else X
        self._inputs: Any = (
            StructureInputs(self.features, self.atomic, self.scaling, data) if structural else ArrayInputs(X)
        )
        batch = self._batch(data, y, gradients)
        self.provenance: dict[str, Any] = data.provenance if structural else {}  # which model files keep
        if self.inducing is None:
            require_matrix(int(self._sizes(batch).sum()))
        self._batches = [batch]
        self._mean = self.mean or ("elements" if structural else "constant")
        self._squeeze = batch.outputs == 1 and np.ndim(y) < 2
        self._find_hyper_parameters(progress)
        if self.inducing is None:
            self._solver: Any = ExactSolver(self.kernel_, self._labels(batch), self._noise)
        else:
            searched = self.search is not None and not any(
                there and given is not None for there, given in zip(batch.kinds, self._given_noise(), strict=True)
            )
            self._begin_sparse(searched=searched)
            self._gather(batch, progress)
            if searched:
                self._noise = self._solver.scale_noise(self._coefficients, amplitude=self._has_variance)
        self._finish()
        if not self._exact and self._has_variance:
            self._solver.warn_of_misfit(self._coefficients)
        if not self._exact and batch.with_energies:
            part = self._sample(batch)
            sparse.compare(self._evaluate(part.taken, _ENERGIES)[0], self._labels_only(part)[: len(part.taken)])
        return self

    def add(self, X: Any, y: Any = None, *, gradients: Any = None, progress: bool = False) -> Self:
        """Train on more data without starting anew: the factor grows, hyper-parameters and scales stay.

        The result is that of training on all of the data with these hyper-parameters and scales; the mean function is
        fitted to all of it. Sparse models keep their inducing points. Arguments are those of `fit`.

        Raises
        ------
        ValueError
            The new labels are not of the kinds, or of the number of outputs, that the model was trained on.
        NotPositiveDefinite
            The grown matrix is singular to rounding; the model is as it was.
        """
        self._check_fitted()
        batch = self._batch(as_dataset(X, labels=True) if is_structures(X) else X, y, gradients)
        first = self._batches[0]
        before, baseline = (getattr(part.taken, "baseline", "") for part in (first, batch))
        if baseline != before:
            raise ValueError(f"energies are differences to {baseline!r}; accepted: to {before!r}, as in training")
        if batch.kinds != first.kinds or batch.outputs != first.outputs:
            raise ValueError(
                f"the labels have {batch.outputs} outputs and {in_words(batch.kinds)}; accepted: "
                f"{first.outputs} and {in_words(first.kinds)}, as in training"
            )
        if self._exact:
            require_matrix(int(self._sizes(batch).sum()) + len(self._solver.values))
            self._solver.add(self._labels(batch))
        else:
            self._gather(batch, progress)
        self._batches.append(batch)
        self._finish()
        return self

    def _batch(self, data: Any, y: Any, gradients: Any) -> Batch:
        """Return checked labels of points or structures."""
        taken = self._inputs.take(data)
        n, m = len(taken), int(self._inputs.n_derivatives(taken).sum())
        energies = slopes = None
        if isinstance(taken, Dataset):
            if gradients is not None:
                raise ValueError("gradients is given beside structures; accepted: None, structures carry forces")
            energies = data.energy if y is None else y
            if y is None and data.forces is not None:
                slopes = -data.forces.reshape(m, 1)
        else:
            energies = y
            if gradients is not None:
                slopes = flat_gradients(gradients, *taken.shape)
        energies = None if energies is None else columns("y", energies, n)
        wanted = _LABELS if self.labels is None else tuple(self.labels)
        there = {"energy": energies is not None, "forces": slopes is not None}
        missing = [name for name in wanted if not there[name]] if self.labels is not None else []
        if missing or not any(there.values()):
            raise ValueError(f"there are no {' and no '.join(missing or _LABELS)} to train on")
        if energies is not None and slopes is not None and energies.shape[1] != slopes.shape[1]:
            raise ValueError(
                f"gradients are of {slopes.shape[1]} outputs and y of {energies.shape[1]}; accepted: one number"
            )
        slopes = slopes if "forces" in wanted else None
        return Batch(taken, energies, slopes, energies is not None and "energy" in wanted)

    def _labels(self, batch: Batch, *, mean: bool = False) -> Labels:
        """Return the rows that a batch gives: all energies, less their mean function if asked to, then all slopes."""
        inputs, n = self._inputs, len(batch.taken)
        points = inputs.points(batch.taken, jacobian=batch.slopes is not None)
        values, owners, weights = [], [], []
        if batch.with_energies:
            assert batch.energies is not None
            offset = self._design(batch.taken) @ self._coefficients if mean else 0.0
            values.append(batch.energies - offset)
            owners.append(np.arange(n))
            weights.append(inputs.n_atoms(batch.taken) if self._atomic else np.ones(n))
        if batch.slopes is not None:
            values.append(batch.slopes)
            owners.append(np.repeat(np.arange(n), inputs.n_derivatives(batch.taken)))
            weights.append(np.ones(len(batch.slopes)))
        energy = np.arange(sum(map(len, values))) < (n if batch.with_energies else 0)
        return Labels(
            points, np.concatenate(values), np.concatenate(weights).astype(float), energy, np.concatenate(owners)
        )

    def _sizes(self, batch: Batch) -> np.ndarray:
        """Return how many labels each point or structure has."""
        sizes = np.full(len(batch.taken), int(batch.with_energies))
        return sizes if batch.slopes is None else sizes + self._inputs.n_derivatives(batch.taken)

    def _find_hyper_parameters(self, progress: bool) -> None:
        kernel = RBF() if self.kernel is None else self.kernel
        part = self._sample(self._batches[0])
        self._fit_mean([part])
        labels = self._labels(part, mean=True)
        self.search_: Search | None = None
        if self.search is None:
            self.kernel_ = scaled_kernel(kernel, labels.points, self.seed) if self.kernel is None else kernel
            self._noise = self._default_noise(labels)
            return
        self.kernel_, noise, self.search_ = search(
            kernel, labels, self.search, starts=self.starts, seed=self.seed, noise=self._given_noise(),
            fixed_variance=not self._has_variance, progress=progress,
        )  # fmt: skip
        self._noise = (float(noise[0]), float(noise[1]))
        if not self.search_.converged:
            _log.warning("The search for hyper-parameters stopped before it converged: %s", self.search_)

    def _sample(self, batch: Batch) -> Batch:
        """Return as many structures as have ``search_rows`` labels, drawn with the seed."""
        counts = self._sizes(batch)
        order = np.random.default_rng(self.seed).permutation(len(counts))
        chosen = np.sort(order[: max(2, int(np.searchsorted(np.cumsum(counts[order]), self.search_rows, "right")))])
        return batch if len(chosen) == len(counts) else batch.part(self._inputs, chosen)

    def _begin_sparse(self, *, searched: bool) -> None:
        batch = self._batches[0]
        assert self.inducing is not None
        if any(there and not noise for there, noise in zip(batch.kinds, self._noise, strict=True)):
            raise ValueError("labels without noise (or regularization) have infinite weight; accepted with inducing "
                             "points: a positive number")  # fmt: skip
        points = sparse.choose(
            self._inputs.points(batch.taken, jacobian=False), self.inducing, self.selection, self.seed
        )
        if batch.with_energies:
            self._fit_mean(self._batches)
        columns = batch.outputs + self._design(self._inputs.part(batch.taken, [0])).shape[1]
        self._solver = sparse.SparseSolver(self.kernel_, points, self._noise, self.jitter, columns, searched=searched)

    def _gather(self, batch: Batch, progress: bool) -> None:
        """Take a batch into a sparse model, in chunks."""
        sizes = self._sizes(batch)
        bar = Progress(len(sizes), "projecting structures", enabled=progress)
        for chosen in chunks(sizes, CHUNK):
            part = batch.part(self._inputs, chosen)
            labels = self._labels(part)
            design = np.zeros((len(labels.values), self._solver.right.shape[1] - batch.outputs))
            if batch.with_energies:
                design[: len(chosen)] = self._design(part.taken)
            residuals = labels.values - design @ self._coefficients
            self._solver.gather(labels, np.concatenate([labels.values, design], axis=1), residuals)
            bar.update(int(chosen[-1]) + 1)
        bar.close(len(sizes))

    def _finish(self) -> None:
        """Fit the mean function, solve for the weights; where slopes may outvote energies, fit the mean once more."""
        first = self._batches[0]
        if first.with_energies:
            self._fit_mean(self._batches)
        else:
            self._coefficients = np.zeros((self._design(self._inputs.part(first.taken, [0])).shape[1], first.outputs))
        if self._exact:
            self._solver.solve(np.concatenate([self._labels_only(batch) for batch in self._batches]))
        else:
            self._solver.solve(self._coefficients)
        if first.energies is not None and first.slopes is not None and not (self._exact and first.with_energies):
            self._fit_mean(self._batches, predicted=True)

    def _labels_only(self, batch: Batch) -> np.ndarray:
        parts = []
        if batch.with_energies:
            assert batch.energies is not None
            parts.append(batch.energies - self._design(batch.taken) @ self._coefficients)
        if batch.slopes is not None:
            parts.append(batch.slopes)
        return np.concatenate(parts)

    def _fit_mean(self, batches: list[Batch], *, predicted: bool = False) -> None:
        """Fit the mean function to energies by least squares, ``predicted`` to what the weights leave of them."""
        design = np.concatenate([self._design(batch.taken) for batch in batches])
        if any(batch.energies is None for batch in batches):
            self._coefficients = np.zeros((design.shape[1], batches[0].outputs))
            return
        energies = np.concatenate([batch.energies for batch in batches])
        if predicted:
            energies = energies - np.concatenate([self._evaluate(batch.taken, _ENERGIES)[0] for batch in batches])
        self._coefficients = np.linalg.lstsq(design, energies, rcond=None)[0]

    def _design(self, taken: Any) -> np.ndarray:
        return self._inputs.design(taken, self._mean)

    @property
    def _atomic(self) -> bool:
        return bool(getattr(self._inputs, "atomic", False))

    @property
    def _exact(self) -> bool:
        """Whether the model in use, whatever arguments were set after training, has a factor of all labels."""
        return isinstance(self._solver, ExactSolver)

    def _given_noise(self) -> GivenNoise:
        """Noise variances of energies and of derivatives that a search keeps, from the arguments."""
        raise NotImplementedError

    def _default_noise(self, labels: Labels) -> tuple[float, float]:
        """Noise variances of energies and of derivatives without a search."""
        raise NotImplementedError

    # Prediction

    def predict(self, X: Any, *, return_std: bool = False, derivatives: bool = False) -> Any:
        """Return values, and derivatives and standard deviations if asked for.

        Parameters
        ----------
        X : array_like [n, D], Dataset, ase.Atoms, or sequence of ase.Atoms
        return_std : bool
            Standard deviations of what is predicted, by the same model as the means and without the noise of labels;
            for Gaussian processes only.
        derivatives : bool
            Rows of numbers: the gradients in their coordinates. Structures: forces in eV/A.

        Returns
        -------
        values : ndarray [n] or [n, T]
        derivatives : ndarray [n, D] or [n, D, T]; of structures [n_atoms, 3] or [n_atoms, 3, T]
        values_std, derivatives_std
            In the shapes of values and derivatives. What is not asked for is left out; values alone come as they are,
            otherwise all come in a tuple, in the order (values, derivatives, values_std, derivatives_std).
        """
        self._check_fitted()
        if return_std and not self._has_variance:
            raise ValueError(f"return_std is True, but {type(self).__name__} has no variance; GaussianProcess has")
        taken = self._inputs.take(X)
        values, slopes, variance, slopes_variance = self._evaluate(
            taken, {"energies": True, "forces": derivatives}, variance=return_std
        )
        values = values + self._design(taken) @ self._coefficients
        if not (np.isfinite(values).all() and np.isfinite(slopes).all()):
            raise ValueError("predictions are not finite: features or labels are too large for the kernel")
        slopes = -slopes if isinstance(taken, Dataset) else slopes
        results = [self._shaped(values, (len(values),))]
        shape = (-1, 3) if isinstance(taken, Dataset) else (len(values), -1)
        if derivatives:
            results.append(self._shaped(slopes, shape))
        if return_std:
            outputs = values.shape[1]
            for part, form in ((variance, (len(values),)), (slopes_variance, shape))[: 1 + derivatives]:
                results.append(self._shaped(np.sqrt(np.repeat(part[:, None], outputs, 1)), form))
        return tuple(results) if len(results) > 1 else results[0]

    def _shaped(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Return rows with one column an output in a shape of rows."""
        return values.reshape(shape) if self._squeeze else values.reshape(*shape, values.shape[1])

    def _evaluate(
        self, taken: Any, kinds: Kinds, *, variance: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return values and slopes without the mean function and their variances (zeros unless asked for)."""
        sizes = self._inputs.n_derivatives(taken) * kinds["forces"] + kinds["energies"]
        energies, slopes = [], []
        for chosen in chunks(sizes, max(1, int(_BLOCK) // self._solver.row_size)):
            points = self._inputs.points(self._inputs.part(taken, chosen), jacobian=kinds["forces"])
            mean, reduction = self._solver.predict(points, kinds, variance=variance)
            left = np.zeros(len(mean))
            if variance:  # rounding makes what is nothing negative
                left = np.maximum(diagonal(self.kernel_, points, **kinds) - reduction, 0.0)
            split = len(chosen) * kinds["energies"]
            energies.append((mean[:split], left[:split]))
            slopes.append((mean[split:], left[split:]))
        (E, var_E), (G, var_G) = (
            [np.concatenate(part) for part in zip(*each, strict=True)] for each in (energies, slopes)
        )
        return E, G, var_E, var_G

    def compute(self, atoms: Any, properties: Sequence[str] | None = None) -> dict[str, Any]:
        """Return properties of one structure, with the names and units of `atomcore.Potential.compute`.

        Parameters
        ----------
        atoms : ase.Atoms
        properties : sequence of str, optional
            Of "energy" (eV), "forces" [N, 3] (eV/A) and, of Gaussian processes, "energy_spread" and "forces_spread",
            their standard deviations; energy and forces by default.
        """
        if not hasattr(atoms, "positions"):
            raise TypeError(f"atoms is {type(atoms).__name__}; accepted: ase.Atoms, one structure")
        wanted = ("energy", "forces") if properties is None else tuple(properties)
        accepted = _PROPERTIES if self._has_variance else _PROPERTIES[:2]
        unknown = [name for name in wanted if name not in accepted]
        if unknown or isinstance(properties, str):
            raise ValueError(f"properties is {properties!r}; accepted: names in a list, of {', '.join(accepted)}")
        spread = any(name.endswith("spread") for name in wanted)
        slopes = any(name.startswith("forces") for name in wanted)
        found = self.predict(atoms, return_std=spread, derivatives=slopes)
        names = [name for name in _PROPERTIES if (slopes or "forces" not in name) and (spread or "spread" not in name)]
        results = dict(zip(names, found if isinstance(found, tuple) else (found,), strict=True))
        return {name: float(results[name][0]) if name.startswith("energy") else results[name] for name in wanted}

    def leave_one_out(self) -> Any:
        """Return what each training point or structure is predicted to be by the model trained without it.

        In closed form from the factor that is kept, with the hyper-parameters and the mean function of all data; all
        labels of a structure are left out together. Exact models only.

        Returns
        -------
        values, derivatives
            As `predict` returns them, of the labels that the model was trained on; None for a kind that it was not.
        """
        self._check_fitted()
        if not self._exact:
            raise ValueError("leave_one_out needs the factor of all labels; accepted: models without inducing points")
        owners, kinds, first = [], [], 0
        for labels in self._solver.batches:
            owners.append(labels.owner + first)
            kinds.append(labels.is_energy)
            first += int(labels.owner.max()) + 1
        residuals, _, _ = left_out(self._solver.factor, self._solver.values, np.concatenate(owners))
        predicted, energy = self._solver.values - residuals, np.concatenate(kinds)
        values = slopes = None
        structural = isinstance(self._batches[0].taken, Dataset)
        if energy.any():
            offset = np.concatenate([self._design(batch.taken) for batch in self._batches]) @ self._coefficients
            values = self._shaped(predicted[energy] + offset, (int(energy.sum()),))
        if not energy.all():
            sign, shape = (-1.0, (-1, 3)) if structural else (1.0, (-1, self._inputs.n_features))
            slopes = self._shaped(sign * predicted[~energy], shape)
        return values, slopes

    # Files

    def to_record(self) -> Any:
        """Return what a model file holds of this model: see `atomcore.models._kernel_record`."""
        from atomcore.models._kernel_record import record

        self._check_fitted()
        return record(self)

    def save(self, path: str | os.PathLike, *, variance: bool = True) -> None:
        """Write the model file (``.atomcore``), after checking that the C++ engine gives the same numbers.

        `atomcore.Potential.load`, `atomcore.calculators.Calculator` and the commands read it, for predictions and their
        standard deviations. It does not hold the labels: what is to be trained on (`add`) stays this object.

        Parameters
        ----------
        path : path-like
        variance : bool
            Store what standard deviations are computed from, where the model has them: ``4 n^2`` bytes for n labels.

        Raises
        ------
        ValueError
            The model was trained on rows of numbers, on several outputs, or with features that the engine has not.
        atomcore.AtomcoreError
            When engine and model disagree; an older file at ``path`` is then left as it was.
        """
        from atomcore.export import save_kernel_machine

        self._check_fitted()
        save_kernel_machine(self, path, variance=variance)

    # Checks

    def _check_fitted(self) -> None:
        if not hasattr(self, "_solver"):
            raise ValueError(f"this {type(self).__name__} is not trained yet; call fit first")

    def _check_arguments(self) -> None:
        choices = (
            ("search", self.search, (None, *self._criteria)),
            ("mean", self.mean, (None, *MEANS)),
            ("selection", self.selection, sparse.SELECTIONS),
            ("scaling", self.scaling, SCALINGS),
        )
        for name, value, accepted in choices:
            if not (value is None or isinstance(value, str)) or value not in accepted:
                raise ValueError(f"{name} is {value!r}; accepted: {', '.join(map(str, accepted))}")
        if self.kernel is not None and not isinstance(self.kernel, Kernel):
            raise TypeError(
                f"kernel is {self.kernel!r}; accepted: None, or a kernel of atomcore.kernels, such as RBF()"
            )
        if self.mean == "elements" and self.features is None:
            raise ValueError("mean is 'elements' for rows of numbers; accepted: None, constant, zero")
        if self.labels is not None and (not len(self.labels) or any(name not in _LABELS for name in self.labels)):
            raise ValueError(f"labels is {self.labels!r}; accepted: None, or some of {', '.join(_LABELS)}")
        whole_number("starts", self.starts, 1)
        whole_number("seed", self.seed, 0)
        whole_number("search_rows", self.search_rows, 2)
        if self.inducing is not None:
            whole_number("inducing", self.inducing, 1)
        positive("jitter", self.jitter)
