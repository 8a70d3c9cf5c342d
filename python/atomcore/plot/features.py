"""A picture of how well training structures cover others."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from atomcore.plot._figures import COLOURS, WARNING, new_grid, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 5000  # points of a kind in a panel


def coverage(features: Mapping[str, tuple[np.ndarray, np.ndarray]], path: str | os.PathLike) -> None:
    """Draw the features of atoms in training and in other structures in the plane in which those in training vary most.

    Each feature is divided by its standard deviation in training before the principal components are taken.

    Parameters
    ----------
    features : mapping of str to (ndarray [n, K], ndarray [m, K])
        By element: the features of atoms in training, and of the others.
    path : path
        The PNG file.

    Raises
    ------
    ValueError
        When an element has fewer than two atoms in training.
    """
    figure, panels = new_grid(len(features))
    for axes, (element, (known, new)) in zip(panels, features.items(), strict=True):
        if len(known) < 2:
            raise ValueError(f"features of {element}: {len(known)} atoms in training; accepted: at least 2")
        outside = ((new < known.min(axis=0)) | (new > known.max(axis=0))).any(axis=1)
        points, others, shares = principal_components(known, new)
        _dots(axes, points, COLOURS["train"], 3)
        _dots(axes, others[~outside], COLOURS["test"], 3)
        _dots(axes, others[outside], WARNING, 6)
        axes.set(
            xlabel=f"first component ({100 * shares[0]:.0f} % of the variance)",
            ylabel=f"second component ({100 * shares[1]:.0f} %)",
            title=f"{element}: {np.count_nonzero(outside)} of {len(new)} atoms outside",
        )
    dots = [
        panels[0].plot([], [], ".", color=colour, markersize=9, label=label)[0]
        for colour, label in (
            (COLOURS["train"], "training"),
            (COLOURS["test"], "test"),
            (WARNING, "test, with a feature outside its range in training"),
        )
    ]
    columns = 3 if len(panels) > 1 else 1  # what fits under a single panel
    figure.legend(handles=dots, loc="outside lower center", ncols=columns, frameon=False)
    save(figure, path)


def principal_components(known: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the first two principal components [n, 2], [m, 2] of both, and the shares of variance [2] of ``known``."""
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12 * np.abs(mean))
    scaled = (known - mean) * scale
    _, sizes, directions = np.linalg.svd(scaled, full_matrices=False)
    axes = np.zeros((2, known.shape[1]))
    axes[: len(directions)] = directions[:2]
    variances = np.zeros(2)
    variances[: len(sizes)] = sizes[:2] ** 2
    return scaled @ axes.T, (new - mean) * scale @ axes.T, variances / max(np.sum(sizes**2), np.finfo(float).tiny)


def _dots(axes: "Axes", points: np.ndarray, colour: str, size: float) -> None:
    if len(points):
        shown = points[:: -(-len(points) // _MOST)]
        axes.plot(*shown.T, ".", color=colour, markersize=size, alpha=0.6, rasterized=True)
