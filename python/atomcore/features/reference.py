"""The features once more in plain torch: the oracle that the compiled kernels are tested against.

Written from the formulas of `atomcore.features`, one table row at a time, for reading and not for speed. Everything is
made of differentiable torch operations, so autograd gives derivatives of any order. At exactly 0 and 180 degrees the
``ani`` form with ``cos_scale`` 1 has a kink; its derivatives there are not finite here.
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
    n_rows = len(row_ptr) - 1
    centre = torch.repeat_interleave(torch.arange(n_rows), row_ptr.diff())
    first, second = _pairs_of_edges(row_ptr)
    end = species[neighbor]
    columns = []
    for row in table:
        wanted = sorted(list(elements).index(symbol) for symbol in row["elements"])
        inside = _length(D) < row["cutoff"]  # beyond it a function and all its derivatives are 0
        if row["type"] == "radial":
            keep = inside & (end == wanted[0])
            terms, owner = _radial_terms(row, D[keep]), centre[keep]
        else:
            j, k = end[first], end[second]
            keep = (
                inside[first] & inside[second] & (torch.minimum(j, k) == wanted[0]) & (torch.maximum(j, k) == wanted[1])
            )
            terms, owner = _pair_terms(row, D[first[keep]], D[second[keep]]), centre[first[keep]]
        columns.append(row["prefactor"] * D.new_zeros(n_rows).index_add(0, owner, terms))
    return torch.stack(columns, dim=1)


def _pairs_of_edges(row_ptr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the two edges of every unordered pair of edges with the same centre, [T] each."""
    pairs = [torch.combinations(torch.arange(int(a), int(b))) for a, b in itertools.pairwise(row_ptr)]
    first, second = torch.cat([torch.empty((0, 2), dtype=torch.int64), *pairs]).unbind(1)
    return first, second


def _length(vector: torch.Tensor) -> torch.Tensor:
    return (vector * vector).sum(-1).sqrt()


def _fc(row: Mapping[str, Any], r: torch.Tensor) -> torch.Tensor:
    x = r / row["cutoff"]
    if row["cutoff_function"] == "cosine":
        inside = 0.5 * (1 + torch.cos(math.pi * x))
    elif row["cutoff_function"] == "tanh3":
        inside = torch.tanh(1 - x) ** 3
    elif row["cutoff_function"] == "polynomial":
        gamma = row["gamma"]
        inside = 1 + gamma * x ** (gamma + 1) - (gamma + 1) * x**gamma
    else:
        raise ValueError(f"cutoff_function is {row['cutoff_function']!r}; accepted: cosine, tanh3, polynomial")
    return torch.where(x < 1, inside, torch.zeros_like(r))


def _gaussian(row: Mapping[str, Any], r: torch.Tensor) -> torch.Tensor:
    return torch.exp(-row["eta"] * (r - row["shift"]) ** 2)


def _radial_terms(row: Mapping[str, Any], D: torch.Tensor) -> torch.Tensor:
    r = _length(D)
    return _gaussian(row, r) * _fc(row, r)


def _ani_angle(cos_scale: float, cosine: torch.Tensor, D_j: torch.Tensor, D_k: torch.Tensor) -> torch.Tensor:
    """Return acos(cos_scale cos theta); for cos_scale 1 without the digits that acos loses at 0 and 180 degrees."""
    if cos_scale == 1:
        return torch.atan2(_length(torch.linalg.cross(D_j, D_k)), (D_j * D_k).sum(-1))
    return torch.acos(cos_scale * cosine)


def _pair_terms(row: Mapping[str, Any], D_j: torch.Tensor, D_k: torch.Tensor) -> torch.Tensor:
    a, b, q = _length(D_j), _length(D_k), _length(D_j - D_k)
    zeta = row["zeta"]
    cosine = (D_j * D_k).sum(-1) / (a * b)
    both = _fc(row, a) * _fc(row, b)
    if row["type"] == "ani":
        theta = _ani_angle(row["cos_scale"], cosine, D_j, D_k)
        return 2 ** (1 - zeta) * (1 + torch.cos(theta - row["theta"])) ** zeta * _gaussian(row, 0.5 * (a + b)) * both
    # 1 + lambda cos is 0 at 0 or 180 degrees, where rounding must not make it negative
    angle = 2 ** (1 - zeta) * (1 + row["lambda"] * cosine).clamp(min=0) ** zeta
    wide = angle * _gaussian(row, a) * _gaussian(row, b) * both
    if row["type"] == "wide":
        return wide
    if row["type"] == "narrow":
        return wide * _gaussian(row, q) * _fc(row, q)
    raise ValueError(f"type is {row['type']!r}; accepted: radial, narrow, wide, ani")
