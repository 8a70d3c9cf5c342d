"""Time of features, alone and with their backward pass, beside torchani (ANI-2x) and DScribe (Behler's functions).

ANI-2x, float32: the uracil dimer of S22, 256 complexes of S22 in one batch, and 5184 atoms of liquid water; backward
is the gradient in the positions for a fixed random cotangent. The peer runs as installed, and tuned: `torch.jit.script`
and a malloc that keeps what is freed, which its users normally do not do.

Behler's functions, float64: the 27 (H) and 30 (O) functions of n2p2's water potential, 1029 atoms. DScribe has one set
for all centres and no analytic derivatives: it computes 28 functions for each centre, features only.

Ours goes from numpy arrays to numpy arrays. The peers search their neighbours themselves, so that ours does, too, where
the two are compared; what is left when the list is given stands in rows of its own.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from atomcore import _core
from atomcore.features import ANI, SymmetryFunctions
from common import KEEP_MEMORY, ONE_THREAD, compare, report
from systems import n2p2_functions, s22_batch, uracil_dimer, water_box

PEERS = ("torch", "torchani", "dscribe")
SETTINGS: dict[str, dict[str, str]] = {"as installed": {}, "tuned": KEEP_MEMORY}
SINGLE, DOUBLE = 2e-5, 1e-10  # how far values may differ, over the largest

Row = dict[str, object]
Edges = tuple[np.ndarray, ...]  # row_ptr, neighbor, shift, edge vectors


class Ours:
    """The feature kernels on a batch of structures.

    Either one set of functions for all centres, or a set for each run of atoms of one element.
    """

    def __init__(self, structures: Sequence[Atoms], sets: Sequence[SymmetryFunctions], dtype: Any) -> None:
        self.dtype = dtype
        self.positions = np.concatenate([atoms.positions for atoms in structures])
        self.cells = np.stack([np.asarray(atoms.cell) for atoms in structures])
        self.pbc = np.stack([atoms.pbc for atoms in structures]).astype(np.uint8)
        self.pointer = np.cumsum([0, *map(len, structures)]).astype(np.int64)
        numbers = np.concatenate([atoms.numbers for atoms in structures])
        self.species = np.searchsorted(np.sort(sets[0].numbers), numbers)
        self.species = np.argsort(sets[0].numbers)[self.species].astype(np.int32)
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1)] if len(sets) > 1 else [0]
        self.parts = list(zip(sets, starts, [*starts[1:], len(numbers)], strict=True))
        self.cutoff = max(functions.cutoff for functions in sets)
        self.edges = self.search()

    def search(self) -> Edges:
        found = _core.neighbor_list(self.positions, self.cells, self.pbc, self.pointer, self.cutoff, 1)
        return (*found, _core.edge_vectors(self.positions, self.cells, self.pointer, *found, 1).astype(self.dtype))

    def graphs(self, edges: Edges) -> list[tuple[np.ndarray, ...]]:
        """Return what the kernels take for each part: plan, species, and the rows of its centres."""
        row_ptr, neighbor, _, D = edges
        graphs = []
        for functions, first, last in self.parts:
            rows = slice(row_ptr[first], row_ptr[last])
            pointer = row_ptr[first : last + 1] - row_ptr[first]
            graphs.append((*functions.plan, self.species, pointer, neighbor[rows], D[rows]))
        return graphs

    def features(self, edges: Edges) -> list[np.ndarray]:
        """Return G of each part."""
        return [_core.features(*graph, 1) for graph in self.graphs(edges)]

    def backward(self, g: Sequence[np.ndarray], edges: Edges) -> tuple[list[np.ndarray], np.ndarray]:
        """Return G of each part and the gradient of sum(g G) in the positions."""
        row_ptr, neighbor, shift, _ = edges
        graphs = self.graphs(edges)
        G = [_core.features(*graph, 1) for graph in graphs]
        parts = [_core.features_vjp(*graph, one, 1) for graph, one in zip(graphs, g, strict=True)]
        g_D = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return G, _core.edge_scatter(g_D, self.pointer, row_ptr, neighbor, shift, 1)[0]


class TorchAni:
    """The features of ANI-2x by torchani, on a padded batch."""

    def __init__(self, structures: Sequence[Atoms], functions: ANI, tuned: bool) -> None:
        import torch
        import torchani

        torch.set_num_threads(1)
        periodic = structures[0].pbc.any()
        computer = torchani.aev.AEVComputer.like_2x(
            num_species=len(functions.elements), strategy="pyaev", neighborlist="cell_list" if periodic else "all_pairs"
        )
        self.torch, self.computer = torch, torch.jit.script(computer) if tuned else computer
        self.present = np.arange(max(map(len, structures))) < np.array([[len(atoms)] for atoms in structures])
        numbers = np.concatenate([atoms.numbers for atoms in structures])
        order = list(functions.numbers)
        self.species = self.padded(np.array([order.index(z) for z in numbers]), -1)
        self.positions = self.padded(np.concatenate([atoms.positions for atoms in structures]).astype(np.float32))
        cell = torch.tensor(np.asarray(structures[0].cell), dtype=torch.float32)
        self.box = (cell, torch.tensor([True] * 3)) if periodic else (None, None)

    def padded(self, values: np.ndarray, fill: int = 0) -> Any:
        """Return values of the atoms of all structures as a tensor of the padded batch."""
        full = np.full((*self.present.shape, *values.shape[1:]), fill, values.dtype)
        full[self.present] = values
        return self.torch.from_numpy(full)

    def features(self) -> Any:
        with self.torch.no_grad():
            return self.computer(self.species, self.positions, *self.box)

    def backward(self, g: Any) -> Any:
        positions = self.positions.clone().requires_grad_(True)
        return self.torch.autograd.grad(self.computer(self.species, positions, *self.box), positions, g)[0]


def expect(tolerance: float, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Raise unless both are finite and equal to ``tolerance`` of the largest value."""
    apart = np.abs(ours.astype(float) - theirs.astype(float)).max()
    if not apart <= tolerance * np.abs(theirs).max():
        raise SystemExit(f"the codes do not compute the same: values are {apart} apart")


def timed(case: str, ours: Ours, call: Callable[[Edges], object], peers: dict[str, Callable[[], object]]) -> list[Row]:
    """Time one call of ours with the search beside the peers, and alone with the list given."""
    return [
        *compare(case, lambda: None, lambda: call(ours.search()), peers),
        *compare(f"{case}, list given", lambda: None, lambda: call(ours.edges), {}, seconds=1.0),
    ]


def ani_rows(setting: str, name: str, structures: Sequence[Atoms]) -> list[Row]:
    """Time ANI-2x on a batch beside torchani in one of its settings."""
    functions = ANI.ani2x()
    ours, peer = Ours(structures, [functions], np.float32), TorchAni(structures, functions, setting == "tuned")
    g = np.random.default_rng(1).normal(size=(len(ours.species), functions.n_features)).astype(np.float32)
    padded = peer.padded(g)
    expect(SINGLE, ours.features(ours.edges)[0], peer.features().numpy()[peer.present])
    expect(SINGLE, ours.backward([g], ours.edges)[1], peer.backward(padded).numpy()[peer.present])
    case, code = f"ANI-2x float32, {name}: features", f"torchani {setting}"
    return [
        *timed(case, ours, ours.features, {code: peer.features}),
        *timed(f"{case} + backward", ours, partial(ours.backward, [g]), {code: partial(peer.backward, padded)}),
    ]


def dscribe_of(rows: Sequence[dict]) -> tuple[Any, Callable[[dict], int]]:
    """Return DScribe's ACSF with the functions of a table for every element (pair), and what finds a row's column."""
    from dscribe.descriptors import ACSF

    radial = sorted({(row["eta"], row["shift"]) for row in rows if row["type"] == "radial"})
    angular = sorted({(row["eta"], row["zeta"], row["lambda"]) for row in rows if row["type"] == "narrow"})
    elements, pairs = ["H", "O"], [["H", "H"], ["H", "O"], ["O", "O"]]

    def column(row: dict) -> int:
        if row["type"] == "radial":  # for each element the sum of the cutoff function comes first
            return elements.index(row["elements"][0]) * (1 + len(radial)) + 1 + radial.index((row["eta"], row["shift"]))
        number = angular.index((row["eta"], row["zeta"], row["lambda"]))
        return 2 * (1 + len(radial)) + pairs.index(row["elements"]) * len(angular) + number

    return ACSF(r_cut=rows[0]["cutoff"], g2_params=radial, g4_params=angular, species=elements, periodic=True), column


def behler_rows() -> list[Row]:
    """Time n2p2's functions for water beside DScribe's features of as many functions."""
    atoms = water_box(7)
    atoms = atoms[np.argsort(atoms.numbers, kind="stable")]  # H first
    rows: list[Row] = []
    for kind in ("cosine", "tanh3"):
        tables = [n2p2_functions(element, kind) for element in ("H", "O")]
        ours = Ours([atoms], [SymmetryFunctions.from_table(["H", "O"], table) for table in tables], np.float64)
        G = ours.features(ours.edges)
        if kind == "cosine":  # DScribe has no other
            full, column = dscribe_of([row for table in tables for row in table])
            theirs = full.create(atoms)
            for values, table, (_, first, last) in zip(G, tables, ours.parts, strict=True):
                expect(DOUBLE, values, theirs[first:last][:, [column(row) for row in table]])
            # 8 radial functions an element and 4 angular ones a pair of elements: 28
            peer, _ = dscribe_of([row for row in tables[1] if row["elements"] in (["H"], ["O", "O"])])
        random = np.random.default_rng(1)
        g = [random.normal(size=values.shape) for values in G]
        case, dscribe = (
            f"n2p2 water set, {kind} cutoff, 1029 atoms: features",
            {"dscribe, features": partial(peer.create, atoms)},
        )
        rows += timed(case, ours, ours.features, dscribe)
        rows += timed(f"{case} + forces", ours, partial(ours.backward, g), dscribe)
    return rows


def in_setting(setting: str) -> list[Row]:
    """Return the rows of torchani in one setting from a process of its own: malloc reads its environment at start."""
    environment = {**os.environ, **ONE_THREAD, **SETTINGS[setting], "TORCHANI_NO_WARN_EXTENSIONS": "1"}
    command = [sys.executable, str(Path(__file__)), "--ani", setting]
    text = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text.splitlines()[-1])


def main() -> None:
    rows = [row for setting in SETTINGS for row in in_setting(setting)]
    report("features", [*rows, *behler_rows()], PEERS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ani", choices=SETTINGS, help="time ANI-2x in this process and print the rows as JSON")
    chosen = parser.parse_args().ani
    if chosen:
        systems = {
            "24 atoms": [uracil_dimer()],
            "256 molecules": s22_batch(256),
            "5184 atoms of water": [water_box(12)],
        }
        print(json.dumps([row for name, batch in systems.items() for row in ani_rows(chosen, name, batch)]))
    else:
        main()
