"""Pictures of kernel machines: what their settings cost, how errors fall with data, and where they are unsure."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from atomcore.plot._figures import COLOURS, OTHER, WARNING, grid, legend_above_data, new_figure, plain_ticks, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAP = "viridis_r"  # dark is large; readable without colours
_WIDE = 3.0  # ratio of losses from which on colours go by their logarithm
_OUTLYING = 10.0  # ratio of the largest to the median deviation from which on theirs do
_CELLS = 60  # of a landscape, up to which numbers stand in them
_SERIES = (COLOURS["test"], COLOURS["valid"], OTHER, "#CC79A7", "#56B4E9")  # also Okabe and Ito's
_SIZES = 8  # of training sets, up to which each is marked
_LINES, _MARKERS = ("-", "--"), "osD^v"


def landscape(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike, *, what: str = "loss") -> None:
    """Draw how the loss depends on the length scale and the regulariser of a kernel machine.

    Parameters
    ----------
    rows : sequence of dict
        One a model that was trained: ``sigma``, ``lam`` and ``loss`` (rows of ``search.csv``). All pairs of some values
        make a map of cells, values of ``sigma`` alone a curve, anything else dots. A loss that is not finite stands for
        a model that could not be trained.
    path : path
        The PNG file.
    what : str
        The loss and its unit.

    Raises
    ------
    ValueError
        When no loss is finite.
    """
    sigma, lam, loss = (np.array([float(row[key]) for row in rows]) for key in ("sigma", "lam", "loss"))
    if not np.isfinite(loss).any():
        raise ValueError("rows has no finite loss; accepted: at least one model that could be trained")
    sigmas, lams = np.unique(sigma), np.unique(lam)
    figure = new_figure(1)
    axes = figure.subplots()
    best = int(np.nanargmin(np.where(np.isfinite(loss), loss, np.nan)))
    if len(lams) == 1:
        order = np.argsort(sigma)
        axes.plot(sigma[order], loss[order], "o-", color=COLOURS["test"], markersize=4, linewidth=1)
        axes.set(xscale="log", yscale="log", ylabel=what)
        plain_ticks(axes.xaxis, axes.yaxis)
        grid(axes)
    elif len(rows) == len(sigmas) * len(lams):
        table = np.full((len(lams), len(sigmas)), np.nan)
        table[np.searchsorted(lams, lam), np.searchsorted(sigmas, sigma)] = loss
        _cells(figure, axes, sigmas, lams, table, what)
        sigma, lam = np.searchsorted(sigmas, sigma), np.searchsorted(lams, lam) - 0.2  # below the number
    else:
        _dots(figure, axes, sigma, lam, loss, what)
    height = loss[best] if len(lams) == 1 else lam[best]
    axes.plot([sigma[best]], [height], "*", markersize=13, color=WARNING, markeredgecolor="white", label="best")
    where = f"sigma {rows[best]['sigma']:.3g}, lambda {rows[best]['lam']:.1e}"
    axes.set(xlabel="length scale sigma", title=f"best {loss[best]:.3g}: {where}")
    save(figure, path)


def _cells(figure: "Figure", axes: "Axes", sigmas: Any, lams: Any, table: np.ndarray, what: str) -> None:
    """Draw a map with a cell a pair, evenly spaced, whatever the values are."""
    from matplotlib.colors import LogNorm

    shown = np.ma.masked_invalid(table)
    norm = LogNorm(shown.min(), shown.max()) if 0 < _WIDE * shown.min() < shown.max() else None
    image = axes.imshow(shown, origin="lower", aspect="auto", cmap=_MAP, norm=norm)
    plain_ticks(figure.colorbar(image, ax=axes, label=what).ax.yaxis)
    if table.size <= _CELLS:
        for (i, j), value in np.ndenumerate(table):
            dark = np.isfinite(value) and sum(image.cmap(image.norm(value))[:3]) < 1.4
            text = f"{value:.3g}" if np.isfinite(value) else "failed"
            axes.text(j, i, text, ha="center", va="bottom", fontsize=7, color="white" if dark else "black")
    axes.set_xticks(range(len(sigmas)), [f"{value:g}" for value in sigmas], rotation=45 if len(sigmas) > 8 else 0)
    axes.set_yticks(range(len(lams)), [f"{value:.0e}" for value in lams])
    axes.set_ylabel("regulariser lambda")


def _dots(figure: "Figure", axes: "Axes", sigma: Any, lam: Any, loss: np.ndarray, what: str) -> None:
    from matplotlib.colors import LogNorm

    known = np.isfinite(loss)
    norm = LogNorm() if 0 < _WIDE * loss[known].min() < loss[known].max() else None
    dots = axes.scatter(sigma[known], lam[known], c=loss[known], cmap=_MAP, norm=norm, s=40, edgecolors="black")
    plain_ticks(figure.colorbar(dots, ax=axes, label=what).ax.yaxis)
    axes.plot(sigma[~known], lam[~known], "x", color="black", label="failed")
    axes.set(xscale="log", yscale="log", ylabel="regulariser lambda")
    plain_ticks(axes.xaxis)
    grid(axes)


def data_curves(series: Mapping[str, Sequence[Mapping[str, Any]]], path: str | os.PathLike) -> None:
    """Draw errors against the number of training structures, on logarithmic scales.

    Parameters
    ----------
    series : mapping of str to sequence of dict
        By name, "active" and "random" for instance, the rows of a curve: ``n_train`` and any of ``energy_mae``,
        ``energy_rmse``, ``forces_mae``, ``forces_rmse`` in eV and eV/A. Several rows of one size, of several seeds,
        are drawn as their mean and their range.
    path : path
        The PNG file.

    Raises
    ------
    ValueError
        When there are no errors.
    """
    given = {key for rows in series.values() for row in rows for key in row}
    panels = {
        kind: keys
        for kind in ("energy", "forces")
        if (keys := [key for key in (f"{kind}_rmse", f"{kind}_mae") if key in given])
    }
    if not panels:
        raise ValueError("series has no errors; accepted: rows with n_train and energy_rmse, forces_mae, ...")
    figure = new_figure(len(panels))
    for axes, (kind, keys) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for key, line in zip(keys, _LINES, strict=False):
            for index, (name, rows) in enumerate(series.items()):
                measure = "RMSE" if key.endswith("rmse") else "MAE"
                style = {"color": _SERIES[index % len(_SERIES)], "marker": _MARKERS[index % len(_MARKERS)]}
                chosen = [row for row in rows if key in row]
                _curve(axes, chosen, key, label=f"{name}, {measure}", linestyle=line, **style)
        unit = "meV" if kind == "energy" else "meV/Å"
        axes.set(xscale="log", yscale="log", xlabel="training structures")
        axes.set_ylabel(f"{kind.removesuffix('s')} error, {unit}")
        plain_ticks(axes.xaxis, axes.yaxis)
        sizes = sorted({int(row["n_train"]) for rows in series.values() for row in rows})
        if len(sizes) <= _SIZES:
            axes.set_xticks(sizes, [str(size) for size in sizes])
            axes.set_xticks([], minor=True)
        legend_above_data(axes)
        grid(axes)
    save(figure, path)


def _curve(axes: "Axes", rows: Sequence[Mapping[str, Any]], key: str, **style: Any) -> None:
    if not rows:
        return
    sizes = np.array([float(row["n_train"]) for row in rows])
    values = 1000 * np.array([float(row[key]) for row in rows])
    known = np.unique(sizes)
    groups = [values[sizes == size] for size in known]
    axes.plot(known, [group.mean() for group in groups], markersize=4, linewidth=1, **style)
    if max(map(len, groups)) > 1:
        low, high = [group.min() for group in groups], [group.max() for group in groups]
        axes.fill_between(known, low, high, color=style["color"], alpha=0.15, linewidth=0)


def clusters(
    losses: Sequence[float], populations: Sequence[int], path: str | os.PathLike, *, what: str = "loss"
) -> None:
    """Draw the loss of each cluster of structures, the mean of all, and how many structures each cluster has.

    Parameters
    ----------
    losses : sequence of float
        Of each cluster.
    populations : sequence of int
        Structures in each cluster, in the same order.
    path : path
        The PNG file.
    what : str
        The loss and its unit.

    Raises
    ------
    ValueError
        When there are no clusters, or as many losses as populations there are not.
    """
    loss, size = np.asarray(losses, float), np.asarray(populations, int)
    if loss.ndim != 1 or loss.shape != size.shape or not loss.size:
        raise ValueError(f"losses has shape {loss.shape}, populations {size.shape}; accepted: one of each a cluster")
    order = np.argsort(-loss)
    mean = float(loss @ size / size.sum())
    figure = new_figure(1)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    place = np.arange(len(loss))
    above = loss[order] > mean
    for chosen, colour, label in ((above, WARNING, "above the mean"), (~above, COLOURS["test"], "below")):
        upper.bar(place[chosen], loss[order][chosen], color=colour, label=label, width=0.8)
    upper.axhline(mean, color="black", linewidth=0.8, linestyle="--", label="mean of all structures")
    positive = loss[loss > 0]
    if positive.size and positive.max() > 30 * positive.min():
        upper.set_yscale("log")
    upper.set(ylabel=what, title=f"{size[order][above].sum()} of {size.sum()} structures above the mean")
    lower.bar(place, size[order], color=COLOURS["train"], width=0.8)
    lower.set(xlabel="clusters, by their loss", ylabel="structures")
    plain_ticks(upper.yaxis)
    legend_above_data(upper)
    for axes in (upper, lower):
        grid(axes)
    save(figure, path)


def variance_map(
    points: np.ndarray,
    deviation: np.ndarray,
    path: str | os.PathLike,
    *,
    training: np.ndarray | None = None,
    mean: np.ndarray | None = None,
    labels: tuple[str, str] = ("x", "y"),
    what: str = "standard deviation",
) -> None:
    """Draw where a model is unsure: the predicted standard deviation in a plane, with the training points.

    Parameters
    ----------
    points : ndarray [n, 2]
        Where predictions were made; those of a rectangular grid are drawn as a surface, others as dots.
    deviation : ndarray [n]
        Predicted standard deviations.
    path : path
        The PNG file.
    training : ndarray [m, 2], optional
        What the model was trained on.
    mean : ndarray [n], optional
        Predictions, drawn beside.
    labels : (str, str)
        Of the axes.
    what : str
        The name of the deviation and its unit.

    Raises
    ------
    ValueError
        When the arrays do not fit together.
    """
    x = np.asarray(points, float)
    panels = [(np.asarray(mean, float), "prediction", "viridis")] if mean is not None else []
    panels.append((np.asarray(deviation, float), what, _MAP))
    if x.ndim != 2 or x.shape[1] != 2 or any(values.shape != x.shape[:1] for values, _, _ in panels):
        raise ValueError(f"points has shape {x.shape}, deviation {np.shape(deviation)}; accepted: (n, 2) and (n,)")
    figure = new_figure(len(panels))
    for axes, (values, title, colours) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        image = _surface(axes, x, values, colours)
        figure.colorbar(image, ax=axes, label=title)
        if training is not None and len(training):
            a, b = np.asarray(training, float).T
            axes.plot(a, b, "o", color=WARNING, markersize=3, markeredgewidth=0, label=f"{len(a)} training points")
        axes.set(xlabel=labels[0], ylabel=labels[1])
    if training is not None and len(training):
        figure.legend(handles=axes.lines, loc="outside lower center", frameon=False)
    save(figure, path)


def _surface(axes: "Axes", x: np.ndarray, values: np.ndarray, colours: str) -> Any:
    first, second = np.unique(x[:, 0]), np.unique(x[:, 1])
    if len(x) == len(first) * len(second) and min(len(first), len(second)) > 1:
        table = np.full((len(second), len(first)), np.nan)
        table[np.searchsorted(second, x[:, 1]), np.searchsorted(first, x[:, 0])] = values
        return axes.contourf(first, second, table, levels=24, cmap=colours)
    order = np.argsort(values)  # the most unsure on top
    usual = np.median(values[values > 0]) if (values > 0).any() else 0.0
    few_stand_out = usual > 0 and values.max() > _OUTLYING * usual
    if few_stand_out:
        values = np.maximum(values, usual / _OUTLYING)  # by the logarithm, in which rounding could make zeros
    look: dict[str, Any] = {"cmap": colours, "norm": "log" if few_stand_out else None, "s": 8, "linewidths": 0}
    return axes.scatter(x[order, 0], x[order, 1], c=values[order], rasterized=True, **look)
