"""Time of whole potentials: ANI-2x beside torchani, and liquid water from the list to forces and virial.

ANI-2x with random weights, float32, the uracil dimer of S22 (24 atoms), energy and forces, one network and eight: ours
by `Potential.compute` beside torchani's model (autograd, without ASE), and both by their ASE calculators. The peer runs
as installed, and tuned with a malloc that keeps what is freed.

Liquid water, 10 125 atoms, float32: the whole potential (list, features, networks, forces and virial) with the
functions and networks of n2p2's water potential and with one network of ANI-2x; structures that are evaluated anew, and
a structure that moves, whose list is kept. Figures are atom-steps a second, on one thread and two.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from atomcore import Calculator
from atomcore.interop.ani import read_torchani
from atomcore.interop.n2p2 import read_model
from atomcore.potential import Evaluator, Potential
from common import KEEP_MEMORY, ONE_THREAD, compare, report, shared
from systems import uracil_dimer, water_box

PEERS = ("torch", "torchani")
SETTINGS: dict[str, dict[str, str]] = {"as installed": {}, "tuned": KEEP_MEMORY}
SIDE = 15  # water molecules along an edge
TOLERANCE = 2e-5  # of float32 forces, over the largest

Row = dict[str, object]


def torchani_model(members: int) -> Any:
    """Return ANI-2x of torchani with random weights; the trained ones are not on every machine."""
    import torch
    from torchani.arch import Assembler

    torch.manual_seed(0)
    torch.set_num_threads(1)
    assembler = Assembler(periodic_table_index=True)
    assembler.set_symbols(("H", "C", "N", "O", "S", "F", "Cl"))
    assembler.set_global_cutoff_fn("cosine")
    assembler.set_aev_computer(radial="ani2x", angular="ani2x", strategy="pyaev")
    assembler.set_atomic_networks(ctor="ani2x")
    assembler.set_neighborlist("all_pairs")
    assembler.set_gsaes_as_self_energies("wb97x-631gd")
    model = assembler.assemble(max(members, 2))
    return (model if members > 1 else model[0]).requires_grad_(False).to(torch.float32)


def write_ani2x(peer: Any, path: Path) -> Path:
    """Write the networks of the peer as a model file."""
    import torch

    state = path.with_suffix(".pt")
    torch.save(peer.state_dict(), state)
    read_torchani(state, model="ani2x").save(path)
    return path


class TorchAni:
    """Energy and forces by torchani's model under autograd, in eV and eV/A."""

    def __init__(self, model: Any, atoms: Atoms) -> None:
        import torch
        from torchani.units import HARTREE_TO_EV

        self.torch, self.model, self.unit = torch, model, float(HARTREE_TO_EV)
        self.numbers = torch.tensor(atoms.numbers)[None]
        self.positions = torch.tensor(atoms.positions, dtype=torch.float32)[None]

    def __call__(self) -> tuple[float, np.ndarray]:
        positions = self.positions.clone().requires_grad_(True)
        energy = self.model((self.numbers, positions)).energies
        (gradient,) = self.torch.autograd.grad(energy.sum(), positions)
        return self.unit * float(energy[0]), -self.unit * gradient[0].numpy()


class ByCalculator:
    """Energy and forces by an ASE calculator, of a structure that moves a little with every call."""

    def __init__(self, calculator: Any, atoms: Atoms) -> None:
        self.atoms, self.start = atoms.copy(), atoms.positions.copy()
        self.atoms.calc = calculator
        self.moves = np.random.default_rng(0).normal(scale=0.01, size=(16, *self.start.shape))
        self.calls = 0

    def __call__(self) -> tuple[float, np.ndarray]:
        self.atoms.positions = self.start + self.moves[self.calls % len(self.moves)]
        self.calls += 1
        return self.atoms.get_potential_energy(), self.atoms.get_forces()


def check(ours: tuple[float, np.ndarray], theirs: tuple[float, np.ndarray]) -> None:
    """Raise unless energies and forces agree as far as single precision goes."""
    apart = np.abs(ours[1] - theirs[1]).max() / np.abs(theirs[1]).max()
    if not (apart <= TOLERANCE and abs(ours[0] - theirs[0]) <= 1e-3 * len(ours[1])):
        raise SystemExit(f"the codes do not compute the same: energies {ours[0]} and {theirs[0]}, forces {apart} apart")


def molecule_rows(setting: str, folder: Path) -> list[Row]:
    """Time ANI-2x on one molecule beside torchani in one of its settings."""
    rows: list[Row] = []
    atoms = uracil_dimer()
    for members in (1, 8):
        model = torchani_model(members)
        path = write_ani2x(model, folder / f"{members}.atomcore")
        potential = Potential.load(path, precision="float32", threads=1)
        theirs, what = TorchAni(model, atoms), f"ANI-2x, {members} network{'s' * (members > 1)}, 24 atoms"
        check(potential.energy_forces(atoms), theirs())
        name = f"torchani {setting}"
        rows += compare(f"{what}: model", lambda: None, lambda: potential.energy_forces(atoms), {name: theirs})  # noqa: B023
        own, other = ByCalculator(Calculator(potential), atoms), ByCalculator(model.ase(), atoms)
        rows += compare(f"{what}: ASE calculator", lambda: check(own(), other()), own, {name: other})  # noqa: B023
    return rows


def water_rows(folder: Path) -> list[Row]:
    """Measure atom-steps a second of whole potentials on liquid water."""
    atoms = water_box(SIDE)
    moves = np.random.default_rng(0).normal(scale=0.005, size=(16, *atoms.positions.shape))
    n2p2 = folder / "n2p2.atomcore"
    read_model(shared("data", "n2p2_h2o_rpbe_d3"), "hartree, bohr").save(n2p2)
    ani = write_ani2x(torchani_model(1), folder / "ani.atomcore")
    rows: list[Row] = []
    for what, path in (("n2p2's functions", n2p2), ("ANI-2x, 1 network", ani)):
        for threads in (1, 2):
            potential = Potential.load(path, precision="float32", threads=threads)
            evaluator, start, calls = Evaluator(potential), atoms.positions.copy(), [0]

            def moved() -> Atoms:
                calls[0] += 1  # noqa: B023
                atoms.positions = start + moves[calls[0] % len(moves)]  # noqa: B023
                return atoms

            names = ("energy", "forces", "stress")
            cases = {
                "anew": lambda: potential.compute(moved(), names),  # noqa: B023
                "moving": lambda: evaluator.compute(moved(), names),  # noqa: B023
            }
            for case, call in cases.items():
                (row,) = compare(
                    f"water, {what}, {case}, {threads} thread{'s' * (threads > 1)}",
                    lambda: None, call, {}, cpus=threads, seconds=8.0,
                )  # fmt: skip
                seconds = 1e-6 * float(str(row["atomcore, us"]).split()[0])
                rows.append(row | {"atom-steps/s": f"{len(atoms) / seconds:.0f}"})
            atoms.positions = start
    return rows


def of_every_setting(
    script: str, rows_of_peer: Callable[[str, Path], list[Row]], own_rows: Callable[[Path], list[Row]]
) -> list[Row] | None:
    """Measure everything, each setting of the peer in a process of its own, in which this returns None."""
    if len(sys.argv) > 1 and sys.argv[1] == "--part":
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(rows_of_peer(sys.argv[2], Path(folder))))
        return None
    rows: list[Row] = []
    for setting, environment in SETTINGS.items():
        command = [sys.executable, script, "--part", setting]
        done = subprocess.run(
            command, env=os.environ | ONE_THREAD | environment, check=True, stdout=subprocess.PIPE, text=True
        )
        rows += json.loads(done.stdout.splitlines()[-1])
    with tempfile.TemporaryDirectory() as folder:
        rows += own_rows(Path(folder))
    return rows


def main() -> None:
    """Measure and write the results."""
    rows = of_every_setting(__file__, molecule_rows, water_rows)
    if rows is None:
        return
    for row in rows:
        row.setdefault("atom-steps/s", "")
    report("potential", rows, PEERS)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
