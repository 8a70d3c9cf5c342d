"""Count the instructions of the hot kernels with callgrind: `python bench/instructions/count.py [--update]`.

The kernels (kernels.cpp) run in their portable build, since valgrind knows no AVX-512; the counts do not depend on what
else the machine does. `--update` writes them to counts.json, with the compiler and the C library that they belong to;
tests/test_instructions.py fails when one has grown by more than 5 %.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
COUNTS = Path(__file__).with_name("counts.json")
BUILD = REPOSITORY / "build" / "instructions"
ALLOWED = 1.05


def conditions() -> dict[str, str]:
    """Return what counts depend on besides the sources."""
    compiler = os.environ.get("CXX", "c++")
    told = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return {
        "compiler": re.sub(r"^\S+ ", "", told),
        "library": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
    }


def build(folder: Path) -> Path:
    """Build the kernels in ``folder`` and return the program."""
    beside = Path(sys.executable).with_name("cmake")
    cmake = str(beside) if beside.exists() else "cmake"
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    switches = ["-DATOMCORE_TESTS=ON", "-DATOMCORE_PYTHON=OFF", "-DATOMCORE_CUDA=OFF", "-DCMAKE_BUILD_TYPE=Release"]
    switches.append(f"-DPython_EXECUTABLE={sys.executable}")
    for command in (
        [cmake, "-S", str(REPOSITORY), "-B", str(folder), *generator, *switches],
        [cmake, "--build", str(folder), "--target", "kernels", "-j2"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "kernels"


def kernels(program: Path) -> list[str]:
    """Return the names of the kernels."""
    return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.split()


def count(program: Path, kernel: str) -> int:
    """Return the number of instructions of one call of a kernel."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command += ["--toggle-collect=atomcore_measured", str(program), kernel]
    environment = {**os.environ, "ATOMCORE_ISA": "portable"}
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stderr
    found = int(re.findall(r"Collected : (\d+)", told)[-1])
    if found == 0:
        raise RuntimeError(f"callgrind has not seen atomcore_measured in {program.name} {kernel}")
    return found


def stored() -> dict:
    """Return the conditions and the counts that are kept in the repository."""
    return json.loads(COUNTS.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the counts to counts.json")
    update = parser.parse_args().update
    before = stored()["counts"] if COUNTS.exists() else {}
    program = build(BUILD)
    found = {kernel: count(program, kernel) for kernel in kernels(program)}
    for kernel, number in found.items():
        change = f"{100 * (number / before[kernel] - 1):+.1f} %" if kernel in before else "new"
        print(f"{kernel:20s} {number:>13,d}  {change}")
    if update:
        COUNTS.write_text(json.dumps({**conditions(), "counts": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
