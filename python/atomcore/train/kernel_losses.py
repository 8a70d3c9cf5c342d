"""What a search over the settings of a kernel machine makes small, from errors (prediction minus label)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Loss = Callable[[Float64, Float64], float]  # of energies [n] in eV and forces [n, N, 3] in eV/A


def mae(errors: npt.ArrayLike) -> float:
    """Mean absolute error over all elements."""
    return float(np.mean(np.abs(errors)))


def mse(errors: npt.ArrayLike) -> float:
    """Mean square error over all elements."""
    return float(np.mean(np.square(errors)))


def rmse(errors: npt.ArrayLike) -> float:
    """Root mean square error over all elements."""
    return float(np.sqrt(mse(errors)))


def sse(errors: npt.ArrayLike) -> float:
    """Sum of the squared errors."""
    return float(np.sum(np.square(errors)))


def forces_rmse(energy: Float64, forces: Float64) -> float:
    """Root mean square error of the force components, in eV/A."""
    return rmse(forces)


def forces_mse(energy: Float64, forces: Float64) -> float:
    """Mean square error of the force components, in eV^2/A^2."""
    return mse(forces)


def energy_and_forces_mse(rho: float = 0.01, *, convention: str = "documented") -> Loss:
    """Return a loss that weighs energies against forces, both as mbGDML means it.

    Parameters
    ----------
    rho : float
        Weight of the energies; 0.01 to 0.1 is usual.
    convention : {"documented", "mbgdml"}
        "documented" is the formula of mbGDML's manual, ``rho/n sum_s dE_s^2 + 1/(N n) sum_s sum_a |dF_sa|^2``; "mbgdml"
        is what its program computes, ``rho mean(dE^2) + mean(dF^2) / N`` over all components, whose second term is
        smaller by the factor 3 N.

    Raises
    ------
    ValueError
        When `rho` is negative or the convention unknown.
    """
    if not 0 <= rho < np.inf:
        raise ValueError(f"rho is {rho!r}; accepted: numbers from 0")
    if convention not in ("documented", "mbgdml"):
        raise ValueError(f"convention is {convention!r}; accepted: 'documented', 'mbgdml'")

    def loss(energy: Float64, forces: Float64) -> float:
        of_forces = 3.0 * mse(forces) if convention == "documented" else mse(forces) / forces.shape[1]
        return rho * mse(energy) + of_forces

    return loss


LOSSES: dict[str, Loss] = {
    "forces_rmse": forces_rmse,
    "forces_mse": forces_mse,
    "energy_and_forces_mse": energy_and_forces_mse(),
}


def as_loss(loss: str | Loss) -> Loss:
    """Return the loss of a name, or the function itself."""
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}; accepted: {', '.join(map(repr, LOSSES))}, or a function of both errors")
    return LOSSES[loss]
