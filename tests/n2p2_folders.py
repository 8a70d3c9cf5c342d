"""Random folders of n2p2, and structures for them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from n2p2_oracle import Folder

SCALINGS = {
    "none": "",
    "scale": "scale_symmetry_functions",
    "center": "center_symmetry_functions   # no value",
    "scale and center": "scale_symmetry_functions\ncenter_symmetry_functions",
    "sigma": "scale_symmetry_functions_sigma",
    "all": "scale_symmetry_functions_sigma\nscale_symmetry_functions\n\tcenter_symmetry_functions",
}


def structures(elements: tuple[str, ...], seed: int) -> list[Atoms]:
    """Return clusters and crystals, the latter smaller than the cutoffs, with every element; lengths in A."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(2)] * 3), axis=-1).reshape(-1, 3)
    found = []
    for i in range(6):
        n = len(elements) + 2 + i % 2
        sites = 1.7 * grid[rng.permutation(8)[:n]] + rng.uniform(-0.3, 0.3, (n, 3))
        symbols = [*elements, *rng.choice(elements, n - len(elements))]
        cell = np.diag([4.2, 4.6, 5.0]) + rng.uniform(-0.6, 0.6, (3, 3)) if i % 2 else None
        found.append(Atoms(symbols, sites, cell=cell, pbc=i % 2 == 1))
    return found


def in_unit(atoms: Atoms, length: float):
    """Return what the oracle takes, in a unit of so many A."""
    cell = atoms.cell.array / length if atoms.pbc.all() else None
    return atoms.get_chemical_symbols(), atoms.positions / length, cell


def function_lines(rng: np.random.Generator, x: str, elements: tuple[str, ...], length: float) -> list[str]:
    """Return a function of every type for an element."""

    def number(low: float, high: float, power: int = 1) -> str:
        return f"{rng.uniform(low, high) / length**power:.4f}"

    def core() -> str:
        return rng.choice(["p1", "p2", "p3", "p4", "e"]) + rng.choice(["", "a"])

    def angles() -> str:
        low, half = rng.uniform(5, 80), rng.uniform(40, 100)
        return rng.choice([f"{low:.2f} {low + half:.2f}", f"{-half:.2f} {half:.2f}", f"{180 - half} {180 + half}"])

    y, pair = rng.choice(elements), " ".join(rng.choice(elements, 2))
    eta, rs, rc = (lambda: number(0.02, 0.6, 2)), (lambda: number(0.2, 1.5)), (lambda: number(3.0, 4.6))
    zeta, lam = (lambda: rng.choice(["1.0", "4", "2.5", "0.7"])), (lambda: rng.choice(["1.0", "-1.0", "0.6"]))
    low = lambda: rng.choice([number(-3.0, -2.0), number(-0.5, 1.0)])  # noqa: E731
    rest = [
        f"2 {y} {eta()} {rs()} {rc()}",
        f"2 {y} {eta()} 0.0 {rc()}",
        f"3 {pair} {eta()} {lam()} {zeta()} {rc()}",
        f"3 {pair} {eta()} {lam()} {zeta()} {rc()} {rs()}",
        f"9 {pair} {eta()} {lam()} {zeta()} {rc()}",
        f"9 {pair} {eta()} {lam()} {zeta()} {rc()} {rs()}",
        f"12 {eta()} {rs()} {rc()}",
        f"13 {eta()} {rs()} {lam()} {zeta()} {rc()}",
        f"20 {y} {low()} {rc()} {core()}",
        f"21 {pair} {low()} {rc()} {angles()} {core()}",
        f"22 {pair} {low()} {rc()} {angles()} {core()}",
        f"23 {low()} {rc()} {core()}",
        f"24 {low()} {rc()} {angles()} {core()}",
        f"25 {low()} {rc()} {angles()} {core()}",
    ]
    return [f"{rng.choice(['symfunction_short', 'symfunction'])}\t {x}  {line}" for line in rest]


def settings(rng: np.random.Generator, elements: tuple[str, ...], letters: str, length: float, **given: str) -> str:
    """Return an ``input.nn``; ``letters`` are the activations, and ``given`` more lines."""
    nodes = " ".join(str(n) for n in rng.integers(3, 8, len(letters) - 1))
    lines = [
        f"number_of_elements {len(elements)}   # a comment",
        f"  elements {' '.join(elements)}\t! another one",
        f"global_hidden_layers_short {len(letters) - 1}",
        f"global_nodes_short {nodes}",
        f"global_activation_short {' '.join(letters)}",
        "epochs 10",
        *given.values(),
        *(line for x in elements for line in function_lines(rng, x, elements, length)),
    ]
    return "\n".join(lines[i] for i in rng.permutation(len(lines))) + "\n"


def write_folder(path: Path, text: str, seed: int, length: float = 1.0) -> Folder:
    """Write a folder with this ``input.nn``, the scaling of some structures, and random weights."""
    path.mkdir()
    (path / "input.nn").write_text(text)
    folder, rng = Folder(path), np.random.default_rng(seed)
    features: list[list[np.ndarray]] = [[] for _ in folder.elements]
    for atoms in structures(tuple(folder.elements), seed + 1):
        for x, G in zip(atoms.symbols, folder.features(*in_unit(atoms, length)), strict=True):
            features[folder.elements.index(x)].append(G)
    lines = ["# statistics"]
    for i, own in enumerate(features, start=1):
        G = np.array(own)
        columns = zip(G.min(axis=0), G.max(axis=0) + 0.01, G.mean(axis=0), G.std(axis=0) + 0.05, strict=True)
        lines += [f" {i} {k} " + " ".join(f"{value:.16E}" for value in row) for k, row in enumerate(columns, start=1)]
    (path / "scaling.data").write_text("\n".join(lines) + "\n")
    write_weights(path, folder, rng)
    return Folder(path)


def write_weights(path: Path, folder: Folder, rng: np.random.Generator) -> None:
    """Write random weights for every element."""
    for i, x in enumerate(folder.elements):
        widths = [len(folder.functions[i]), *(int(n) for n in folder.first("global_nodes_short")), 1]
        for words in folder.words:
            if words[:2] == ["element_nodes_short", x]:
                widths[1:-2] = [int(n) for n in words[2:-1]]
        lines = ["#  weights"]
        for a, b in pairwise(widths):
            size = (a if folder.has("normalize_nodes") else 1) / np.sqrt(a)
            lines += [f"{value:.16E} a" for value in rng.normal(0, size, a * b)]
            lines += [f"{value:.16E} b" for value in rng.normal(0, 0.3 * size * np.sqrt(a), b)]
        (path / f"weights.{atomic_numbers[x]:03d}.data").write_text("\n".join(lines) + "\n")
