"""Lines ``symfunction_short`` and the rows of a feature table that they stand for, both ways."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ase.data import atomic_numbers

from atomcore.features.table import ALL, Row, compile_table, is_for_all, make_row
from atomcore.interop.n2p2.keywords import FUNCTIONS, InputFile, check_count
from atomcore.interop.n2p2.text import Line


class _Layout(NamedTuple):
    kind: str  # of a row
    n_elements: int  # that a line names, besides the centre; 0 for functions of all elements with weights Z
    names: tuple[str, ...]  # of the values in their order


_RADIAL, _ANGULAR = ("eta", "shift", "cutoff"), ("eta", "lambda", "zeta", "cutoff", "shift")
_WINDOW, _ANGLE_WINDOW = ("low", "cutoff", "core"), ("low", "cutoff", "theta_low", "theta_high", "core")
LAYOUTS = {
    2: _Layout("radial", 1, _RADIAL),
    3: _Layout("narrow", 2, _ANGULAR),
    9: _Layout("wide", 2, _ANGULAR),
    12: _Layout("radial", 0, _RADIAL),
    13: _Layout("narrow", 0, ("eta", "shift", "lambda", "zeta", "cutoff")),
    20: _Layout("compact_radial", 1, _WINDOW),
    21: _Layout("compact_narrow", 2, _ANGLE_WINDOW),
    22: _Layout("compact_wide", 2, _ANGLE_WINDOW),
    23: _Layout("compact_radial", 0, _WINDOW),
    24: _Layout("compact_narrow", 0, _ANGLE_WINDOW),
    25: _Layout("compact_wide", 0, _ANGLE_WINDOW),
}
CUTOFFS = ("hard", "cosine", "tanh3", "tanh3_normalized", "exponential", "poly1", "poly2", "poly3", "poly4")
_ALPHA_IGNORED = (0, 2, 3)
_POWERS = {"eta": -2, "shift": 1, "cutoff": 1, "low": 1}  # of the unit of length
_ANGLES = ("theta_low", "theta_high")  # degrees in lines, radians in rows
_DECIMALS = 12  # of degrees, so that windows which end at 180 or have their middle there still do
CORES = {  # of windows
    **{f"p{i}": f"poly{i}" for i in range(1, 5)},
    "e": "exponential",
    **{f"p{i}a": f"poly{i}_asymmetric" for i in range(1, 5)},
    "ea": "exponential_asymmetric",
}


@dataclass(frozen=True)
class Function:
    """A symmetry function as a line has it: in the unit of the folder, angles in degrees.

    Parameters
    ----------
    type : int
        2, 3, 9, 12, 13 or 20 to 25.
    elements : tuple of int
        Positions of the neighbours' elements, ascending, in the list sorted by atomic number.
    numbers : dict of str to float
        The values by the names of `LAYOUTS`; a shift that is left out is 0.
    core : str
        Of windows, a name in `CORES`.
    """

    type: int
    elements: tuple[int, ...]
    numbers: Mapping[str, float]
    core: str = ""

    @property
    def is_window(self) -> bool:
        """Whether the type is a compact one, on which the cutoff function of the folder does not act."""
        return self.type >= 20

    @property
    def key(self) -> tuple[Any, ...]:
        """What n2p2 sorts the functions of an element by."""
        number = self.numbers.get
        if self.is_window:
            lengths = ("cutoff", "low", "theta_low", "theta_high")
            return (self.type, self.core, self.elements, *(number(name, 0.0) for name in lengths))
        return (
            self.type,
            *(number(name, 0.0) for name in ("cutoff", "eta", "shift", "zeta", "lambda")),
            self.elements,
        )

    def row(self, symbols: Sequence[str], ending: Row, length: float) -> Row:
        """Return the row of a table; ``ending`` is the folder's cutoff function, ``length`` its unit in A."""
        channel: Row = {"elements": [symbols[i] for i in self.elements]}
        if not self.elements:
            channel = {"elements": ALL, "weights": {x: float(atomic_numbers[x]) for x in symbols}}
        numbers = {
            name: math.radians(value) if name in _ANGLES else value * length ** _POWERS.get(name, 0)
            for name, value in self.numbers.items()
        }
        end = {"cutoff_function": CORES[self.core]} if self.is_window else ending
        return make_row(LAYOUTS[self.type].kind, channel, **numbers) | end

    def line(self, centre: str, symbols: Sequence[str]) -> str:
        """Return the line of ``input.nn``."""
        words = [FUNCTIONS[0], centre, str(self.type), *(symbols[i] for i in self.elements)]
        words += [self.core if name == "core" else repr(self.numbers[name]) for name in LAYOUTS[self.type].names]
        return " ".join(words)


def read_function(line: Line, symbols: Sequence[str]) -> tuple[str, Function]:
    """Return the central element and the function of a line."""
    check_count(line, 3, 9)
    kind = line.whole("the type", 2)
    if kind not in LAYOUTS:
        raise line.error(f"the type of the symmetry function is {kind}; accepted: {', '.join(map(str, LAYOUTS))}")
    layout = LAYOUTS[kind]
    n = len(layout.names)
    check_count(line, 2 + layout.n_elements + n - (layout.names[-1] == "shift"), 2 + layout.n_elements + n)
    for symbol in (line.words[1], *line.words[3 : 3 + layout.n_elements]):
        if symbol not in symbols:
            raise line.error(f"the element is {symbol!r}; accepted: {', '.join(symbols)}")
    others = tuple(sorted(symbols.index(symbol) for symbol in line.words[3 : 3 + layout.n_elements]))
    numbers, core = {}, ""
    for position, name in enumerate(layout.names, start=3 + layout.n_elements):
        if name == "core":
            core = line.words[position]
        else:
            numbers[name] = line.float(name, position) if position < len(line.words) else 0.0
    if "core" in layout.names and core not in CORES:
        raise line.error(f"the function of the window is {core!r}; accepted: {', '.join(CORES)}")
    return line.words[1], Function(kind, others, numbers, core)


def checked_row(line: Line, function: Function, symbols: Sequence[str], ending: Row, length: float) -> Row:
    """Return the row of a function, which the core must take."""
    try:
        row = function.row(symbols, ending, length)
        compile_table(symbols, [row])
    except (ValueError, OverflowError) as error:
        reason = str(error).removeprefix("features: row 0 has ")
        raise line.error(f"the symmetry function has {reason} (lengths in A)") from None
    return row


def read_cutoff(file: InputFile) -> Row:
    """Return what ``cutoff_type`` says, as rows have it."""
    line = file.line("cutoff_type", 1, 2)
    kind = line.whole("cutoff_type", 1)
    if kind >= len(CUTOFFS):
        raise line.error(f"cutoff_type is {kind}; accepted: 0 to {len(CUTOFFS) - 1}")
    alpha = line.float("the second value of cutoff_type", 2) if len(line.words) > 2 else 0.0
    if not 0 <= alpha < 1:
        raise line.error(f"the second value of cutoff_type is {alpha}; accepted: at least 0 and below 1")
    ending: Row = {"cutoff_function": CUTOFFS[kind]}
    return ending | {"inner": alpha} if alpha > 0 and kind not in _ALPHA_IGNORED else ending


def function_of(row: Mapping[str, Any], symbols: Sequence[str], length: float) -> Function:
    """Return the function of a row with the unit ``length`` in A.

    Raises
    ------
    ValueError
        The format has no such function.
    """
    weighted = is_for_all(row)
    if weighted and any(row["weights"][x] != atomic_numbers[x] for x in symbols):
        raise ValueError(f"weights {row['weights']}; accepted in folders of n2p2: atomic numbers")
    n_elements = 0 if weighted else len(row["elements"])
    found = [kind for kind, layout in LAYOUTS.items() if layout[:2] == (row["type"], n_elements)]
    if not found:
        raise ValueError(f"type {row['type']!r}{' of all elements' if weighted else ''}, which n2p2 does not have")
    cores = {value: key for key, value in CORES.items()}
    core = ""
    if "core" in LAYOUTS[found[0]].names:
        if row["cutoff_function"] not in cores:
            raise ValueError(f"cutoff_function {row['cutoff_function']!r}; accepted in windows of n2p2: {list(cores)}")
        core = cores[row["cutoff_function"]]
    elements = () if weighted else tuple(sorted(symbols.index(x) for x in row["elements"]))
    numbers = {
        name: round(math.degrees(row[name]), _DECIMALS)
        if name in _ANGLES
        else row[name] / length ** _POWERS.get(name, 0)
        for name in LAYOUTS[found[0]].names
        if name != "core"
    }
    return Function(found[0], elements, numbers, core)
