"""Pictures of what a potential predicts against what it should."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from atomcore.evaluation import NO_FORCE
from atomcore.plot._figures import COLOURS, OTHER, WARNING, grid, legend_above_data, new_figure, plain_ticks, save
from atomcore.units import stress_factors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from atomcore.evaluation import ChargePredictions, Predictions

_BINS = 12  # of the spread
_FEWEST = 20  # atoms in a bin


class _Panel(NamedTuple):
    """Labels and predictions by part of the data, and what they are."""

    what: str
    unit: str
    error_unit: str
    error_scale: float
    series: dict[str, tuple[np.ndarray, np.ndarray]]


def parity(predictions: Mapping[str, "Predictions | ChargePredictions"], path: str | os.PathLike) -> None:
    """Draw predictions against labels: energies and, where there are any, forces and stresses; or charges.

    Parameters
    ----------
    predictions : mapping of str to Predictions or ChargePredictions
        By part of the data; the last one is drawn on top and its errors stand in the titles.
    path : path
        The PNG file.

    Raises
    ------
    ModuleNotFoundError
        When matplotlib is not installed.
    """
    panels = [panel for panel in _panels(predictions) if panel.series]
    figure = new_figure(len(panels))
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_parity(axes, panel)
    save(figure, path)


def _panels(predictions: Mapping[str, Any]) -> list[_Panel]:
    """Return all panels, those without labels too."""

    def series(name: str, scale: float = 1.0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {
            part: (scale * getattr(p, f"{name}_label").ravel(), scale * getattr(p, name).ravel())
            for part, p in predictions.items()
            if getattr(p, name) is not None and getattr(p, f"{name}_label") is not None
        }

    if any(hasattr(p, "charges") for p in predictions.values()):
        return [_Panel("charge", "e", "me", 1000.0, series("charges"))]
    shift = np.mean(np.concatenate([p.energy_label / p.n_atoms for p in predictions.values()]))
    energies = {k: (p.energy_label / p.n_atoms - shift, p.energy / p.n_atoms - shift) for k, p in predictions.items()}
    return [
        _Panel("energy per atom above the mean", "eV", "meV/atom", 1000.0, energies),
        _Panel("force components", "eV/Å", "meV/Å", 1000.0, series("forces")),
        _Panel("stress components", "GPa", "GPa", 1.0, series("stress", 1.0 / stress_factors()["GPa"])),
    ]


def _draw_parity(axes: "Axes", panel: _Panel) -> None:
    name = ""
    for name, (label, predicted) in panel.series.items():
        colour = COLOURS.get(name, OTHER)
        axes.plot(label, predicted, ".", color=colour, markersize=3, alpha=0.5, label=name, rasterized=True)
    everything = np.concatenate([np.concatenate(pair) for pair in panel.series.values()])
    low, high = everything.min(), everything.max()
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="black", linewidth=0.8)
    label, predicted = panel.series[name]
    rmse = panel.error_scale * float(np.sqrt(np.mean((predicted - label) ** 2)))
    axes.set(
        xlim=limits,
        ylim=limits,
        aspect="equal",
        xlabel=f"reference {panel.what}, {panel.unit}",
        ylabel=f"predicted, {panel.unit}",
        title=f"{name}: RMSE {rmse:.3g} {panel.error_unit}",
    )
    legend_above_data(axes, markerscale=3)


def error_by_element(predictions: "Predictions", numbers: np.ndarray, path: str | os.PathLike) -> None:
    """Draw how the errors of the forces spread on the atoms of each element.

    Parameters
    ----------
    predictions : Predictions
        With forces and their labels.
    numbers : ndarray [N]
        Atomic numbers of the same atoms.
    path : path
        The PNG file.

    Raises
    ------
    ValueError
        When there are no forces.
    """
    from ase.data import chemical_symbols

    error = _force_errors(predictions)
    elements = np.unique(numbers)
    groups = [1000 * error[numbers == z] for z in elements]
    figure = new_figure(1)
    axes = figure.subplots()
    boxes = axes.boxplot(groups, whis=(5, 95), sym="", patch_artist=True, widths=0.5, medianprops={"color": "black"})
    for box in boxes["boxes"]:
        box.set(facecolor=COLOURS["test"], alpha=0.5)
    rms = [np.sqrt(np.mean(group**2)) for group in groups]
    axes.plot(range(1, len(groups) + 1), rms, "D", color=WARNING, markersize=5, label="root mean square")
    names = [f"{chemical_symbols[z]}\n{len(group)} atoms" for z, group in zip(elements, groups, strict=True)]
    axes.set_xticks(range(1, len(groups) + 1), names)
    axes.set(
        xlabel="boxes: quartiles, whiskers: 5 % and 95 %",
        ylabel="length of the error of the force, meV/Å",
        yscale="log" if all(np.percentile(group, 5) > 0 for group in groups) else "linear",
    )
    plain_ticks(axes.yaxis)
    legend_above_data(axes)
    grid(axes)
    save(figure, path)


def spread(predictions: "Predictions", path: str | os.PathLike) -> None:
    """Draw the error of the force on each atom against the spread of an ensemble there.

    Atoms on which symmetry lets no force act are left out.

    Parameters
    ----------
    predictions : Predictions
        With forces, their labels and their spread.
    path : path
        The PNG file.

    Raises
    ------
    ValueError
        When there are no forces or no spread, or symmetry forbids nearly all forces.
    """
    error = _force_errors(predictions)
    if predictions.forces_spread is None:
        raise ValueError("predictions have no spread of the forces: only ensembles and Gaussian processes have")
    spreads = np.linalg.norm(predictions.forces_spread, axis=1)
    drawn = (error > NO_FORCE) & (spreads > NO_FORCE)
    if np.count_nonzero(drawn) < 3:
        raise ValueError(f"predictions have {np.count_nonzero(drawn)} forces that could be wrong; accepted: at least 3")
    figure = new_figure(1)
    axes = figure.subplots()
    axes.plot(
        spreads[drawn],
        error[drawn],
        ".",
        color=COLOURS["test"],
        markersize=3,
        alpha=0.3,
        label="atoms",
        rasterized=True,
    )
    centres, rms = _binned(spreads[drawn], error[drawn])
    axes.plot(centres, rms, "o-", color=WARNING, markersize=4, label="root mean square of equal shares of them")
    ends = np.percentile(np.concatenate([spreads[drawn], error[drawn]]), (0.5, 100))
    axes.plot(ends, ends, color="black", linewidth=0.8, label="error = spread")
    rank = predictions.metrics()["forces_spread_spearman"]
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(spreads[drawn].min() / 1.3, spreads[drawn].max() * 1.3),
        ylim=(error[drawn].min() / 1.3, error[drawn].max() * 1.3),
        xlabel="spread of the force, eV/Å",
        ylabel="length of the error of the force, eV/Å",
        title=f"rank correlation (Spearman) {rank:.2f}",
    )
    plain_ticks(axes.xaxis, axes.yaxis)
    figure.legend(frameon=False, markerscale=1.5, loc="outside lower center")
    grid(axes)
    save(figure, path)


def _force_errors(predictions: "Predictions") -> np.ndarray:
    if predictions.forces is None or predictions.forces_label is None:
        raise ValueError("predictions have no forces with labels to compare")
    return np.linalg.norm(predictions.forces - predictions.forces_label, axis=1)


def _binned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of ``x`` and root mean square of ``y`` in up to `_BINS` shares of equal size, in the order of ``x``."""
    shares = np.array_split(np.argsort(x), max(1, min(_BINS, len(x) // _FEWEST)))
    return np.array([np.median(x[share]) for share in shares]), np.array(
        [np.sqrt(np.mean(y[share] ** 2)) for share in shares]
    )
