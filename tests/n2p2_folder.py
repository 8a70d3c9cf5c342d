"""n2p2's potential of water (Morawietz et al., PNAS 113, 8368 (2016)) as a model file, and its stored predictions."""

import tempfile
from pathlib import Path

from ase import Atoms
from ase.units import Bohr

from atomcore import model_file
from atomcore.interop.n2p2 import read_model
from model_builder import RandomModel
from n2p2_oracle import Folder

ELEMENTS = ("H", "O")
UNITS = "hartree, bohr"
KINDS = {2: "radial", 3: "narrow"}


def model(folder: Path) -> RandomModel:
    """Return the potential that the folder holds."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "water.atomcore"
        read_model(folder, UNITS).save(path)
        metadata, tensors = model_file.read(path)
    return RandomModel(tensors, metadata)


def sorted_columns(folder: Path, element: str, table: list[dict]) -> list[int]:
    """Return for each function of an element, in n2p2's order, which row of a table it is."""

    def key(kind: str, elements, *numbers: float):
        return (kind, *elements, *(round(number, 9) for number in numbers))

    rows = {
        key(row["type"], row["elements"], *(row.get(name, 0.0) for name in ("eta", "shift", "zeta", "lambda"))): i
        for i, row in enumerate(table)
    }
    own = Folder(folder).functions[ELEMENTS.index(element)]
    return [
        rows[key(KINDS[f.kind], [ELEMENTS[i] for i in f.elements], f.eta / Bohr**2, f.rs * Bohr, f.zeta, f.lam)]
        for f in own
    ]


def structure(reference, key: str) -> Atoms:
    """Return one structure of ``n2p2_reference.npz``."""
    cell, positions = (reference[f"{key}/{name}"] * Bohr for name in ("cell", "R"))
    return Atoms(reference[f"{key}/Z"], positions, cell=cell, pbc=reference[f"{key}/pbc"])
