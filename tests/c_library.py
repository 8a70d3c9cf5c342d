"""The C library through ctypes: its structs member by member, and calls that raise what they complain of."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from atomcore import _core

FOLDER = Path(_core.__file__).parent
LIBRARY = FOLDER / "lib" / "libatomcore.so"
STATUS = ("ok", "invalid value", "out of memory", "corrupt file", "unsupported", "overflow", "io", "internal")


class _Sized(ctypes.Structure):
    """A struct that grows at its end."""

    def __init__(self, **members: Any) -> None:
        super().__init__(size=ctypes.sizeof(self), **members)


class Options(_Sized):
    _fields_ = (("size", c_size_t), ("single_precision", ctypes.c_int))


class Info(_Sized):
    _fields_ = (
        ("size", c_size_t), ("kind", c_char_p), ("capability", c_char_p), ("target", c_char_p), ("cutoff", c_double),
        ("n_elements", c_int32), ("symbols", POINTER(c_char_p)), ("numbers", POINTER(c_int32)), ("members", c_int32),
        ("has_energies", c_int32), ("has_spread", c_int32), ("has_ranges", c_int32), ("has_grade", c_int32),
        ("metadata", c_char_p),
    )  # fmt: skip


class Results(_Sized):
    _fields_ = (
        ("size", c_size_t), ("energy", c_double), ("virial", c_double * 9), ("forces", c_void_p),
        ("energies", c_void_p), ("virials", c_void_p), ("member_forces", c_void_p), ("energy_spread", c_double),
        ("energies_spread", c_void_p), ("forces_spread", c_void_p), ("outside", c_void_p), ("excess", c_void_p),
        ("grade", c_void_p),
    )  # fmt: skip


class Structure(_Sized):
    _fields_ = (
        ("size", c_size_t), ("n_atoms", c_int64), ("positions", c_void_p), ("numbers", c_void_p), ("cell", c_void_p),
        ("pbc", c_void_p),
    )  # fmt: skip


class Neighbors(_Sized):
    _fields_ = (
        ("size", c_size_t), ("n_atoms", c_int64), ("positions", c_void_p), ("types", c_void_p),
        ("element_of_type", c_void_p), ("n_types", c_int32), ("n_centres", c_int32), ("ilist", c_void_p),
        ("numneigh", c_void_p), ("firstneigh", c_void_p), ("neighbor_mask", c_int32),
    )  # fmt: skip


class Refused(Exception):
    """A status that is not "ok", and the message that came with it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = STATUS[status]


def load_library() -> ctypes.CDLL:
    """Return the library of this installation with the types of its functions."""
    library = ctypes.CDLL(str(LIBRARY))
    library.atomcore_version.restype = library.atomcore_last_error.restype = c_char_p
    library.atomcore_version.argtypes = library.atomcore_last_error.argtypes = ()
    for name, arguments in {
        "model_load": (c_char_p, POINTER(Options), POINTER(c_void_p)),
        "model_info": (c_void_p, POINTER(Info)),
        "element_index": (c_void_p, c_char_p),
        "workspace_create": (c_void_p, c_int32, POINTER(c_void_p)),
        "compute": (c_void_p, POINTER(Structure), POINTER(Results)),
        "compute_neighbors": (c_void_p, POINTER(Neighbors), POINTER(Results)),
    }.items():
        getattr(library, f"atomcore_{name}").argtypes = arguments
    for name in ("model_free", "workspace_free"):
        getattr(library, f"atomcore_{name}").argtypes = (c_void_p,)
        getattr(library, f"atomcore_{name}").restype = None
    return library


C = load_library()


def computed(potential: Any, atoms: Any) -> dict[str, np.ndarray]:
    """Return everything that a potential in Python can say of a structure."""
    names = [name for name in potential.properties if not name.startswith("stress") or atoms.pbc.all()]
    return potential.compute(atoms, names)


def check(status: int) -> None:
    if status:
        raise Refused(status, C.atomcore_last_error().decode())


class Model:
    """A model and one workspace of it."""

    def __init__(self, path: Path, threads: int = 1, single: bool = False) -> None:
        self.model, self.workspace = c_void_p(), c_void_p()
        check(C.atomcore_model_load(str(path).encode(), byref(Options(single_precision=single)), byref(self.model)))
        self.info = Info()
        check(C.atomcore_model_info(self.model, byref(self.info)))
        check(C.atomcore_workspace_create(self.model, threads, byref(self.workspace)))

    def __del__(self) -> None:
        C.atomcore_workspace_free(self.workspace)
        C.atomcore_model_free(self.model)

    def compute(self, atoms: Any, names: tuple[str, ...]) -> dict[str, Any]:
        """Compute the arrays of these names for an ``ase.Atoms``, and the numbers beside them."""
        positions, cell = np.ascontiguousarray(atoms.positions), np.ascontiguousarray(atoms.cell.array)
        numbers, pbc = atoms.numbers.astype(np.int32), atoms.pbc.astype(np.int32)
        structure = Structure(n_atoms=len(atoms), positions=positions.ctypes.data, numbers=numbers.ctypes.data,
                              cell=cell.ctypes.data, pbc=pbc.ctypes.data)  # fmt: skip
        return self._run(C.atomcore_compute, structure, len(atoms), names)

    def compute_neighbors(self, host: "Host", names: tuple[str, ...]) -> dict[str, Any]:
        """Compute the arrays of these names for the atoms of a host."""
        return self._run(C.atomcore_compute_neighbors, host.struct(), len(host.types), names)

    def _run(self, function: Any, given: ctypes.Structure, n: int, names: tuple[str, ...]) -> dict[str, Any]:
        shapes = {"forces": (n, 3), "energies": n, "virials": (n, 9), "member_forces": (self.info.members, n, 3),
                  "forces_spread": (n, 3)}  # fmt: skip
        arrays = {name: np.zeros(shapes.get(name, n), np.int32 if name == "outside" else float) for name in names}
        results = Results(**{name: array.ctypes.data for name, array in arrays.items()})
        check(function(self.workspace, byref(given), byref(results)))
        return arrays | {"energy": results.energy, "virial": np.reshape(results.virial, (3, 3)),
                         "energy_spread": results.energy_spread}  # fmt: skip


class Host:
    """Atoms and their periodic images as a molecular-dynamics host has them, with its lists."""

    def __init__(self, atoms: Any, cutoff: float, symbols: tuple[str, ...], skin: float = 0.5) -> None:
        from ase.neighborlist import neighbor_list

        i, j, shift = neighbor_list("ijS", atoms, cutoff + skin)
        images: dict[tuple[int, ...], int] = {(k, 0, 0, 0): k for k in range(len(atoms))}
        self.lists: list[list[int]] = [[] for _ in atoms]
        for centre, neighbor, s in zip(i, j, shift, strict=True):
            self.lists[centre].append(images.setdefault((int(neighbor), *map(int, s)), len(images)))
        self.original = np.array([image[0] for image in images])
        shifts = np.array([image[1:] for image in images])
        self.positions = atoms.positions[self.original] + shifts @ atoms.cell.array
        self.types = np.array([symbols.index(atoms.symbols[k]) for k in self.original], np.int32)
        self.centres = np.arange(len(atoms), dtype=np.int32)
        self.element_of_type: np.ndarray | None = None
        self.mask = 0

    def struct(self) -> Neighbors:
        """Return the struct; what it points to lives as long as this object is not asked again."""
        n = len(self.types)
        self._rows = [np.array(row, np.int32) for row in self.lists]
        self._count = np.array([len(row) for row in self._rows] + [0] * (n - len(self._rows)), np.int32)
        pointers = [row.ctypes.data for row in self._rows] + [None] * (n - len(self._rows))
        self._first = (c_void_p * n)(*pointers)
        mapped = self.element_of_type
        return Neighbors(
            n_atoms=n, positions=self.positions.ctypes.data, types=self.types.ctypes.data,
            element_of_type=None if mapped is None else mapped.ctypes.data,
            n_types=0 if mapped is None else len(mapped),
            n_centres=len(self.centres), ilist=self.centres.ctypes.data, numneigh=self._count.ctypes.data,
            firstneigh=ctypes.addressof(self._first), neighbor_mask=self.mask,
        )  # fmt: skip

    def folded(self, array: np.ndarray) -> np.ndarray:
        """Add what ghost atoms have to the atoms whose images they are."""
        result = np.zeros((len(self.lists), *array.shape[1:]))
        np.add.at(result, self.original, array)
        return result
