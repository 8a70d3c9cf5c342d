"""Behler-Parrinello potentials: a network per element on features of each atom's surroundings."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from atomcore._arrays import whole_number
from atomcore.features.batch import Batch
from atomcore.features.table import species_index
from atomcore.models.networks import ACTIVATIONS, Network
from atomcore.models.scaling import NORMALIZER, SCALINGS, EnergyScaling, InputScaling, Statistics

TARGETS = ("energy", "charges")


class BehlerParrinello(torch.nn.Module):
    """Energy as a sum over atoms, ``E_i = reference[X] + scale[X] * network_X((G_i[columns_X] - mean_X) * scale_X)``.

    Behler and Parrinello, Phys. Rev. Lett. 98, 146401 (2007). With ``target="charges"`` the same formula gives a charge
    for each atom, and there is no sum.

    Parameters
    ----------
    features : feature object
        From `atomcore.features`: what the networks see and which elements the model knows.
    hidden : sequence of int
        Widths of the hidden layers, the same for every element.
    activation : {"silu", "tanh", "relu", "celu", "sigmoid", "softplus"}
    seed : int
        Of the starting weights.
    shared : bool
        One network for all elements instead of one each.
    scaling : {"soft", "standard", "minmax", "normalizer"}
        How features become network inputs, see `atomcore.models.scaling.InputScaling`.
    target : {"energy", "charges"}
        What the networks learn: atomic energies, of which only the sum is known, or a charge (e) an atom.

    Raises
    ------
    ValueError
        For widths that are not whole numbers of at least one, an unknown choice or a negative seed.
    """

    kind = "behler_parrinello"

    def __init__(
        self,
        features: Any,
        hidden: Sequence[int] = (64, 64),
        activation: str = "silu",
        seed: int = 0,
        *,
        shared: bool = False,
        scaling: str = "soft",
        target: str = "energy",
    ) -> None:
        super().__init__()
        choices = (("activation", activation, ACTIVATIONS), ("scaling", scaling, SCALINGS), ("target", target, TARGETS))
        for name, value, accepted in choices:
            if not isinstance(value, str) or value not in accepted:
                raise ValueError(f"{name} is {value!r}; accepted: {', '.join(accepted)}")
        if not isinstance(shared, bool):
            raise ValueError(f"shared is {shared!r}; accepted: true, false")
        self.features = features
        self.elements: tuple[str, ...] = tuple(features.elements)
        self.hidden, self.shared, self.input_scaling, self.target = _widths(hidden), shared, scaling, target
        self.activation, self.seed = activation, whole_number("seed", seed, 0)
        # Any, since ModuleDict is typed to hold plain modules only.
        self.scaling: Any = torch.nn.ModuleDict({x: InputScaling(features.n_features) for x in self.elements})
        self.energy = EnergyScaling(len(self.elements))
        self.provenance: dict[str, Any] = {}
        self.examples: list[Any] = []
        self.grades: dict[str, np.ndarray] = {}  # of extrapolation, by element; `atomcore.train.fit` makes them
        self._build_networks()

    def _build_networks(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)

        def network(element: str) -> Network:
            n_inputs = len(self.scaling[element].columns)
            normalized = self.input_scaling == NORMALIZER
            return Network(n_inputs, self.hidden, self.activation, generator, normalized=normalized)

        if self.shared:
            one = network(self.elements[0])
            self.networks: Any = torch.nn.ModuleDict(dict.fromkeys(self.elements, one))
        else:
            self.networks = torch.nn.ModuleDict({x: network(x) for x in self.elements})

    @property
    def members(self) -> "tuple[BehlerParrinello, ...]":
        """The models that are trained one by one: this one."""
        return (self,)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the networks."""
        return next(self.networks.parameters()).dtype

    def prepare(self, statistics: Statistics, dtype: torch.dtype = torch.float32) -> None:
        """Take scaling and reference energies from training data and start fresh networks of precision ``dtype``."""
        s = statistics.pooled() if self.shared else statistics
        low, high = (s.minimum, s.maximum)
        if self.shared:
            low, high = (np.broadcast_to(x, s.mean.shape) for x in (low.min(axis=0), high.max(axis=0)))
        for i, x in enumerate(self.elements):
            self.scaling[x].prepare(self.input_scaling, s.mean[i], s.deviation[i], low[i], high[i])
            self.scaling[x].set_range(s.minimum[i], s.maximum[i])
        self.energy.reference = torch.tensor(s.reference, dtype=torch.float64)
        self.energy.scale = torch.tensor(s.scale, dtype=torch.float64)
        self.start(dtype)

    def start(self, dtype: torch.dtype) -> None:
        """Draw fresh starting weights of precision ``dtype``."""
        self.grades = {}
        self._build_networks()
        self.networks.to(dtype)

    def atomic_energies(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Energies in eV, references left out, of atoms grouped by element.

        Parameters
        ----------
        inputs : sequence of Tensor [M_X, n_columns_X]
            Scaled inputs, one tensor for each of `elements`.

        Returns
        -------
        Tensor [sum of M_X]
        """
        scale = self.energy.scale.tolist()
        return torch.cat([self.networks[x](inputs[i]) * scale[i] for i, x in enumerate(self.elements)])

    def feature_gradients(self, gradients: Sequence[torch.Tensor]) -> torch.Tensor:
        """Derivatives in the features [M, K] from those in the scaled inputs, grouped as in `atomic_energies`."""
        return torch.cat([self.scaling[x].chain(gradients[i]) for i, x in enumerate(self.elements)])

    def forward(self, G: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        """Atomic energies in eV, references included, in double.

        Parameters
        ----------
        G : Tensor [M, K]
            Features.
        species : Tensor, integer [M]
            Position of each atom's element in `elements`.

        Returns
        -------
        Tensor, float64 [M]
        """
        order = torch.argsort(species, stable=True)
        counts = torch.bincount(species, minlength=len(self.elements)).tolist()
        groups = G.index_select(0, order).split(counts)
        inputs = [self.scaling[x](group) for x, group in zip(self.elements, groups, strict=True)]
        grouped = self.atomic_energies([x.to(self.dtype) for x in inputs]).double()
        energies = torch.zeros_like(grouped).index_copy(0, order, grouped)
        return energies + self.energy.reference.index_select(0, species)

    def energy_forces(self, atoms: Any) -> tuple[float, np.ndarray]:
        """Energy in eV and forces [N, 3] in eV/A of one structure through the torch operators.

        The slow twin of `atomcore.Potential`, for checks; `save` the model to run it.
        """
        batch = Batch.from_atoms([atoms])
        positions = batch.positions.requires_grad_()
        energy = self._atomic(batch).sum()
        (gradient,) = torch.autograd.grad(energy, positions)
        return float(energy.detach()), -gradient.numpy()

    def charges(self, atoms: Any) -> np.ndarray:
        """Charges [N] in e of one structure, through the torch operators; the twin of `energy_forces`."""
        with torch.no_grad():
            return self._atomic(Batch.from_atoms([atoms])).numpy()

    def _atomic(self, batch: Batch) -> torch.Tensor:
        species = torch.from_numpy(species_index(batch.numbers.numpy(), self.features.numbers)).long()
        return self(self.features(batch), species)

    @classmethod
    def load(cls, path: str | os.PathLike) -> "BehlerParrinello":
        """Return the model that a file holds, with its weights, scaling, ranges and reference energies.

        Raises
        ------
        OSError, atomcore.AtomcoreError
            As for `atomcore.Potential.load`.
        ValueError
            When the file holds an ensemble: see `Ensemble.load`.
        """
        from atomcore.export import restore

        members = restore(path)
        if len(members) > 1:
            raise ValueError(f"path: the file holds {len(members)} members; accepted: one (Ensemble.load reads this)")
        return members[0]

    def save(self, path: str | os.PathLike) -> None:
        """Write the model file (``.atomcore``), after checking that the C++ engine gives the same numbers.

        Raises
        ------
        atomcore.AtomcoreError
            When engine and torch disagree; an older file at ``path`` is then left as it was.
        """
        from atomcore.export import export

        export(self, path)


def _widths(hidden: Any) -> tuple[int, ...]:
    """Return the widths of the hidden layers as plain ints."""
    if isinstance(hidden, str) or not isinstance(hidden, Sequence | np.ndarray):
        raise ValueError(f"hidden is {hidden!r}; accepted: a sequence of widths, such as [64, 64]")
    return tuple(whole_number(f"hidden[{i}]", width, 1) for i, width in enumerate(hidden))
