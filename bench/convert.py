"""Time of converted models: ANI-2x beside torchani, and n2p2's water potential beside the same networks made here.

ANI-2x is torchani's with random weights, converted from its state dict: energy and forces in single precision of the
uracil dimer of S22 (24 atoms) and of a batch of 32 complexes of 15 to 30 atoms, with one network and with two; torchani
by its model under autograd, the batch padded. It runs as installed, and tuned with a malloc that keeps what is freed.

n2p2's water potential, converted from its folder, on 10 125 atoms of liquid water with forces and virial, beside one of
the same functions and sizes that was made here: conversion must cost nothing.
"""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from atomcore.interop.convert import convert
from atomcore.interop.networks import NetworkModel
from atomcore.potential import Potential
from common import compare, report, shared
from potential import (
    PEERS,
    SIDE,
    TOLERANCE,
    Row,
    TorchAni,
    check,
    of_every_setting,
    torchani_model,
    write_ani2x,
)
from systems import s22_batch, uracil_dimer, water_box

BATCH = 32


class TorchAniBatch:
    """Forces of several molecules by torchani's model under autograd, padded with atoms that are none."""

    def __init__(self, model: Any, batch: list[Atoms]) -> None:
        import torch
        from torchani.units import HARTREE_TO_EV

        self.torch, self.model, self.unit = torch, model, float(HARTREE_TO_EV)
        most = max(len(atoms) for atoms in batch)
        numbers, positions = np.full((len(batch), most), -1), np.zeros((len(batch), most, 3), np.float32)
        for i, atoms in enumerate(batch):
            numbers[i, : len(atoms)], positions[i, : len(atoms)] = atoms.numbers, atoms.positions
        self.numbers, self.positions = self.torch.tensor(numbers), self.torch.tensor(positions)
        self.present = numbers >= 0

    def __call__(self) -> np.ndarray:
        positions = self.positions.clone().requires_grad_(True)
        energy = self.model((self.numbers, positions)).energies
        (gradient,) = self.torch.autograd.grad(energy.sum(), positions)
        return -self.unit * gradient.numpy()[self.present]


def ani_rows(setting: str, folder: Path) -> list[Row]:
    """Time converted ANI-2x beside torchani in one of its settings."""
    rows: list[Row] = []
    molecule, batch = uracil_dimer(), s22_batch(BATCH)
    for members in (1, 2):
        model = torchani_model(members)
        potential = Potential.load(write_ani2x(model, folder / f"{members}.atomcore"), precision="float32", threads=1)
        what, name = f"ANI-2x, {members} network{'s' * (members > 1)}", f"torchani {setting}"
        one, many = TorchAni(model, molecule), TorchAniBatch(model, batch)
        check(potential.energy_forces(molecule), one())
        rows += compare(f"{what}, 24 atoms", lambda: None, lambda: potential.energy_forces(molecule), {name: one})  # noqa: B023

        def ours() -> np.ndarray:
            results = potential.compute_batch(batch, ("energy", "forces"))  # noqa: B023
            return np.concatenate([values["forces"] for values in results])

        forces = many()
        if not np.abs(ours() - forces).max() <= TOLERANCE * np.abs(forces).max():
            raise SystemExit("the codes do not compute the same forces of the batch")
        rows += compare(f"{what}, {BATCH} molecules", lambda: None, ours, {name: many})
    return rows


def water_rows(folder: Path) -> list[Row]:
    """Time n2p2's water potential beside one of the same functions that was made here."""
    convert(shared("data", "n2p2_h2o_rpbe_d3"), folder / "n2p2.atomcore", units="hartree, bohr")
    converted = NetworkModel.read(folder / "n2p2.atomcore")
    random = np.random.default_rng(0)
    networks = [
        {
            x: [(random.normal(0, w.shape[1] ** -0.5, w.shape), random.normal(0, 0.1, b.shape)) for w, b in layers]
            for x, layers in converted.networks[0].items()
        }
    ]
    dataclasses.replace(converted, networks=networks).save(folder / "own.atomcore")
    atoms = water_box(SIDE)
    names = ("energy", "forces", "stress")
    ours, own = (
        Potential.load(folder / f"{name}.atomcore", precision="float32", threads=1) for name in ("n2p2", "own")
    )
    return compare(
        f"water of n2p2, {len(atoms)} atoms",
        lambda: None,
        lambda: ours.compute(atoms, names),
        {"made here": lambda: own.compute(atoms, names)},
        seconds=16.0,
    )


def main() -> None:
    """Measure and write the results."""
    rows = of_every_setting(__file__, ani_rows, water_rows)
    if rows is not None:
        report("convert", rows, PEERS)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    main()
