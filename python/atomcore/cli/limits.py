"""Options that end a command when a structure is too far from the training, the same for all that run dynamics."""

import argparse
import sys
from typing import Any


def add_options(parser: Any) -> None:
    """Add the options to a parser or a group of its arguments."""
    parser.add_argument(
        "--extrapolation-limit", metavar="X", type=float, help="stop beyond so many ranges outside of the training"
    )
    parser.add_argument("--spread-limit", metavar="X", type=float, help="stop beyond this spread of a force, in eV/A")
    parser.add_argument("--grade-limit", metavar="X", type=float, help="stop beyond this grade of extrapolation")


def limits(options: argparse.Namespace, potential: Any) -> dict[str, Any]:
    """Return what `atomcore.Calculator` takes; where the model knows the spread of forces, it is computed always."""
    spread = options.spread_limit
    if spread is None and "forces_spread" in potential.properties:
        spread = sys.float_info.max  # a limit has the spread computed with each force, at some cost
    return {
        "extrapolation_limit": options.extrapolation_limit,
        "spread_limit": spread,
        "grade_limit": options.grade_limit,
    }
