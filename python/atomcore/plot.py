"""Pictures of errors, training and molecular dynamics, written as PNG without a display."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from atomcore._files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from atomcore.evaluation import Predictions

# Okabe and Ito's palette, told apart by colour-blind readers as well.
_COLOURS = {"train": "#999999", "valid": "#E69F00", "test": "#0072B2"}
_OTHER = "#009E73"


def parity(predictions: Mapping[str, "Predictions"], path: str | os.PathLike) -> None:
    """Draw predictions against labels, energies and (where there are) forces.

    Parameters
    ----------
    predictions : mapping of str to Predictions
        By part of the data; the last one is drawn on top and its errors stand in the titles.
    path : path
        The PNG file.

    Raises
    ------
    ModuleNotFoundError
        When matplotlib is not installed.
    """
    with_forces = any(p.forces is not None for p in predictions.values())
    figure = _figure(2 if with_forces else 1)
    axes = figure.subplots(1, 2 if with_forces else 1, squeeze=False)[0]
    shift = np.mean(np.concatenate([p.energy_label / p.n_atoms for p in predictions.values()]))
    energies = {k: (p.energy_label / p.n_atoms - shift, p.energy / p.n_atoms - shift) for k, p in predictions.items()}
    _parity_axes(axes[0], energies, "energy per atom above the mean", "eV", "eV/atom")
    if with_forces:
        forces = {
            name: (p.forces_label.ravel(), p.forces.ravel())
            for name, p in predictions.items()
            if p.forces is not None and p.forces_label is not None
        }
        _parity_axes(axes[1], forces, "force components", "eV/Å", "eV/Å")
    _save(figure, path)


def learning_curve(history: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Draw errors over epochs on a logarithmic scale.

    Parameters
    ----------
    history : sequence of dict
        The rows of ``Report.history`` (``log.csv``).
    path : path
        The PNG file.
    """
    names = {"energy_rmse_per_atom": "energy RMSE, meV/atom", "forces_rmse": "force RMSE, meV/Å"}
    shown = {key: text for key, text in names.items() if any(f"train_{key}" in row for row in history)}
    figure = _figure(len(shown))
    for axes, (key, text) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        for part, label in (("train", "training (during the epoch)"), ("valid", "validation (averaged weights)")):
            points = [(row["epoch"] + 1, 1000 * row[f"{part}_{key}"]) for row in history if f"{part}_{key}" in row]
            if points:
                marker = "o" if len(points) == 1 else None
                axes.plot(*zip(*points, strict=True), color=_COLOURS[part], label=label, marker=marker)
        axes.set(xlabel="epoch", ylabel=text, yscale="log")
        axes.legend(frameon=False)
        axes.grid(alpha=0.25, which="both", linewidth=0.5)
    _save(figure, path)


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
    figure = _figure(2)
    left, right = figure.subplots(1, 2)
    left.plot(time, total, color=_COLOURS["test"], linewidth=0.8)
    left.set(xlabel="time, ps", ylabel="total energy per atom above start, meV", title=title)
    right.plot(time, temperature, color=_OTHER, linewidth=0.8)
    right.axhline(np.mean(temperature), color="black", linewidth=0.8, linestyle="--")
    right.set(xlabel="time, ps", ylabel="temperature, K", title=f"mean {np.mean(temperature):.0f} K")
    for axes in (left, right):
        axes.grid(alpha=0.25, linewidth=0.5)
    _save(figure, path)


def _parity_axes(
    axes: "Axes", series: Mapping[str, tuple[np.ndarray, np.ndarray]], what: str, unit: str, error_unit: str
) -> None:
    name = ""
    for name, (label, predicted) in series.items():
        colour = _COLOURS.get(name, _OTHER)
        axes.plot(label, predicted, ".", color=colour, markersize=3, alpha=0.5, label=name, rasterized=True)
    everything = np.concatenate([np.concatenate(pair) for pair in series.values()])
    low, high = everything.min(), everything.max()
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="black", linewidth=0.8)
    label, predicted = series[name]
    rmse = 1000 * float(np.sqrt(np.mean((predicted - label) ** 2)))
    axes.set(
        xlim=limits,
        ylim=limits,
        aspect="equal",
        xlabel=f"reference {what}, {unit}",
        ylabel=f"predicted, {unit}",
        title=f"{name}: RMSE {rmse:.3g} m{error_unit}",
    )
    axes.legend(frameon=False, markerscale=3)


def _figure(n_panels: int) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * n_panels, 4.4), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: str | os.PathLike) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
