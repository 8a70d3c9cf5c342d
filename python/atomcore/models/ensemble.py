"""Several models of one kind, trained apart: where they disagree, none of them is to be trusted."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from atomcore._arrays import whole_number
from atomcore.models.bpnn import BehlerParrinello
from atomcore.models.scaling import Statistics

# What all members share, or have alike; "seed" is that of the first.
_COMMON = (
    "activation", "dtype", "elements", "energy", "features", "hidden", "input_scaling", "kind", "scaling", "seed",
    "shared", "target",
)  # fmt: skip
_MOST = 1000  # that a model file may hold


class Ensemble(torch.nn.Module):
    """``members`` networks on the same features, of which the mean is the prediction and the spread its uncertainty.

    Parameters
    ----------
    model : BehlerParrinello
        The first member. The others are like it but for their seeds: its seed plus 1, 2, ...
    members : int
        From 2 to 1000.

    Attributes
    ----------
    members : ModuleList of BehlerParrinello
        They share `features`, scaling and reference energies.

    Raises
    ------
    TypeError, ValueError
        For another model, or another number of members.
    """

    def __init__(self, model: BehlerParrinello, members: int = 4) -> None:
        super().__init__()
        if not isinstance(model, BehlerParrinello):
            raise TypeError(f"model is a {type(model).__name__}; accepted: BehlerParrinello")
        count = whole_number("members", members, 2)
        if count > _MOST:
            raise ValueError(f"members is {count}; accepted: whole numbers from 2 to {_MOST}")
        self._gather([model, *(_sibling(model, model.seed + m) for m in range(1, count))])

    def _gather(self, members: Sequence[BehlerParrinello]) -> None:
        first = members[0]
        for member in members:
            member.scaling, member.energy = first.scaling, first.energy
        self.members: Any = torch.nn.ModuleList(members)
        self.provenance: dict[str, Any] = first.provenance
        self.examples: list[Any] = first.examples

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name not in _COMMON:
                raise
            return getattr(self.members[0], name)

    def prepare(self, statistics: Statistics, dtype: torch.dtype = torch.float32) -> None:
        """Take scaling and reference energies from training data and start fresh networks of precision ``dtype``."""
        self.members[0].prepare(statistics, dtype)
        for member in self.members[1:]:
            member.start(dtype)

    def forward(self, G: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        """Mean atomic energies in eV over the members; see `BehlerParrinello.forward`."""
        return torch.stack([member(G, species) for member in self.members]).mean(dim=0)

    def energy_forces(self, atoms: Any) -> tuple[float, np.ndarray]:
        """Mean energy in eV and forces [N, 3] in eV/A of one structure; see `BehlerParrinello.energy_forces`."""
        energies, forces = zip(*(member.energy_forces(atoms) for member in self.members), strict=True)
        return float(np.mean(energies)), np.mean(forces, axis=0)

    def charges(self, atoms: Any) -> np.ndarray:
        """Mean charges [N] in e of one structure; see `BehlerParrinello.charges`."""
        return np.mean([member.charges(atoms) for member in self.members], axis=0)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Ensemble":
        """Return the ensemble that a file holds.

        Raises
        ------
        OSError, atomcore.AtomcoreError
            As for `atomcore.Potential.load`.
        ValueError
            When the file holds a single model: see `BehlerParrinello.load`.
        """
        from atomcore.export import restore

        members = restore(path)
        if len(members) < 2:
            raise ValueError("path: the file holds one model; accepted: an ensemble (BehlerParrinello.load reads this)")
        ensemble = cls.__new__(cls)
        torch.nn.Module.__init__(ensemble)
        ensemble._gather(members)
        return ensemble

    def save(self, path: str | os.PathLike) -> None:
        """Write one model file with all members; see `BehlerParrinello.save`."""
        from atomcore.export import export

        export(self, path)


def _sibling(model: BehlerParrinello, seed: int) -> BehlerParrinello:
    return BehlerParrinello(
        model.features,
        model.hidden,
        model.activation,
        seed,
        shared=model.shared,
        scaling=model.input_scaling,
        target=model.target,
    )
