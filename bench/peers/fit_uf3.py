"""Fit a UF3 potential for water by linear least squares and write it for LAMMPS: `fit_uf3.py TRAIN.xyz OUT.uf3`.

The form is that of Xie, Rupp and Hennig, npj Comput. Mater. 9, 162 (2023): cubic B-splines of pair distances (to 6 A)
and of the three distances of triplets (to 4 A from the centre). The package uf3 takes minutes for the features of one
frame of 192 atoms, so that they are computed here; LAMMPS reads and evaluates what is written.
"""

import sys
from itertools import combinations_with_replacement
from pathlib import Path

import numba
import numpy as np
from ase.io import read
from scipy.linalg import cho_factor, cho_solve

from atomcore import neighbor_list

ELEMENTS = ("H", "O")
TRIM = 3  # coefficients at the far end that are zero, for value and two derivatives that vanish there
PAIR = (0.5, 6.0, 24)  # first knot, last knot, intervals
LEG, BASE = (0.5, 4.0, 8), (0.5, 8.0, 16)  # centre to neighbour, neighbour to neighbour
RIDGE = 1e-7  # over the mean of the diagonal
ENERGY_WEIGHT = 30.0  # of the energy per atom, beside a force component


def knots(grid: tuple[float, float, int]) -> np.ndarray:
    low, high, count = grid
    return np.concatenate([[low] * 3, np.linspace(low, high, count + 1), [high] * 3])


def columns() -> tuple[np.ndarray, np.ndarray, int]:
    """Return the column of each pair coefficient [3, n] and triplet coefficient [6, n, n, m], -1 where it is zero."""
    n_pair, n_leg, n_base = (grid[2] + 3 for grid in (PAIR, LEG, BASE))
    free_pair, free_leg, free_base = n_pair - TRIM, n_leg - TRIM, n_base - TRIM
    pair = np.full((3, n_pair), -1)
    pair[:, :free_pair] = np.arange(3 * free_pair).reshape(3, -1)
    used = 3 * free_pair
    triple = np.full((6, n_leg, n_leg, n_base), -1)
    for kind in range(6):
        for a in range(free_leg):
            for b in range(free_leg):
                if kind % 3 != 1 and b < a:  # both neighbours of one element: symmetric
                    triple[kind, a, b] = triple[kind, b, a]
                    continue
                triple[kind, a, b, :free_base] = used + np.arange(free_base)
                used += free_base
    return pair, triple, used


@numba.njit(cache=True)
def splines(r, low, high, count, value, slope):
    """Write the four cubic B-splines that are not zero at r, and their derivatives; return the number of the first."""
    width = (high - low) / count
    cell = min(int((r - low) / width), count - 1)
    t = np.empty(8)
    for k in range(8):
        t[k] = low + width * min(max(cell - 3 + k, 0), count)
    value[:] = 0.0
    value[3] = 1.0
    for degree in range(1, 4):  # de Boor's recursion on the basis; slopes come from the one of degree 2
        if degree == 3:
            for k in range(4):
                left, right = t[k + 3] - t[k], t[k + 4] - t[k + 1]
                slope[k] = (3 * value[k] / left if left > 0 else 0.0) - (
                    3 * value[k + 1] / right if right > 0 and k < 3 else 0.0
                )
        for k in range(3 - degree, 4):
            left, right = t[k + degree] - t[k], t[k + degree + 1] - t[k + 1]
            x = (r - t[k]) / left * value[k] if left > 0 else 0.0
            y = (t[k + degree + 1] - r) / right * value[k + 1] if right > 0 and k < 3 else 0.0
            value[k] = x + y
    return cell


@numba.njit(cache=True)
def features(i, j, D, types, pair, triple, n_columns):
    """Return the rows of the forces [N, 3, K] and of the energy [K]."""
    n = len(types)
    rows, energy = np.zeros((n, 3, n_columns)), np.zeros(n_columns)
    u, du, v, dv, w, dw = np.empty(4), np.empty(4), np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    first = np.searchsorted(i, np.arange(n + 1))
    r = np.sqrt((D**2).sum(1))
    for e in range(len(i)):
        if i[e] > j[e] or (i[e] == j[e]):
            continue
        cell = splines(r[e], *PAIR, u, du)
        for k in range(4):
            c = pair[types[i[e]] + types[j[e]], cell + k]
            if c >= 0:
                energy[c] += u[k]
                for x in range(3):
                    rows[i[e], x, c] += du[k] * D[e, x] / r[e]
                    rows[j[e], x, c] -= du[k] * D[e, x] / r[e]
    for centre in range(n):
        for p in range(first[centre], first[centre + 1]):
            for q in range(first[centre], first[centre + 1]):
                if p == q or r[p] >= LEG[1] or r[q] >= LEG[1]:
                    continue
                tp, tq = types[j[p]], types[j[q]]
                if tp > tq or (tp == tq and q < p):
                    continue
                base = D[q] - D[p]
                s = np.sqrt((base**2).sum())
                cu = splines(r[p], *LEG, u, du)
                cv = splines(r[q], *LEG, v, dv)
                cw = splines(s, *BASE, w, dw)
                for a in range(4):
                    for b in range(4):
                        for d in range(4):
                            c = triple[3 * types[centre] + tp + tq, cu + a, cv + b, cw + d]
                            if c < 0:
                                continue
                            energy[c] += u[a] * v[b] * w[d]
                            fp, fq = du[a] * v[b] * w[d] / r[p], u[a] * dv[b] * w[d] / r[q]
                            fs = u[a] * v[b] * dw[d] / s
                            for x in range(3):
                                at_p, at_q, at_s = fp * D[p, x], fq * D[q, x], fs * base[x]
                                rows[centre, x, c] += at_p + at_q
                                rows[j[p], x, c] += at_s - at_p
                                rows[j[q], x, c] -= at_s + at_q
    return rows, energy


def fit(frames: list) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of pairs and triplets."""
    pair, triple, count = columns()
    gram, right = np.zeros((count + 1, count + 1)), np.zeros(count + 1)
    mean = np.mean([atoms.get_potential_energy() for atoms in frames])
    for number, atoms in enumerate(frames):
        i, j, D = neighbor_list("ijD", atoms, PAIR[1])
        types = np.array([ELEMENTS.index(symbol) for symbol in atoms.symbols])
        rows, energy = features(i, j, D, types, pair, triple, count)
        rows = rows.reshape(-1, count)
        gram[:count, :count] += rows.T @ rows
        right[:count] += rows.T @ atoms.get_forces().ravel()
        energy = np.append(energy, 1.0) * ENERGY_WEIGHT / len(atoms) ** 0.5
        gram += np.outer(energy, energy)
        right += energy * (atoms.get_potential_energy() - mean) * ENERGY_WEIGHT / len(atoms) ** 0.5
        print(f"frame {number + 1} of {len(frames)}", flush=True)
    gram[np.diag_indices(count + 1)] += RIDGE * np.trace(gram) / count
    found = np.append(cho_solve(cho_factor(gram), right)[:count], 0.0)
    return 0.5 * found[pair], found[triple]  # LAMMPS counts each pair twice, each triplet once


def numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.12g}" for value in values)


def text(pairs: np.ndarray, triples: np.ndarray) -> str:
    """Return the potential in the format of LAMMPS' pair style uf3."""
    head = "#UF3 POT UNITS: metal DATE: 2025-01-01 00:00:00 AUTHOR: atomcore CITATION: none"
    couples = list(combinations_with_replacement(ELEMENTS, 2))
    lines = []
    for (a, b), values in zip(couples, pairs, strict=True):
        t = knots(PAIR)
        lines += [
            head,
            f"2B {a} {b} 0 {TRIM} uk",
            f"{PAIR[1]} {len(t)}",
            numbers(t),
            str(len(values)),
            numbers(values),
            "#",
        ]
    for kind, values in enumerate(triples):
        a, b = couples[kind % 3]
        leg, base = knots(LEG), knots(BASE)
        lines += [head, f"3B {ELEMENTS[kind // 3]} {a} {b} 0 {TRIM} uk"]
        lines += [f"{BASE[1]} {LEG[1]} {LEG[1]} {len(base)} {len(leg)} {len(leg)}", *map(numbers, (base, leg, leg))]
        lines += [" ".join(map(str, values.shape)), *map(numbers, values.reshape(-1, values.shape[2])), "#"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(text(*fit(read(sys.argv[1], ":"))))
