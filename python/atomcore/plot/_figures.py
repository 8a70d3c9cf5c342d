"""What all pictures share: PNG files made without a display, in colours that colour-blind readers tell apart."""

import os
from typing import TYPE_CHECKING, Any

from atomcore._files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Okabe and Ito's palette.
COLOURS = {"train": "#999999", "valid": "#E69F00", "test": "#0072B2"}
OTHER = "#009E73"
WARNING = "#D55E00"
_IN_A_ROW = 3
_WIDE = 30.0  # an axis that spans more has labels at powers of ten alone


def new_figure(n_columns: int, n_rows: int = 1) -> "Figure":
    """Return a figure large enough for so many panels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8 * n_columns, 4.4 * n_rows), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    return figure


def new_grid(n_panels: int) -> "tuple[Figure, list[Axes]]":
    """Return a figure with so many panels, three in a row."""
    columns = min(n_panels, _IN_A_ROW)
    rows = -(-n_panels // columns)
    figure = new_figure(columns, rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[n_panels:]:
        axes.remove()
    return figure, panels[:n_panels]


def grid(axes: "Axes") -> None:
    """Draw faint lines behind the data."""
    axes.grid(alpha=0.25, which="both", linewidth=0.5)
    axes.set_axisbelow(True)


def plain_ticks(*axes: "Axis") -> None:
    """Write the numbers along logarithmic axes as 0.2 and 20, not as powers; call it when everything is drawn."""
    for axis in axes:
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter(_few_digits if high < _WIDE * low else "")


def _few_digits(x: float, _: float) -> str:
    return f"{x:g}" if f"{x:e}"[0] in "2346" else ""


def legend_above_data(axes: "Axes", **choices: Any) -> None:
    """Draw a legend that stays readable where there are points behind it."""
    legend = axes.legend(framealpha=0.85, edgecolor="none", **choices)
    legend.set_zorder(10)


def save(figure: "Figure", path: str | os.PathLike) -> None:
    """Write the picture, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
