"""Training sets that grow where the model is wrong, from a pool of structures with labels."""

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_integers, whole_number
from atomcore._files import replacing, write_json, write_text
from atomcore._progress import Progress
from atomcore.data import Dataset
from atomcore.kernels.gdml import descriptors
from atomcore.models.gdml import GDML, stratified_sample
from atomcore.models.gdml.fit import Trainer
from atomcore.models.gdml.material import geometries, labels
from atomcore.models.gdml.symmetry import check_group, find_symmetry, pair_permutations
from atomcore.train.clustering import find_problematic
from atomcore.train.kernel_losses import mae, rmse
from atomcore.train.kernel_search import grid_search, refuse_checkpoint

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_INITIAL = ("diverse", "stratified", "random")
_SELECTIONS = ("errors", "clusters", "random")


@dataclass(frozen=True)
class Round:
    """One training of the loop, errors in eV and eV/A.

    Attributes
    ----------
    n_train : int
    sigma, lam : float
    pool_forces_rmse, pool_forces_max : float
        Over the structures of the pool that were not trained on.
    test_energy_mae, test_energy_rmse, test_forces_mae, test_forces_rmse : float or None
        None without a test set; those of the energy also without energies.
    """

    n_train: int
    sigma: float
    lam: float
    pool_forces_rmse: float
    pool_forces_max: float
    test_energy_mae: float | None = None
    test_energy_rmse: float | None = None
    test_forces_mae: float | None = None
    test_forces_rmse: float | None = None


@dataclass(frozen=True, eq=False)
class ActiveResult:
    """A model and how its training set came about.

    Attributes
    ----------
    model : GDML
        Of the last round.
    indices : ndarray of int64
        Training structures, as indices into the pool, in the order that they were chosen.
    rounds : tuple of Round
    """

    model: GDML
    indices: Int64
    rounds: tuple[Round, ...]

    def save(self, folder: str | os.PathLike) -> None:
        """Write ``active.json``, ``rounds.csv`` and ``train_idxs.npy`` into a folder."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        rows = [asdict(entry) for entry in self.rounds]
        content = {"units": {"energy": "eV", "force": "eV/A"}, "rounds": rows, "indices": self.indices.tolist()}
        write_json(target / "active.json", content)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(target / "rounds.csv", text.getvalue())
        with replacing(target / "train_idxs.npy") as temporary:
            np.save(temporary, self.indices)


def active_train(
    model: GDML,
    pool: Dataset,
    *,
    n_initial: Any = 50,
    n_final: int = 200,
    step: int = 25,
    initial: Any = "diverse",
    selection: str = "errors",
    grid: Mapping[str, Any] | None = None,
    test: Dataset | None = None,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    progress: bool = True,
) -> ActiveResult:
    """Train again and again, each time with more of the structures that the model gets wrong.

    Parameters
    ----------
    model : GDML
        Whose settings count; it is not changed. Symmetries are looked for once, in the pool.
    pool : Dataset
        Structures with forces, and energies unless the model uses none.
    n_initial, n_final : int
        Sizes of the first and of the last training set.
    step : int
        Structures added in each round; the last round may add fewer.
    initial : {"diverse", "stratified", "random"} or array_like of int
        The first training set: structures far from each other (in inverse distances, symmetric ones being the same), a
        sample with the distribution of the energies, any, or these.
    selection : {"errors", "clusters", "random"}
        What is added: structures with large force errors that are far from each other compared to how far they are from
        the training set; the clusters with the largest errors (`find_problematic`); or any, for comparison.
    grid : mapping, optional
        ``{"sigmas": ..., "lams": ...}``: settings are searched in each round, leaving one structure out at a time
        (`grid_search`). Otherwise they stay those of the model.
    test : Dataset, optional
        What errors are reported of.
    seed : int
        Of everything drawn at random: the same seed gives the same training set.
    folder : path, optional
        Where the result is saved after each round.

    Returns
    -------
    ActiveResult

    Raises
    ------
    ValueError
        When sizes do not fit together or into the pool, or labels are missing.
    """
    first = whole_number("n_initial", n_initial, 1) if isinstance(initial, str) else len(initial)
    sizes = _sizes(first, n_final, step, len(pool))
    if selection not in _SELECTIONS:
        raise ValueError(f"selection is {selection!r}; accepted: {', '.join(map(repr, _SELECTIONS))}")
    refuse_checkpoint(model)
    rng = np.random.default_rng(whole_number("seed", seed, 0))
    candidates = _Pool(model, pool, progress)
    settings = model.get_params() | {"symmetries": candidates.permutations}
    chosen, rounds = candidates.start(initial, first, rng), list[Round]()
    bar = Progress(len(sizes), "active training", enabled=progress)
    for size in sizes:
        if size > len(chosen):
            chosen = np.concatenate([chosen, candidates.select(selection, chosen, size - len(chosen), rng)])
        trained = _train(GDML(**settings), pool.subset(chosen), grid, last=size == sizes[-1])
        rounds.append(candidates.judge(trained, chosen, test))
        result = ActiveResult(trained, chosen, tuple(rounds))
        if folder is not None:
            result.save(folder)
        bar.update(len(rounds), f"{size} structures: force RMSE {rounds[-1].pool_forces_rmse:.4g} eV/A in the pool")
    bar.close(len(rounds))
    return result


def _sizes(first: int, last: int, step: int, available: int) -> list[int]:
    if not first <= whole_number("n_final", last, 1) <= available:
        raise ValueError(f"n_final is {last}; accepted: from {first}, the first size, to {available}, that of the pool")
    return [*range(first, last, whole_number("step", step, 1)), last]


def _train(model: GDML, dataset: Dataset, grid: Mapping[str, Any] | None, *, last: bool) -> GDML:
    if grid is not None:
        return grid_search(model, dataset, **grid, progress=False).model
    # Only the last model is judged: what looks like bad labels to the first ones is their own ignorance.
    return model.adopt(Trainer(model, dataset, progress=False).solve(model.sigma, model.lam, report=last))


class _Pool:
    """Structures to choose from."""

    def __init__(self, model: GDML, dataset: Dataset, progress: bool):
        geometry = geometries(dataset)
        self.dataset, self.positions = dataset, geometry.positions
        self.energy, self.forces = labels(dataset, model.energies)
        if isinstance(model.symmetries, bool):
            found = None
            if model.symmetries:
                found = find_symmetry(
                    geometry.positions, geometry.numbers, lattice=geometry.lattice, seed=model.seed, progress=progress
                ).permutations
            self.permutations = np.arange(len(geometry.numbers))[None] if found is None else found
        else:
            self.permutations = check_group(model.symmetries, geometry.numbers).permutations
        self._x = descriptors(geometry.positions, geometry.lattice)[0]
        self._pairs = pair_permutations(self.permutations)
        self._errors: Float64 = np.empty(0)

    def start(self, initial: Any, n: int, rng: np.random.Generator) -> Int64:
        """Return the first training set."""
        count = len(self.dataset)
        if not isinstance(initial, str):
            given = as_integers("initial", initial, ("n",))
            if len(np.unique(given)) < len(given) or (given < 0).any() or (given >= count).any():
                raise ValueError(
                    f"initial has indices that repeat or are outside; accepted: 0 to {count - 1}, each once"
                )
            return given
        if initial not in _INITIAL:
            raise ValueError(f"initial is {initial!r}; accepted: {', '.join(map(repr, _INITIAL))}, or indices")
        if initial == "stratified":
            if self.energy is None:
                raise ValueError("initial is 'stratified', which needs energies; accepted without: 'diverse', 'random'")
            return stratified_sample(self.energy, n, seed=int(rng.integers(2**31)))
        if initial == "random":
            return rng.choice(count, n, replace=False)
        chosen = [int(rng.integers(count))]
        nearest = self._distances(chosen[0])
        while len(chosen) < n:
            nearest[chosen[-1]] = -1.0  # so that copies of a structure cannot choose it twice
            chosen.append(int(np.argmax(nearest)))
            nearest = np.minimum(nearest, self._distances(chosen[-1]))
        return np.array(chosen)

    def judge(self, model: GDML, chosen: Int64, test: Dataset | None) -> Round:
        """Predict the whole pool, and report the errors of what was not trained on."""
        difference = model.predict_positions(self.positions)[1] - self.forces
        self._errors = np.sqrt(np.mean(difference**2, axis=(1, 2)))
        rest = np.delete(difference, chosen, axis=0)
        of_pool = (rmse(rest), float(np.abs(rest).max())) if rest.size else (0.0, 0.0)
        of_test: dict[str, float] = {}
        if test is not None:
            energy, forces = model.predict(test)
            if test.forces is None:
                raise ValueError("test has no forces; accepted: data sets with forces")
            d = forces - test.forces.reshape(forces.shape)
            of_test = {"test_forces_mae": mae(d), "test_forces_rmse": rmse(d)}
            if model.energies is not None and test.energy is not None:
                e = energy - test.energy
                of_test |= {"test_energy_mae": mae(e), "test_energy_rmse": rmse(e)}
        return Round(len(chosen), model.sigma, model.lam, *of_pool, **of_test)

    def select(self, selection: str, chosen: Int64, n: int, rng: np.random.Generator) -> Int64:
        """Return what to add to the structures that were chosen before, from the errors of the last round."""
        left = np.setdiff1d(np.arange(len(self.dataset)), chosen)
        if selection == "random":
            return rng.choice(left, n, replace=False)
        if selection == "clusters":
            energy = np.zeros(len(left)) if self.energy is None else self.energy[left]
            loss = self._errors[left] ** 2
            seed = int(rng.integers(2**31))
            return left[find_problematic(1.0 / self._x[left], energy, loss, n, seed=seed).indices]
        return self._far_and_wrong(chosen, n)

    def _far_and_wrong(self, chosen: Int64, n: int) -> Int64:
        """Choose greedily the structure with the largest error, which counts less near those that were chosen just now.

        The model will know what is near a new structure as it knows what is near the old ones, so the error is weighted
        with the distance to the nearest new structure over that to the nearest old one, where that is below one.
        """
        to_old = np.min([self._distances(i) for i in chosen], axis=0)
        error, weight, added = self._errors.copy(), np.ones(len(self._errors)), list[int]()
        error[chosen] = -1.0
        for _ in range(n):
            added.append(int(np.argmax(np.where(error < 0, -1.0, error * weight))))
            error[added[-1]] = -1.0
            ratio = self._distances(added[-1]) / np.maximum(to_old, np.finfo(float).tiny)
            weight = np.minimum(weight, ratio)
        return np.array(added)

    def _distances(self, i: int) -> Float64:
        """Return how far all structures are from one of them, whose atoms may be exchanged."""
        squares = [np.einsum("nd,nd->n", d, d) for d in (self._x - self._x[i, pairs] for pairs in self._pairs)]
        return np.sqrt(np.min(squares, axis=0))
