"""What a folder of n2p2 predicts, by plain loops in its own units: grammar and formulas anew, for the tests."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase.data import atomic_numbers

EXTRAPOLATED = 1000 * np.finfo(float).eps  # beyond a range by more than this, n2p2 warns
ACTIVATIONS = {
    "t": np.tanh,
    "l": lambda x: x,
    "s": lambda x: 1 / (1 + np.exp(-x)),
    "p": lambda x: np.log(1 + np.exp(x)),
    "r": lambda x: np.maximum(x, 0),
    "g": lambda x: np.exp(-(x**2) / 2),
    "c": np.cos,
    "S": lambda x: 1 - 1 / (1 + np.exp(-x)),
    "e": lambda x: np.exp(-x),
    "h": lambda x: x**2,
}
CORES = {
    "p1": lambda x: 1 + x**2 * (2 * x - 3),
    "p2": lambda x: 1 + x**3 * (-6 * x**2 + 15 * x - 10),
    "p3": lambda x: 1 + x**4 * (20 * x**3 - 70 * x**2 + 84 * x - 35),
    "p4": lambda x: 1 + x**5 * (-70 * x**4 + 315 * x**3 - 540 * x**2 + 420 * x - 126),
    "e": lambda x: np.exp(1 - 1 / (1 - x**2)),
}


class Function(NamedTuple):
    """One line ``symfunction_short``; what a type does not have is 0."""

    kind: int
    elements: tuple[int, ...]
    eta: float = 0.0
    rs: float = 0.0
    zeta: float = 0.0
    lam: float = 0.0
    rc: float = 0.0
    rl: float = 0.0
    thl: float = 0.0
    thr: float = 0.0
    sub: str = ""

    def sort_key(self):
        """Return what n2p2 sorts by: text by its characters, elements by their index."""
        if self.kind < 20:
            return (self.kind, self.rc, self.eta, self.rs, self.zeta, self.lam, *self.elements)
        return (self.kind, self.sub, *self.elements, self.rc, self.rl, self.thl, self.thr)


NAMES = {
    2: ("eta", "rs", "rc"),
    3: ("eta", "lam", "zeta", "rc", "rs"),
    9: ("eta", "lam", "zeta", "rc", "rs"),
    12: ("eta", "rs", "rc"),
    13: ("eta", "rs", "lam", "zeta", "rc"),
    20: ("rl", "rc", "sub"),
    21: ("rl", "rc", "thl", "thr", "sub"),
    22: ("rl", "rc", "thl", "thr", "sub"),
    23: ("rl", "rc", "sub"),
    24: ("rl", "rc", "thl", "thr", "sub"),
    25: ("rl", "rc", "thl", "thr", "sub"),
}
N_ELEMENTS = {2: 1, 20: 1, 3: 2, 9: 2, 21: 2, 22: 2}  # 0 for the others


class Folder:
    """A potential as its files have it."""

    def __init__(self, path: Path) -> None:
        lines = [re.split("[#!]", line)[0].split() for line in (path / "input.nn").read_text().splitlines()]
        self.words = [words for words in lines if words]
        self.elements = sorted(self.first("elements"), key=lambda x: atomic_numbers[x])
        self.z = np.array([atomic_numbers[x] for x in self.elements], float)
        cutoff = self.first("cutoff_type")
        self.cutoff_type, self.alpha = int(cutoff[0]), float(cutoff[1]) if len(cutoff) > 1 else 0.0
        self.functions = [sorted(self.lines_of(x), key=Function.sort_key) for x in self.elements]
        self.rows = []  # for each element index, function, min, max, mean, sigma
        if (path / "scaling.data").exists():
            rows = np.loadtxt(path / "scaling.data", ndmin=2)
            self.rows = [rows[rows[:, 0] == i + 1] for i in range(len(self.elements))]
            self.weights = [np.loadtxt(path / f"weights.{int(z):03d}.data", usecols=0) for z in self.z]

    def first(self, key: str) -> list[str]:
        """Return the values of a keyword."""
        return next(words[1:] for words in self.words if words[0] == key)

    def has(self, key: str) -> bool:
        """Return whether a keyword is there."""
        return any(words[0] == key for words in self.words)

    def number(self, key: str, default: float) -> float:
        """Return the number that a keyword has."""
        return float(self.first(key)[0]) if self.has(key) else default

    def lines_of(self, x: str) -> list[Function]:
        """Return the functions of one element in the order of the file."""
        found = []
        for words in self.words:
            if words[0] in ("symfunction_short", "symfunction") and words[1] == x:
                kind = int(words[2])
                n = N_ELEMENTS.get(kind, 0)
                others = tuple(sorted(self.elements.index(y) for y in words[3 : 3 + n]))
                values: dict[str, Any] = dict(zip(NAMES[kind], words[3 + n :], strict=False))
                numbers = {name: value if name == "sub" else float(value) for name, value in values.items()}
                found.append(Function(kind, others, **numbers))
        return found

    def cutoff(self, r: np.ndarray, rc: float) -> np.ndarray:
        """Return the cutoff function at distances below rc."""
        t, inner = self.cutoff_type, self.alpha * rc
        if t == 0:
            return np.ones_like(r)
        if t in (2, 3):
            return (np.tanh(1 - r / rc) / (np.tanh(1) if t == 3 else 1)) ** 3
        x = np.maximum((r - inner) / (rc - inner), 0)
        return (np.cos(np.pi * x) + 1) / 2 if t == 1 else CORES[("e", "p1", "p2", "p3", "p4")[t - 4]](x)

    def value(self, f: Function, d: np.ndarray, species: np.ndarray) -> float:
        """Return a function of an atom with neighbours at ``d`` [n, 3]."""
        r = np.linalg.norm(d, axis=1)
        keep = (r < f.rc) & (np.isin(species, f.elements) if f.elements else True)
        d, r, species = d[keep], r[keep], species[keep]
        charge = np.ones(len(r)) if f.elements else self.z[species]
        if f.kind in (2, 12):
            return float(np.sum(charge * np.exp(-f.eta * (r - f.rs) ** 2) * self.cutoff(r, f.rc)))
        if f.kind in (20, 23):
            return float(np.sum(charge * window(r, f.rl, f.rc, f.sub)))
        j, k = np.triu_indices(len(r), 1)
        if f.elements:
            low, high = np.sort([species[j], species[k]], axis=0)
            j, k = (values[(low == f.elements[0]) & (high == f.elements[1])] for values in (j, k))
        both, cosine = charge[j] * charge[k], np.sum(d[j] * d[k], axis=1) / (r[j] * r[k])
        far = np.linalg.norm(d[j] - d[k], axis=1)
        if f.kind in (3, 13, 21, 24):
            j, k, both, cosine, far = (values[far < f.rc] for values in (j, k, both, cosine, far))
        if f.kind >= 20:
            angle = window(np.degrees(np.arccos(np.clip(cosine, -1, 1))), f.thl, f.thr, f.sub.removesuffix("a"))
            terms = both * window(r[j], f.rl, f.rc, f.sub) * window(r[k], f.rl, f.rc, f.sub) * angle
            return float(np.sum(terms * (window(far, f.rl, f.rc, f.sub) if f.kind in (21, 24) else 1)))
        exponent = (r[j] - f.rs) ** 2 + (r[k] - f.rs) ** 2
        terms = both * np.maximum(1 + f.lam * cosine, 0) ** f.zeta * self.cutoff(r[j], f.rc) * self.cutoff(r[k], f.rc)
        if f.kind != 9:
            exponent, terms = exponent + (far - f.rs) ** 2, terms * self.cutoff(far, f.rc)
        return float(2 ** (1 - f.zeta) * np.sum(terms * np.exp(-f.eta * exponent)))

    def features(self, symbols, positions: np.ndarray, cell: np.ndarray | None) -> list[np.ndarray]:
        """Return for each atom its functions, unscaled, in sorted order."""
        reach = max(f.rc for own in self.functions for f in own)
        shifts = np.zeros((1, 3))
        if cell is not None:
            n = [int(np.ceil(reach * np.linalg.norm(row))) for row in np.linalg.inv(cell).T]
            shifts = np.stack(np.meshgrid(*[np.arange(-m - 1, m + 2) for m in n]), axis=-1).reshape(-1, 3) @ cell
        species = np.array([self.elements.index(x) for x in symbols])
        found = []
        for i, s in enumerate(species):
            d = (positions[None] + shifts[:, None] - positions[i]).reshape(-1, 3)
            r = np.linalg.norm(d, axis=1)
            near = (r < reach) & (r > 1e-10)
            own = np.tile(species, len(shifts))[near]
            found.append(np.array([self.value(f, d[near], own) for f in self.functions[s]]))
        return found

    def scaled(self, s: int, G: np.ndarray) -> np.ndarray:
        """Return the inputs of the network of an element."""
        low, high, mean = self.rows[s][:, 2:5].T
        smin, smax = self.number("scale_min_short", 0.0), self.number("scale_max_short", 1.0)
        by_range, centred = (self.has(f"{name}_symmetry_functions") for name in ("scale", "center"))
        if by_range:
            return smin + (smax - smin) * (G - (mean if centred else low)) / (high - low)
        if centred:
            return G - mean
        if self.has("scale_symmetry_functions_sigma"):
            return smin + (smax - smin) * (G - mean) / self.rows[s][:, 5]
        return G

    def network(self, s: int, x: np.ndarray) -> float:
        """Return the output of the network of an element."""
        widths, letters = [int(n) for n in self.first("global_nodes_short")], self.first("global_activation_short")
        for words in self.words:
            if words[0] == "element_nodes_short" and words[1] == self.elements[s]:
                widths[:-1] = [int(n) for n in words[2:-1]]
            if words[0] == "element_activation_short" and words[1] == self.elements[s]:
                letters = words[2:-1] + letters[-1:]
        values = self.weights[s]
        for n, letter in zip([*widths, 1], letters, strict=True):
            weight, bias, values = np.split(values, [len(x) * n, (len(x) + 1) * n])
            sums = x @ weight.reshape(len(x), n) + bias
            x = ACTIVATIONS[letter](sums / len(x) if self.has("normalize_nodes") else sums)
        assert values.size == 0
        return float(x[0])

    def energies(self, symbols, positions: np.ndarray, cell: np.ndarray | None) -> np.ndarray:
        """Return the energies of atoms."""
        offsets = {words[1]: float(words[2]) for words in self.words if words[0] == "atom_energy"}
        mean, factor = self.number("mean_energy", 0.0), self.number("conv_energy", 1.0)
        species = [self.elements.index(x) for x in symbols]
        outputs = [
            self.network(s, self.scaled(s, G))
            for s, G in zip(species, self.features(symbols, positions, cell), strict=True)
        ]
        return np.array([y / factor + mean + offsets.get(x, 0.0) for x, y in zip(symbols, outputs, strict=True)])

    def warnings(self, symbols, positions: np.ndarray, cell: np.ndarray | None, least: float) -> np.ndarray:
        """Return for each atom how many functions lie outside their ranges, by this part of the widths that count."""
        counts = []
        for x, G in zip(symbols, self.features(symbols, positions, cell), strict=True):
            low, high = self.rows[self.elements.index(x)][:, 2:4].T
            slack = EXTRAPOLATED + least * np.maximum(high - low, 0.01 * (high - low).max())
            counts.append(int(np.sum(np.maximum(low - G, G - high) > slack)))
        return np.array(counts)


def window(x: np.ndarray, low: float, high: float, sub: str) -> np.ndarray:
    """Return a function of compact support; a trailing a of ``sub`` makes it asymmetric."""
    u = np.abs(x - (low + high) / 2) / ((high - low) / 2)
    if sub.endswith("a"):
        u = u * (2 - u)
    inside = (x > low) & (x < high)
    return np.where(inside, CORES[sub.removesuffix("a")](np.where(inside, u, 0.0)), 0.0)
