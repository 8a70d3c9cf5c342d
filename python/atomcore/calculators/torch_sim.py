"""A trained model for torch-sim: `AtomcoreModel`."""

import functools
import os
from typing import Any

import numpy as np
import torch
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from atomcore._voigt import VOIGT
from atomcore.calculators.ase import Calculator
from atomcore.calculators.frames import System, keeping_refused
from atomcore.potential import Potential

_DTYPES = (torch.float64, torch.float32)
_TO_FULL = np.zeros((3, 3), np.int64)  # where the components of a stress stand among its six
_TO_FULL[VOIGT] = _TO_FULL.T[VOIGT] = range(6)


class AtomcoreModel(ModelInterface):
    """A trained model as a ``ModelInterface`` of torch-sim: the engine computes all systems of a state at once.

    Parameters
    ----------
    model
        Model file, or a loaded :class:`~atomcore.potential.Potential`, which has its own precision and threads.
    device
        Where the results go; the engine runs on the processor, and states from elsewhere are copied to it.
    dtype
        Of the results, float64 or float32. The engine computes in its own precision in any case.
    compute_forces, compute_stress
        Whether the output has forces and stresses.
    compute_spread
        Whether it has the spreads that the model knows, at a cost.
    **limits
        ``extrapolation_limit`` and the other limits of `atomcore.Calculator`, also ``precision`` and ``threads``.

    Raises
    ------
    TypeError, ValueError, OSError, AtomcoreError
        As for `atomcore.Calculator`; or the model predicts no energies.
    """

    def __init__(
        self,
        model: str | os.PathLike | Potential,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
        *,
        compute_forces: bool = True,
        compute_stress: bool = True,
        compute_spread: bool = False,
        **limits: Any,
    ) -> None:
        super().__init__()
        if dtype not in _DTYPES:
            raise ValueError(f"dtype is {dtype}; accepted: {', '.join(map(str, _DTYPES))}")
        self._calculator = Calculator(model, **limits)
        self.potential = self._calculator.potential
        if self.potential.target != "energy":
            raise ValueError(f"model predicts {self.potential.target}; accepted: a model of energies")
        self._device, self._dtype = torch.device(device), dtype
        self._compute_forces, self._compute_stress, self._compute_spread = (
            compute_forces,
            compute_stress,
            compute_spread,
        )
        # Features of all atoms within the cutoff, or a whole molecule beside all those of the training.
        self._memory_scales_with = "n_atoms_x_density" if self.potential.capability == "local" else "n_atoms"

    @property
    def compute_stress(self) -> bool:
        """Whether the output has stresses."""
        return self._compute_stress

    @compute_stress.setter
    def compute_stress(self, value: bool) -> None:
        self._compute_stress = value

    @property
    def compute_forces(self) -> bool:
        """Whether the output has forces."""
        return self._compute_forces

    @compute_forces.setter
    def compute_forces(self, value: bool) -> None:
        self._compute_forces = value

    def forward(self, state: SimState | dict[str, Any], **_: Any) -> dict[str, torch.Tensor]:
        """Compute the systems of a state.

        Parameters
        ----------
        state
            In Angstrom; it is not changed.

        Returns
        -------
        dict
            ``"energy"`` [n_systems] in eV, ``"forces"`` [n_atoms, 3] in eV/A and ``"stress"`` [n_systems, 3, 3] in
            eV/A^3, NaN for systems that are not periodic; ``"energies"`` [n_atoms], ``"extrapolation"`` and what else
            `atomcore.Potential.compute` says of atoms, where the model knows these; the spreads when asked for.

        Raises
        ------
        ValueError, AtomcoreError
            A system cannot be computed; the message says which, counted from 0.
        ExtrapolationError
            A limit is passed. ``stopped.extxyz`` in the current folder then has the system.
        """
        systems: Any = _systems(state)
        periodic = bool(len(systems)) and bool(systems[0].pbc.all())
        names = self._names(periodic)
        found = self.potential.compute_batch(systems, names)
        for i, (system, results) in enumerate(zip(systems, found, strict=True)):
            with keeping_refused(functools.partial(system.atoms, self._calculator), f"system {i}: "):
                self._calculator._judge(results, system)
        output = {name: self._stacked(name, [results[name] for results in found]) for name in names if found}
        if self._compute_stress and not periodic:
            output["stress"] = torch.full((len(systems), 3, 3), torch.nan, dtype=self._dtype, device=self._device)
        return output

    def _names(self, periodic: bool) -> list[str]:
        """Return the properties to compute."""
        spread = self._compute_spread or self._calculator.spread_limit is not None
        left_out = set() if self._compute_forces else {"forces"}
        if not (self._compute_stress and periodic):
            left_out |= {"stress", "stress_spread"}
        return [name for name in self._calculator._computable(periodic, spread) if name not in left_out]

    def _stacked(self, name: str, values: list[Any]) -> torch.Tensor:
        """Return the values of one property of all systems as one tensor."""
        array = np.concatenate(values) if np.ndim(values[0]) else np.array(values)
        if name.startswith("stress"):
            array = np.stack(values)[:, _TO_FULL]
        dtype = self._dtype if array.dtype.kind == "f" else torch.int64
        return torch.from_numpy(array).to(self._device, dtype)


def _systems(state: SimState | dict[str, Any]) -> list[System]:
    """Return the systems of a state. Arrays may share its memory."""
    if isinstance(state, dict):
        state = SimState(**({"masses": torch.ones_like(state["positions"][:, 0])} | state))
    owners = state.system_idx.cpu().numpy()
    ends = np.cumsum(np.bincount(owners))
    if (np.diff(owners) < 0).any():
        raise ValueError("system_idx does not rise; accepted: the atoms of a system next to one another, in order")
    positions = state.positions.detach().to("cpu", torch.float64).contiguous().numpy()
    cells = state.row_vector_cell.detach().to("cpu", torch.float64).contiguous().numpy()
    numbers = state.atomic_numbers.cpu().numpy()
    pbc = np.ascontiguousarray(np.broadcast_to(torch.as_tensor(state.pbc).cpu().numpy(), 3))
    ranges = zip((0, *ends[:-1]), ends, cells, strict=True)
    return [System(positions[start:end], cell, pbc, numbers[start:end]) for start, end, cell in ranges]
