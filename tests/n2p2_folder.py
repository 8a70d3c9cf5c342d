"""A potential of n2p2 as a model file: its functions, scaling and weights in Angstrom and eV."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.units import Bohr, Hartree

from model_builder import RandomModel

ELEMENTS = ("H", "O")
KINDS = {"2": "radial", "3": "narrow"}


def keywords(folder: Path) -> list[list[str]]:
    """Return the lines of ``input.nn`` as words, without comments."""
    lines = [line.split("#")[0].split() for line in (folder / "input.nn").read_text().splitlines()]
    return [words for words in lines if words]


def sorted_functions(folder: Path, element: str) -> list[dict]:
    """Return the functions of one element's atoms in n2p2's order, which is that of its scaling and weights."""
    functions = []
    for words in keywords(folder):
        if words[0] != "symfunction_short" or words[1] != element:
            continue
        n = 1 if words[2] == "2" else 2
        others = sorted(words[3 : 3 + n], key=ELEMENTS.index)
        numbers = [float(word) for word in words[3 + n :]]
        eta, shift, *angle = (numbers[0], *numbers[1:2]) if n == 1 else (numbers[0], 0.0, numbers[1], numbers[2])
        key = (words[2], numbers[-1], eta, shift, *angle[::-1], *[ELEMENTS.index(x) for x in others])
        row = {"type": KINDS[words[2]], "elements": others, "prefactor": 1.0, "eta": eta / Bohr**2}
        row |= {"shift": shift * Bohr, "cutoff": numbers[-1] * Bohr, "cutoff_function": "tanh3"}
        if angle:
            row |= {"lambda": angle[0], "zeta": angle[1]}
        functions.append((key, row))
    return [row for _, row in sorted(functions, key=lambda pair: pair[0])]


def weights(path: Path, widths: list[int]) -> list[np.ndarray]:
    """Return weight [outputs, inputs] and bias of each layer in turn."""
    numbers = np.loadtxt(path, usecols=0)
    arrays = []
    for inputs, outputs in pairwise(widths):
        weight, bias, numbers = np.split(numbers, [inputs * outputs, (inputs + 1) * outputs])
        arrays += [weight.reshape(inputs, outputs).T.copy(), bias]
    assert numbers.size == 0
    return arrays


def model(folder: Path) -> RandomModel:
    """Return the potential that the folder holds."""
    scaling = np.loadtxt(folder / "scaling.data")
    settings = {words[0]: words[-1] for words in keywords(folder)}
    mean_energy, conv_energy = float(settings["mean_energy"]), float(settings["conv_energy"])
    functions = {x: sorted_functions(folder, x) for x in ELEMENTS}
    table: list[dict] = []
    for row in (row for x in ELEMENTS for row in functions[x]):
        if row not in table:  # both elements may use a function
            table.append(row)
    tensors = {
        "energy.reference": np.full(2, mean_energy * Hartree),
        "energy.scale": np.full(2, Hartree / conv_energy),
    }
    for i, x in enumerate(ELEMENTS):
        columns = np.array([table.index(row) for row in functions[x]])
        order = np.argsort(columns)
        low, high, mean = scaling[scaling[:, 0] == i + 1, 2:5].T
        minimum, maximum = np.zeros(len(table)), np.full(len(table), 1e3)  # n2p2 knows the others not for this element
        minimum[columns], maximum[columns] = low, high
        tensors |= {
            f"features.{x}.columns": columns[order],
            f"features.{x}.mean": mean[order],
            f"features.{x}.scale": 1 / (high - low)[order],
            f"features.{x}.minimum": minimum,
            f"features.{x}.maximum": maximum,
        }
        layers = weights(folder / f"weights.{atomic_numbers[x]:03}.data", [len(columns), 25, 25, 1])
        layers[0] = layers[0][:, order].copy()
        for k, array in enumerate(layers):
            tensors[f"networks.0.{x}.{k // 2}.{'bias' if k % 2 else 'weight'}"] = array
    metadata = {
        "requires": ["symmetry_functions", "element_networks"],
        "kind": "behler_parrinello",
        "capability": "local",
        "units": {"length": "Angstrom", "energy": "eV"},
        "elements": list(ELEMENTS),
        "cutoff": max(row["cutoff"] for row in table),
        "features": table,
        "networks": {"activation": "tanh", "members": 1},
        "precision": "float64",
        "provenance": {},
    }
    return RandomModel(tensors, metadata)


def structure(reference, key: str) -> Atoms:
    """Return one structure of ``n2p2_reference.npz``."""
    cell, positions = (reference[f"{key}/{name}"] * Bohr for name in ("cell", "R"))
    return Atoms(reference[f"{key}/Z"], positions, cell=cell, pbc=reference[f"{key}/pbc"])
