"""Pictures of molecular dynamics."""

import os
from typing import TYPE_CHECKING

import numpy as np

from atomcore.plot._figures import COLOURS, OTHER, grid, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def md_energy(
    time: np.ndarray, total: np.ndarray, temperature: np.ndarray, path: str | os.PathLike, *, title: str = ""
) -> None:
    """Draw the total energy and the temperature of a run.

    Parameters
    ----------
    time : ndarray
        In ps.
    total : ndarray
        Total energy per atom above its start, in meV.
    temperature : ndarray
        In K.
    path : path
        The PNG file.
    title : str
        Above the energies, e.g. the drift.
    """
    figure = new_figure(2)
    left, right = figure.subplots(1, 2)
    left.plot(time, total, color=COLOURS["test"], linewidth=0.8)
    left.set(xlabel="time, ps", ylabel="total energy per atom above start, meV", title=title)
    grid(left)
    _mean_and_course(right, time, temperature, "temperature", "K")
    save(figure, path)


def md_volume(time: np.ndarray, volume: np.ndarray, temperature: np.ndarray, path: str | os.PathLike) -> None:
    """Draw the volume and the temperature of a run at constant pressure.

    Parameters
    ----------
    time : ndarray
        In ps.
    volume : ndarray
        Per atom, in A^3.
    temperature : ndarray
        In K.
    path : path
        The PNG file.
    """
    figure = new_figure(2)
    left, right = figure.subplots(1, 2)
    _mean_and_course(left, time, volume, "volume per atom", "Å$^3$", COLOURS["test"])
    _mean_and_course(right, time, temperature, "temperature", "K")
    save(figure, path)


def _mean_and_course(
    axes: "Axes", time: np.ndarray, values: np.ndarray, what: str, unit: str, colour: str = OTHER
) -> None:
    mean = np.mean(values)
    axes.plot(time, values, color=colour, linewidth=0.8)
    axes.axhline(mean, color="black", linewidth=0.8, linestyle="--")
    axes.set(xlabel="time, ps", ylabel=f"{what}, {unit}", title=f"mean {mean:.4g} {unit}")
    grid(axes)
