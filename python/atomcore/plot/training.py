"""Pictures of a training run."""

import os
from collections.abc import Mapping, Sequence

from atomcore.plot._figures import COLOURS, grid, new_figure, plain_ticks, save

_ERRORS = {
    "energy_rmse_per_atom": "energy RMSE, meV/atom",
    "forces_rmse": "force RMSE, meV/Å",
    "stress_rmse": "stress RMSE, meV/Å$^3$",
    "charges_rmse": "charge RMSE, me",
}


def learning_curve(history: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Draw errors over epochs on a logarithmic scale.

    Parameters
    ----------
    history : sequence of dict
        The rows of ``Report.history`` (``log.csv``).
    path : path
        The PNG file.
    """
    learning_curves([history], path)


def learning_curves(histories: Sequence[Sequence[Mapping[str, float]]], path: str | os.PathLike) -> None:
    """Draw the errors of several runs, the members of an ensemble for instance, as `learning_curve` does of one."""
    shown = {
        key: text for key, text in _ERRORS.items() if any(f"train_{key}" in row for rows in histories for row in rows)
    }
    if not shown:
        raise ValueError(f"history has no errors; accepted are rows with train_{', train_'.join(_ERRORS)}")
    figure = new_figure(len(shown))
    for axes, (key, text) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        for part, label in (("train", "training (during the epoch)"), ("valid", "validation (averaged weights)")):
            for history in histories:
                points = [(row["epoch"] + 1, 1000 * row[f"{part}_{key}"]) for row in history if f"{part}_{key}" in row]
                if points:
                    marker = "o" if len(points) == 1 else None
                    axes.plot(*zip(*points, strict=True), color=COLOURS[part], label=label, marker=marker, linewidth=1)
                    label = "_" + label  # in the legend once
        axes.set(xlabel="epoch", ylabel=text, yscale="log")
        axes.xaxis.get_major_locator().set_params(integer=True)
        plain_ticks(axes.yaxis)
        axes.legend(frameon=False)
        grid(axes)
    save(figure, path)
