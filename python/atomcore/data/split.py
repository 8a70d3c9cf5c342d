"""Training, validation and test sets that use every structure exactly once."""

import json
import logging
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._arrays import as_plain, whole_number
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.data.dataset import Dataset

_log = logging.getLogger("atomcore")
NAMES = ("train", "valid", "test")
_FORMAT = "atomcore split 1"


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """A dataset and which of its structures are for training, validation and test.

    Parameters
    ----------
    dataset : Dataset
        All structures.
    indices : dict of str to numpy.ndarray
        Ascending indices into the dataset under ``"train"``, ``"valid"`` and ``"test"``.
    settings : dict
        How the split was made.
    """

    dataset: Dataset
    indices: dict[str, np.ndarray]
    settings: dict[str, Any]

    @classmethod
    def make(
        cls,
        dataset: Dataset,
        *,
        train: float | None = None,
        valid: float | None = None,
        test: float | None = None,
        seed: int = 0,
        mode: str = "random",
        block: int | None = None,
        valid_every: int | None = None,
        test_every: int | None = None,
        folds: int | None = None,
        fold: int | None = None,
    ) -> "Split":
        """Divide a dataset; :meth:`Dataset.split` is the short way to call this.

        Parameters
        ----------
        dataset : Dataset
            The structures, in the order of the file.
        train, valid, test : int or float, optional
            Number of structures (int) or share of all of them (float from 0 to 1). What is not named goes to train or,
            in mode "random" where train is named, to test.
        seed : int
            The test set depends on the seed and its own size only, not on the size of the validation set.
        mode : {"random", "block", "kfold"}
            Deal single structures, or whole contiguous blocks: for trajectories, whose neighboring frames are so
            alike that a random test set flatters the model. "kfold" deals all structures into ``folds`` parts, by the
            seed alone, and tests on one of them: with every fold in turn, each structure is tested once.
        block : int
            Structures in a block (mode "block" only). A last, shorter block goes to train.
        valid_every, test_every : int, optional
            Instead of ``valid`` or ``test`` in mode "block": every so-many-th block (``test_every=5`` takes blocks 5,
            10, ... counted from one); ``valid_every`` counts the blocks that the test set leaves.
        folds, fold : int
            Number of parts, from 2, and which is tested, from 0 (mode "kfold" only, in place of ``test``).

        Raises
        ------
        ValueError
            When sizes do not fit together or into the dataset; the message says which numbers would.
        """
        sizes = {"train": as_plain(train), "valid": as_plain(valid), "test": as_plain(test)}
        every = {"valid": as_plain(valid_every), "test": as_plain(test_every)}
        seed, block, folds, fold = as_plain(seed), as_plain(block), as_plain(folds), as_plain(fold)
        own = {"block": {"block": block, **{f"{name}_every": value for name, value in every.items()}}}
        _check_mode(mode, own | {"kfold": {"folds": folds, "fold": fold}})
        unit = _unit(block, len(dataset)) if mode == "block" else 1
        rng = np.random.default_rng(whole_number("seed", seed, 0))
        left, indices = np.arange(len(dataset) // unit), {}
        if mode == "random" and sizes["train"] is not None and sizes["test"] is None:
            taken = sum(_count(name, sizes[name] or 0, len(dataset), unit) for name in ("train", "valid"))
            sizes["test"] = max(len(dataset) - taken, 0)
        for name in ("test", "valid"):
            if mode == "kfold" and name == "test":
                dealt = _fold(sizes["test"], folds, fold, len(dataset), rng)
            else:
                dealt = _deal(name, left, sizes[name], every[name], len(dataset), unit, rng)
            left = np.setdiff1d(left, dealt)
            indices[name] = np.sort((dealt[:, None] * unit + np.arange(unit)).ravel())
        used = np.concatenate([indices["test"], indices["valid"]])
        indices["train"] = np.setdiff1d(np.arange(len(dataset)), used)
        _check_train(sizes, {name: len(indices[name]) for name in NAMES}, len(dataset))
        settings = {"mode": mode, "seed": seed, "block": block, **sizes}
        settings |= {f"{name}_every": value for name, value in every.items()}
        if mode == "kfold":
            settings |= {"folds": folds, "fold": fold}
        return cls(dataset, {name: indices[name] for name in NAMES}, settings)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(self.indices[name])} {name}" for name in NAMES)
        return f"<Split of {self.dataset.source or 'a dataset'}: {sizes}>"

    @cached_property
    def train(self) -> Dataset:
        """The structures for training."""
        return self.dataset.subset(self.indices["train"])

    @cached_property
    def valid(self) -> Dataset:
        """The structures for validation."""
        return self.dataset.subset(self.indices["valid"])

    @cached_property
    def test(self) -> Dataset:
        """The structures for the final test."""
        return self.dataset.subset(self.indices["test"])

    @property
    def elements(self) -> tuple[str, ...]:
        """Symbols of the elements of the whole dataset, by atomic number."""
        return self.dataset.elements

    def save(self, path: str | os.PathLike) -> None:
        """Write the indices, the settings and the checksum of the data as JSON, whole or not at all."""
        content = {
            "format": _FORMAT,
            "source": self.dataset.source,
            "data_sha256": self.dataset.sha256,
            "settings": self.settings,
            "indices": {name: self.indices[name].tolist() for name in NAMES},
        }
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike, dataset: Dataset) -> "Split":
        """Read a split that :meth:`save` wrote.

        Parameters
        ----------
        path : path
            The JSON file.
        dataset : Dataset
            The data that was split, bit by bit.

        Raises
        ------
        AtomcoreError
            When the file is damaged or no split.
        ValueError
            When the split was made of other data.
        """
        file = Path(path)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            known = content["format"] == _FORMAT
            sha256, settings = content["data_sha256"], dict(content["settings"])
            indices = {name: np.array(content["indices"][name], dtype=np.int64).reshape(-1) for name in NAMES}
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise AtomcoreError(f"{file.name} is damaged or no split: {type(error).__name__} {error}") from error
        if not known:
            raise AtomcoreError(f"{file.name} has the format {content['format']!r}; accepted: {_FORMAT!r}")
        if sha256 != dataset.sha256:
            raise ValueError(
                f"{file.name} was made of other data ({content.get('source')!r}, SHA-256 {str(sha256)[:12]}...) than "
                f"{dataset.source!r} (SHA-256 {dataset.sha256[:12]}...): the structures or labels are not the same"
            )
        everything = np.sort(np.concatenate(list(indices.values())))
        if not np.array_equal(everything, np.arange(len(dataset))):
            raise AtomcoreError(f"{file.name} does not use each of the {len(dataset)} structures exactly once")
        return cls(dataset, indices, settings)


def _check_mode(mode: str, own: dict[str, dict[str, int | None]]) -> None:
    """Raise unless the mode is known and nothing is given that only another mode understands."""
    if mode not in ("random", *own):
        raise ValueError(f"mode is {mode!r}; accepted: 'random', 'block', 'kfold'")
    for other, arguments in own.items():
        for name, value in arguments.items():
            if value is not None and other != mode:
                raise ValueError(f"{name}={value!r} is for mode {other!r}, but mode is {mode!r}")


def _unit(block: int | None, n: int) -> int:
    """Return how many neighboring structures are dealt together."""
    unit = whole_number("block", block, 1)
    if unit > n:
        raise ValueError(f"block is {unit}, but there are only {n} structures")
    return unit


def _fold(test: float | None, folds: int | None, fold: int | None, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the structures of one of the parts, whose sizes differ by one at most."""
    if test is not None:
        raise ValueError(f"test={test!r} and mode 'kfold' exclude each other: the test set is fold {fold}")
    count, chosen = whole_number("folds", folds, 2), whole_number("fold", fold, 0)
    if count > n:
        raise ValueError(f"folds is {count}, but there are only {n} structures")
    if chosen >= count:
        raise ValueError(f"fold is {chosen}; accepted: 0 to {count - 1}, as folds is {count}")
    return np.array_split(rng.permutation(n), count)[chosen]


def _deal(
    name: str, left: np.ndarray, size: float | None, every: int | None, n: int, unit: int, rng: np.random.Generator
) -> np.ndarray:
    """Return those of the units still left that go to one of the sets."""
    if every is not None:
        if size is not None:
            raise ValueError(f"{name}={size} and {name}_every={every} exclude each other")
        step = whole_number(f"{name}_every", every, 1)
        return left[step - 1 :: step]
    count = _count(name, size or 0, n, unit)
    if count > len(left):
        raise ValueError(f"{name}={size} is more than the {len(left) * unit} of {n} structures that are left")
    return rng.permutation(left)[:count]


def _count(name: str, size: float, n: int, unit: int) -> int:
    """Return the number of units that a size stands for."""
    if isinstance(size, float):
        if not 0.0 <= size <= 1.0:
            raise ValueError(f"{name}={size!r}; accepted: a whole number of structures or a share from 0.0 to 1.0")
        count = round(size * n / unit)
        if size > 0 and count == 0:
            raise ValueError(f"{name}={size!r} of {n} structures in blocks of {unit} is none; take more, or 0")
        return count
    count, rest = divmod(whole_number(name, size, 0), unit)
    if rest:
        raise ValueError(f"{name}={size} is not a multiple of block={unit}, and blocks are dealt whole")
    return count


def _check_train(sizes: dict[str, float | None], actual: dict[str, int], n: int) -> None:
    """Raise unless something is left for training and a size named for it is what is left."""
    if actual["train"] == 0:
        raise ValueError(
            f"nothing is left for train: {actual['valid']} valid and {actual['test']} test of {n} structures"
        )
    train = sizes["train"]
    if train is None:
        return
    if isinstance(train, float):
        # Shares are rounded to whole blocks one by one, so it is the shares as named that must add up.
        named = {name: size * n if isinstance(size := sizes[name], float) else actual[name] for name in NAMES}
        fits = 0.0 <= train <= 1.0 and abs(sum(named.values()) - n) < 1
    else:
        fits = whole_number("train", train, 0) == actual["train"]
    if not fits:
        raise ValueError(
            f"train={train}, valid={actual['valid']} and test={actual['test']} do not add up to the {n} structures: "
            f"every structure is used once, {actual['train']} are left for train (leave train away to take "
            "them, or test to have the rest there)"
        )


def as_split(data: Any) -> Split:
    """Return ``data`` if it is a Split; a Dataset is split at random."""
    if isinstance(data, Split):
        return data
    if not isinstance(data, Dataset):
        raise TypeError(f"data is a {type(data).__name__}; accepted: Dataset (see atomcore.data.load), Split")
    part = len(data) // 10
    split = data.split(valid=part, test=part, seed=0)
    _log.info("No split given: %d structures for training, %d validation, %d test, at random (seed 0).",
              len(data) - 2 * part, part, part)  # fmt: skip
    return split
