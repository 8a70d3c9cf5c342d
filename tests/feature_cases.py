"""Feature sets and neighbours by enumeration that the tests of features and operators share."""

from typing import Any

import numpy as np
from ase import Atoms

from atomcore.features import ANI, Compact, Gaussian, SymmetryFunctions, imbalzano, preset, uniform
from atomcore.features.cutoffs import CUTOFF_FUNCTIONS

WITH_STEPS = ("hard", "tanh3", "tanh3_normalized", "untruncated_cosine")  # cutoff functions that no inner radius fits
WINDOWS = [name for name in CUTOFF_FUNCTIONS if name not in (*WITH_STEPS, "polynomial")]


def every_function(cutoff_function: str = "cosine", gamma: float = 4.0) -> SymmetryFunctions:
    """Return functions of every type with several cutoffs, shifts, exponents and both forms of the ANI angle."""
    return SymmetryFunctions(
        ["H", "O"],
        radial=[
            {"eta": 0.3, "shift": 0.0},
            {"eta": 1.7, "shift": 1.1},
            {"eta": 0.0, "shift": 0.0, "cutoff": 3.1},
        ],
        angular=[
            {"type": "narrow", "eta": 0.05, "zeta": 1.0, "lambda": 1.0},
            {"type": "narrow", "eta": 0.2, "zeta": 4.0, "lambda": -1.0, "shift": 0.4, "cutoff": 3.6},
            {"type": "narrow", "eta": 0.01, "zeta": 2.0, "lambda": 0.5},
            {"type": "wide", "eta": 0.05, "zeta": 2.7, "lambda": -1.0},
            {"type": "wide", "eta": 0.3, "zeta": 1.0, "lambda": 1.0, "shift": 0.9},
            {"type": "ani", "eta": 4.0, "zeta": 14.1, "shift": 1.2, "theta": 0.7, "cutoff": 3.5},
            {"type": "ani", "eta": 4.0, "zeta": 8.0, "shift": 1.6, "theta": 2.1, "cutoff": 3.5, "cos_scale": 1.0},
        ],
        cutoff=4.5,
        pair_factor=2.0,
        cutoff_function=cutoff_function,
        gamma=gamma,
    )


def mixed_cutoffs() -> SymmetryFunctions:
    """Return every function with each cutoff function, in one table."""
    sets = [every_function(), every_function("tanh3"), every_function("polynomial"), every_function("polynomial", 2.5)]
    return SymmetryFunctions.from_table(sets[0].elements, [row for one in sets for row in one.table])


def families(windows: list[str] = WINDOWS, **options: Any) -> SymmetryFunctions:
    """Return every type and every cutoff function, those that may with an inner radius; options as of the class."""
    ends = [{"cutoff_function": name, "inner": 0.35} for name in CUTOFF_FUNCTIONS if name not in WITH_STEPS]
    ends += [{"cutoff_function": name} for name in (*WITH_STEPS, "poly3", "exponential")]
    radial: list[dict[str, Any]] = [{"eta": 0.0}, {"type": "radial_cosine", "kappa": 1.7}, {"eta": 0.6, "shift": 1.0}]
    angular: list[dict[str, Any]] = [
        {"type": "narrow", "eta": 0.05, "zeta": 0.7, "lambda": 0.9},
        {"type": "wide", "eta": 0.05, "zeta": 2.0, "lambda": -1.0},
        {"type": "ani", "eta": 4.0, "zeta": 8.0, "shift": 1.6, "theta": 2.1},
    ]
    for name in windows:
        shape = {"cutoff_function": name}
        radial += [{"type": "compact_radial", "low": 0.7, "cutoff": 3.9, **shape}, {"type": "compact_radial", **shape}]
        for kind in ("compact_narrow", "compact_wide"):
            angular.append({"type": kind, "low": 0.4, "theta_low": 0.3, "theta_high": 2.4, **shape})
            angular.append({"type": kind, "theta_low": -2.0, "theta_high": 2.0, **shape})
            angular.append({"type": kind, "theta_low": np.pi - 2.2, "theta_high": np.pi + 2.2, **shape})
    # windows come behind the first three of each, which take turns with the cutoff functions
    return SymmetryFunctions(
        ["H", "O"],
        radial=radial + [{**radial[i % 3], **end} for i, end in enumerate(ends)],
        angular=angular + [{**angular[i % 3], **end} for i, end in enumerate(ends)],
        cutoff=4.5,
        **options,
    )


def presets() -> dict[str, SymmetryFunctions]:
    """Return the published sets and the plain variants of them, for H, C and O."""
    elements = ["H", "C", "O"]
    return {
        "ani1x": ANI.ani1x(elements),
        "ani2x": ANI.ani2x(elements),
        "ani without 0.25 and 0.95": ANI(elements, radial_prefactor=1.0, cos_scale=1.0),
        "ml4chem_default": Gaussian(sorted(elements)),
        "wide": Gaussian(elements, cutoff=5.0, normalized=False, angular="wide"),
        "tanh3": Gaussian(elements, cutoff=5.0, cutoff_function="tanh3"),
        "polynomial": ANI(elements, cutoff_function="polynomial", gamma=2.5),
        "compact": Compact(elements),
        "weighted": Gaussian(elements, cutoff=5.0, weights="Z", cutoff_function="poly2", inner=0.2),
        "unresolved": ANI(elements, resolve_elements=False),
        "tutorial_bp": preset("tutorial_bp", elements),
        "tutorial_ani": preset("tutorial_ani", elements),
        "uniform": uniform(elements, n_radial=6, n_angular=2),
        "imbalzano": imbalzano(elements, n=3, angular="wide"),
    }


def explicit_edges(atoms: Atoms, cutoff: float, images: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row_ptr, neighbor and D of all pairs closer than ``cutoff`` by enumerating ``images`` cells each way."""
    ranges = [np.arange(-images, images + 1) if periodic else np.zeros(1) for periodic in atoms.pbc]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3) @ np.asarray(atoms.cell)
    row_ptr, neighbor, vectors = [0], [], [np.empty((0, 3))]
    for centre in atoms.positions:
        D = atoms.positions[None] - centre + shifts[:, None]
        r = np.linalg.norm(D, axis=-1)
        image, atom = np.nonzero((r < cutoff) & (r > 1e-12))
        row_ptr.append(row_ptr[-1] + len(atom))
        neighbor.append(atom)
        vectors.append(D[image, atom])
    ends = np.concatenate([np.empty(0, np.int64), *neighbor]).astype(np.int64)
    return np.array(row_ptr, np.int64), ends, np.concatenate(vectors)
