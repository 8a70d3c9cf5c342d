"""The features once more in plain torch: the oracle that the compiled kernels are tested against.

Written from the formulas of `atomcore.features`, one table row at a time, for reading and not for speed. Everything is
made of differentiable torch operations, so autograd gives derivatives of any order. At exactly 0 and 180 degrees the
``ani`` form with ``cos_scale`` 1 has a kink; its derivatives there, and those of windows in the angle, are not finite
here.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch


def reference_features(
    elements: Sequence[str],
    table: Sequence[Mapping[str, Any]],
    species: torch.Tensor,
    row_ptr: torch.Tensor,
    neighbor: torch.Tensor,
    D: torch.Tensor,
) -> torch.Tensor:
    """Evaluate a feature table.

    Parameters
    ----------
    elements
        Chemical symbols that ``species`` counts.
    table
        Rows as described in `atomcore.features.table`, one a column of the result.
    species
        Position of each atom's element in ``elements``, [N].
    row_ptr
        Edges of centre i are ``row_ptr[i]`` to ``row_ptr[i + 1]``, [n_rows + 1].
    neighbor
        Atom at the end of each edge, [P].
    D
        Edge vectors in A, [P, 3].

    Returns
    -------
    Tensor [n_rows, K]
        In the type of ``D``.

    Raises
    ------
    ValueError
        A row's type or cutoff function is not among those of `atomcore.features`.
    """
    rows = torch.arange(len(row_ptr) - 1)
    edges = torch.repeat_interleave(rows, row_ptr.diff())
    return features_of_pairs(elements, table, rows, edges, species[neighbor], *_pairs_of_edges(row_ptr), D)


def features_of_pairs(
    elements: Sequence[str],
    table: Sequence[Mapping[str, Any]],
    rows: torch.Tensor,
    centre: torch.Tensor,
    end: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    D: torch.Tensor,
) -> torch.Tensor:
    """Evaluate a feature table, given the pairs of edges; can be traced by ``torch.jit`` for any sizes.

    Parameters
    ----------
    elements, table, D
        As for `reference_features`.
    rows
        Anything with one entry a centre, [n_rows].
    centre, end
        For each edge its centre and the position in ``elements`` of the atom at its end, [P].
    first, second
        The edges of each unordered pair with the same centre, [T].

    Returns
    -------
    Tensor [n_rows, K]
    """
    columns = []
    for row in table:
        weight = _weights(elements, row, D)[end]
        if row["type"] in ("radial", "radial_cosine", "compact_radial"):
            keep = _inside(row, _length(D)) & _of_elements(elements, row, end)
            terms, owner = weight[keep] * _radial_terms(row, D[keep]), centre[keep]
        else:
            near = _inside(row, _length(D))  # beyond, a function and all its derivatives are 0
            keep = near[first] & near[second] & _of_elements(elements, row, end[first], end[second])
            terms = _pair_terms(row, D[first[keep]], D[second[keep]])
            terms, owner = (weight[first] * weight[second])[keep] * terms, centre[first[keep]]
        columns.append(row["prefactor"] * torch.zeros_like(rows, dtype=D.dtype).index_add(0, owner, terms))
    return torch.stack(columns, dim=1)


def _pairs_of_edges(row_ptr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two edges of every unordered pair of edges with the same centre, [T] each."""
    pairs = [torch.combinations(torch.arange(int(a), int(b))) for a, b in itertools.pairwise(row_ptr)]
    first, second = torch.cat([torch.empty((0, 2), dtype=torch.int64), *pairs]).unbind(1)
    return first, second


def _length(vector: torch.Tensor) -> torch.Tensor:
    return (vector * vector).sum(-1).sqrt()


def _weights(elements: Sequence[str], row: Mapping[str, Any], D: torch.Tensor) -> torch.Tensor:
    """Return the weight of each element, 1 where the row resolves elements."""
    weights = row["weights"] if row["elements"] == "all" else dict.fromkeys(elements, 1.0)
    return D.new_tensor([weights[symbol] for symbol in elements])


def _of_elements(elements: Sequence[str], row: Mapping[str, Any], *species: torch.Tensor) -> torch.Tensor:
    """Return which neighbours, or pairs of neighbours, the row is for."""
    if row["elements"] == "all":
        return torch.ones_like(species[0], dtype=torch.bool)
    wanted = torch.tensor(sorted(list(elements).index(symbol) for symbol in row["elements"]))
    return (torch.stack(species, dim=-1).sort(dim=-1).values == wanted).all(-1)


def _low(row: Mapping[str, Any]) -> float:
    return row.get("low", -row["cutoff"])


def _inside(row: Mapping[str, Any], r: torch.Tensor) -> torch.Tensor:
    return (r < row["cutoff"]) & (r > _low(row))


def _core(row: Mapping[str, Any], x: torch.Tensor) -> torch.Tensor:
    """Return the row's cutoff function of 0 <= x < 1."""
    name = row["cutoff_function"]
    if name.endswith("_asymmetric"):
        return _core({**row, "cutoff_function": name.removesuffix("_asymmetric")}, x * (2 - x))
    gamma = row.get("gamma", 0.0)
    functions = {
        "hard": lambda: torch.ones_like(x),
        "cosine": lambda: 0.5 * (1 + torch.cos(math.pi * x)),
        "untruncated_cosine": lambda: 0.5 * (1 + torch.cos(3 * math.pi * x)),
        "tanh3": lambda: torch.tanh(1 - x) ** 3,
        "tanh3_normalized": lambda: (torch.tanh(1 - x) / math.tanh(1)) ** 3,
        "exponential": lambda: torch.exp(1 - 1 / (1 - x**2)),
        "poly1": lambda: 1 + x**2 * (2 * x - 3),
        "poly2": lambda: 1 + x**3 * (x * (15 - 6 * x) - 10),
        "poly3": lambda: 1 + x**4 * (x * (x * (20 * x - 70) + 84) - 35),
        "poly4": lambda: 1 + x**5 * (x * (x * (x * (315 - 70 * x) - 540) + 420) - 126),
        "polynomial": lambda: 1 + gamma * x ** (gamma + 1) - (gamma + 1) * x**gamma,
    }
    if name not in functions:
        raise ValueError(f"cutoff_function is {name!r}; accepted: {', '.join(functions)}, ..._asymmetric")
    return functions[name]()


def _window(row: Mapping[str, Any], value: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return core(x) between ``low`` and ``high``, 1 within the inner part of them, and 0 outside."""
    mid, half, inner = 0.5 * (low + high), 0.5 * (high - low), row.get("inner", 0.0)
    x = (((value - mid).abs() - inner * half) / (half - inner * half)).clamp(min=0)
    inside = (value > low) & (value < high)
    return torch.where(inside, _core(row, torch.where(inside, x, torch.zeros_like(x))), torch.zeros_like(x))


def _fc(row: Mapping[str, Any], r: torch.Tensor) -> torch.Tensor:
    return _window(row, r, _low(row), row["cutoff"])


def _gaussian(row: Mapping[str, Any], r: torch.Tensor) -> torch.Tensor:
    return torch.exp(-row["eta"] * (r - row["shift"]) ** 2)


def _radial_terms(row: Mapping[str, Any], D: torch.Tensor) -> torch.Tensor:
    r = _length(D)
    if row["type"] == "radial_cosine":
        return torch.cos(row["kappa"] * r) * _fc(row, r)
    return _fc(row, r) if row["type"] == "compact_radial" else _gaussian(row, r) * _fc(row, r)


def _angle(D_j: torch.Tensor, D_k: torch.Tensor) -> torch.Tensor:
    """Return theta without the digits that acos loses at 0 and 180 degrees."""
    return torch.atan2(_length(torch.linalg.cross(D_j, D_k)), (D_j * D_k).sum(-1))


def _pair_terms(row: Mapping[str, Any], D_j: torch.Tensor, D_k: torch.Tensor) -> torch.Tensor:
    a, b, q = _length(D_j), _length(D_k), _length(D_j - D_k)
    cosine = (D_j * D_k).sum(-1) / (a * b)
    both = _fc(row, a) * _fc(row, b)
    if row["type"] in ("compact_narrow", "compact_wide"):
        symmetric = {**row, "cutoff_function": row["cutoff_function"].removesuffix("_asymmetric")}
        terms = _window(symmetric, _angle(D_j, D_k), row["theta_low"], row["theta_high"]) * both
        return terms * _fc(row, q) if row["type"] == "compact_narrow" else terms
    zeta = row["zeta"]
    if row["type"] == "ani":
        c = row["cos_scale"]
        theta = _angle(D_j, D_k) if c == 1 else torch.acos(c * cosine)
        return 2 ** (1 - zeta) * (1 + torch.cos(theta - row["theta"])) ** zeta * _gaussian(row, 0.5 * (a + b)) * both
    # 1 + lambda cos is 0 at 0 or 180 degrees, where rounding must not make it negative
    angle = 2 ** (1 - zeta) * (1 + row["lambda"] * cosine).clamp(min=0) ** zeta
    wide = angle * _gaussian(row, a) * _gaussian(row, b) * both
    if row["type"] == "wide":
        return wide
    if row["type"] == "narrow":
        return wide * _gaussian(row, q) * _fc(row, q)
    raise ValueError(f"type is {row['type']!r}; accepted: those of atomcore.features")
