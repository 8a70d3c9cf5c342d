"""Time of many-body expansions: 16 water molecules, one to three bodies, beside mbGDML.

Energy and forces by the shared models of 500 points each (2, 8 and 48 permutations), with mbGDML's own cutoffs, on one
thread: ours by `ManyBody.compute` and, from a file, by `Potential.compute`. mbGDML runs in a process of its own, in an
environment whose interpreter ATOMCORE_MBGDML names (it needs numpy below 2), in turn with ours. Both must agree within
the rounding of these models, whose coefficients reach 1e16.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase import Atoms

from atomcore.interop.sgdml import read_many_body
from atomcore.models import ManyBody
from atomcore.potential import Potential
from common import KCAL_PER_EV, ONE_THREAD, compare, pin, report, shared

ENERGY_NOISE, FORCES_NOISE = 1e-2, 2e-2  # kcal/mol and kcal/mol/A


class Peer:
    """mbGDML in its own process."""

    def __init__(self, interpreter: str, folder: Path):
        files = [folder / f"{n}h2o.npz" for n in (1, 2, 3)] + [folder / "16h2o_dataset.npz"]
        script = Path(__file__).with_name("peers") / "evaluate_mbgdml.py"
        self._process = subprocess.Popen(
            [interpreter, str(script), *map(str, files)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )

    def predict(self, orders: int, forces: bool = False) -> list:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{orders}{' forces' if forces else ''}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def check(model: ManyBody, atoms: Atoms, peer: Peer | None, orders: int) -> Callable[[], None]:
    """Return what compares energy and forces with those of the peer."""

    def run() -> None:
        if peer is None:
            return
        energy, forces = model.energy_forces(atoms)
        found = peer.predict(orders, forces=True)
        differences = [np.abs(energy * KCAL_PER_EV - found[0][0]), np.abs(forces * KCAL_PER_EV - found[1][0]).max()]
        if not (differences[0] <= ENERGY_NOISE + 1e-8 * abs(found[0][0]) and differences[1] <= FORCES_NOISE):
            raise SystemExit(f"mbGDML and atomcore differ by {differences} kcal/mol and kcal/mol/A")

    return run


def main() -> None:
    folder = shared("data", "mbgdml_models_500")
    interpreter = os.environ.get("ATOMCORE_MBGDML")
    if interpreter is None:
        print("mbGDML is left out: ATOMCORE_MBGDML names no interpreter of an environment with it")
    pin()
    peer = None if interpreter is None else Peer(interpreter, folder)
    with np.load(shared("data", "water_mp2") / "16h2o.npz") as data:
        atoms = Atoms(data["Z"], data["R"][0])
    terms = read_many_body([folder / f"{n}h2o.npz" for n in (1, 2, 3)]).terms
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for orders in (1, 2, 3):
            model = ManyBody(terms[:orders], threads=1)
            path = Path(temporary) / f"{orders}.atomcore"
            model.save(path)
            potential = Potential.load(path, threads=1)
            peers = {} if peer is None else {"mbGDML": lambda n=orders: peer.predict(n)}
            agree = check(model, atoms, peer, orders)
            case = f"16 H2O, up to {orders} bodies"
            rows += compare(case, agree, lambda m=model: m.energy_forces(atoms), peers)
            rows += compare(f"{case}, from a file", agree, lambda p=potential: p.energy_forces(atoms), {}, seconds=1.0)
    if peer is not None:
        peer.close()
    report("many_body", rows, ("ase", "scipy"))


if __name__ == "__main__":
    main()
