"""A crystal with stress: silicon (mlearn, PBE), trained by `atomcore train` on energies, forces and stress.

Prints errors on the published test set, elastic constants and lattice constant beside those of the set's DFT, and what
a run at constant pressure gives. The stress labels of all frames but the group "Elastic" have their last two numbers
in another order than the set says (xz, yz): in these frames each agrees with the forces of its neighbour's shear. The
benchmark shows that with a model trained without stress, puts them in order and trains with them.
"""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from ase.eos import EquationOfState
from ase.io import read, write
from ase.units import GPa

import atomcore as ac
from atomcore.evaluation import evaluate
from common import RESULTS, atomcore, report, shared

LABELS = {"stress_key": "vasp_stress_kbar_xx_yy_zz_xy_yz_xz", "stress_convention": "vasp"}
SETTINGS = (
    "features=ani",
    "split.valid=0",
    "split.test=0",
    "training.batch_size=4",
    "training.validate_every=50",
    "run.threads=1",
)
WITH_STRESS = ("training.max_epochs=300", "loss.stress_weight=10", "ensemble.members=4")
WITHOUT_STRESS = ("training.max_epochs=200",)
SWAPPED = [0, 1, 2, 4, 3, 5]
LATTICE_CONSTANT = 5.4687  # A, of the set's unstrained cell, whose stress is zero
SHEARS = {3: (1, 2), 4: (0, 2), 5: (0, 1)}  # yz, xz, xy in the order of stress
SMALL = 0.025  # strains that elastic constants are taken from


def load(part: str) -> tuple[ac.data.Dataset, np.ndarray]:
    """Return one part of the set and the group of each frame."""
    path = shared("data", "si_mlearn", f"Si_{part}.extxyz")
    return ac.data.load(path, duplicates="keep", **LABELS), np.array([a.info["group"] for a in read(path, ":")])


def in_order(data: ac.data.Dataset, groups: np.ndarray) -> ac.data.Dataset:
    """Exchange yz and xz of the stress of all frames but the elastic ones."""
    assert data.stress is not None
    return replace(data, stress=np.where(groups[:, None] == "Elastic", data.stress, data.stress[:, SWAPPED]))


def shear_rows(potential: Any, data: ac.data.Dataset, groups: np.ndarray) -> list[dict[str, object]]:
    """Tell for each group how the shear stress of a model correlates with the labels as given and exchanged."""
    assert data.stress is not None
    predicted = np.array([potential.compute(atoms, ["stress"])["stress"] for atoms in data])
    rows = []
    for group in sorted(set(groups)):
        of_group = groups == group
        for name, order in (("as the set says", list(range(6))), ("yz and xz exchanged", SWAPPED)):
            labels = data.stress[of_group][:, order]
            error = np.sqrt(np.mean((predicted[of_group][:, 3:5] - labels[:, 3:5]) ** 2))
            together = np.corrcoef(predicted[of_group][:, 3:5].ravel(), labels[:, 3:5].ravel())[0, 1]
            rows.append({"group": group, "order": name, "correlation of yz, xz": f"{together:.3f}",
                         "RMSE, GPa": f"{error / GPa:.3f}"})  # fmt: skip
    return rows


def elastic_constants(strains: list[np.ndarray], stresses: list[np.ndarray]) -> dict[str, float]:
    """Return C11, C12, C44 and the bulk modulus in GPa by least squares over the smallest strains of each kind."""
    axial, shear = [], []
    for strain, stress in zip(strains, stresses, strict=True):
        symmetric = 0.5 * (strain + strain.T)
        along = np.flatnonzero(np.abs(np.diag(symmetric)) > 1e-2)
        across = [k for k, pair in SHEARS.items() if abs(symmetric[pair]) > 1e-2]
        if len(along) == 1 and not across and np.abs(symmetric).max() < SMALL:
            axial.append((symmetric[along[0], along[0]], np.roll(stress[:3], -along[0])))
        elif across and np.abs(symmetric).max() < SMALL:
            shear.append((2 * symmetric[SHEARS[across[0]]], stress[across[0]]))

    def slope(pairs: list[tuple[float, Any]]) -> Any:
        x, y = (np.array(values) for values in zip(*pairs, strict=True))
        return x @ y / (x @ x) / GPa

    c11, *others = slope(axial)
    c12 = float(np.mean(others))
    return {"C11": c11, "C12": c12, "C44": slope(shear), "bulk modulus": (c11 + 2 * c12) / 3}


def elastic_rows(potential: Any, data: ac.data.Dataset, groups: np.ndarray) -> list[dict[str, object]]:
    """Compare elastic constants and the equation of state with what the set's own strained cells give."""
    assert data.stress is not None
    frames = [(atoms, data.stress[i]) for i, atoms in enumerate(data) if groups[i] == "Elastic"]
    strains = [np.asarray(atoms.cell) / (2 * LATTICE_CONSTANT) - np.eye(3) for atoms, _ in frames]
    dft = elastic_constants(strains, [stress for _, stress in frames])
    model = elastic_constants(strains, [potential.compute(atoms, ["stress"])["stress"] for atoms, _ in frames])
    crystals = [bulk("Si", "diamond", a=LATTICE_CONSTANT * x) for x in np.linspace(0.985, 1.015, 9)]
    state = EquationOfState([a.get_volume() for a in crystals], [potential.energy_forces(a)[0] for a in crystals],
                            eos="birchmurnaghan")  # fmt: skip
    volume, _, modulus = state.fit()
    rows: list[dict[str, object]] = []
    for name in dft:
        rows.append({"quantity": f"{name}, GPa", "DFT of the set": f"{dft[name]:.1f}", "model": f"{model[name]:.1f}"})
    lattice = {"DFT of the set": LATTICE_CONSTANT, "model": f"{(4 * volume) ** (1 / 3):.4f}"}
    return [*rows, {"quantity": "lattice constant, A", **lattice},
            {"quantity": "bulk modulus from energies, GPa", "DFT of the set": "-",
             "model": f"{modulus / GPa:.1f}"}]  # fmt: skip


def constant_pressure(model: Path, folder: Path) -> list[dict[str, object]]:
    """Run 20 ps at 300 K and no pressure, and return means over the second half."""
    write(folder / "start.extxyz", bulk("Si", "diamond", a=LATTICE_CONSTANT, cubic=True) * (2, 2, 2))
    atomcore("md", str(model), str(folder / "start.extxyz"), "--ensemble", "npt", "--ps", "20", "--dt", "1",
        "--temperature", "300", "--output", str(folder / "npt"))  # fmt: skip
    table = np.genfromtxt(folder / "npt" / "energies.csv", delimiter=",", names=True)
    half = table[len(table) // 2 :]
    volume = half[next(name for name in table.dtype.names if name.startswith("volume"))]
    temperature = half[next(name for name in table.dtype.names if name.startswith("temperature"))]
    lattice = (volume / 8) ** (1 / 3)
    return [{"temperature, K": f"{temperature.mean():.0f}", "lattice constant, A": f"{lattice.mean():.4f}",
             "its fluctuation": f"{lattice.std():.4f}", "DFT at 0 K": LATTICE_CONSTANT}]  # fmt: skip


def main() -> None:
    data, groups = load("training")
    test, test_groups = load("test")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        in_order(data, groups).save(folder / "silicon.npz")
        common = (f"data.path={folder / 'silicon.npz'}", *SETTINGS)
        atomcore("train", f"run.dir={folder / 'plain'}", *common, *WITHOUT_STRESS)
        plain = ac.Potential.load(folder / "plain" / "model.atomcore", threads=1)
        report("silicon_stress_order", shear_rows(plain, data, groups))

        seconds = atomcore("train", f"run.dir={folder / 'stress'}", *common, *WITH_STRESS)
        path = folder / "stress" / "model.atomcore"
        potential = ac.Potential.load(path, threads=1)
        metrics = {"training": json.loads((folder / "stress" / "metrics.json").read_text())["train"]}
        predicted = evaluate(potential, in_order(test, test_groups))
        metrics["test"] = predicted.metrics()
        RESULTS.mkdir(exist_ok=True)
        ac.plot.spread(predicted, RESULTS / "silicon_spread.png")
        report("silicon", [
            {"part": part, "energy RMSE, meV/atom": f"{1e3 * errors['energy_rmse_per_atom']:.2f}",
             "force RMSE, eV/A": f"{errors['forces_rmse']:.4f}",
             "stress RMSE, GPa": f"{errors['stress_rmse'] / GPa:.3f}",
             "rank correlation of spread and force error": f"{errors['forces_spread_spearman']:.3f}",
             "training CPU s": f"{seconds:.0f}"}
            for part, errors in metrics.items()
        ])  # fmt: skip
        report("silicon_elastic", elastic_rows(potential, data, groups))
        report("silicon_npt", constant_pressure(path, folder))


if __name__ == "__main__":
    main()
