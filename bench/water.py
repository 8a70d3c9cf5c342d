"""A liquid: 64 water molecules (deepmd-kit's example set), an ensemble trained by `atomcore train`.

Blocks of 20 neighbouring frames, every fourth held out. Prints errors of one network and of the mean of four, what the
noise of the labels allows, how well the spread of the four tells their errors (with a picture), and how a run under a
pressure that the training never saw is stopped.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
from ase.io import read

import atomcore as ac
from atomcore.evaluation import evaluate
from common import RESULTS, atomcore, report, shared

UNITS = "eV, Angstrom"
SETTINGS = (
    f"data.units={UNITS}",
    "split=block",
    "split.block=20",
    "split.test_every=4",
    "split.valid=0",
    "training.max_epochs=150",
    "training.batch_size=4",
    "training.validate_every=10",
    "run.threads=1",
)
MEMBERS = 4
PRESSURE = 5.0  # GPa
LIMIT = 0.3


def noise(data: ac.data.Dataset) -> str:
    """Return the noise of a force component if the net force of a frame is that of its atoms, each on its own."""
    assert data.forces is not None
    net = np.add.reduceat(data.forces, data.structure_ptr[:-1])
    return f"{np.sqrt(np.mean(net**2) / data.n_atoms[0]):.4f}"


def compress(model: Path, start: Path, folder: Path) -> list[dict[str, object]]:
    """Run under pressure until the limit stops the run; return where it was."""
    atomcore("md", str(model), str(start), "--ensemble", "npt", "--pressure", str(PRESSURE), "--barostat-time", "0.5",
             "--ps", "5", "--dt", "0.25", "--extrapolation-limit", str(LIMIT), "--output", str(folder),
             code=1)  # fmt: skip
    first, last = read(start), read(folder / "stopped.extxyz")
    return [{"limit, ranges": LIMIT, "volume when stopped": f"{last.get_volume() / first.get_volume():.3f}",
             "worst excess": f"{last.arrays['extrapolation_excess'].max():.3f}",
             "said": json.loads((folder / "metrics.json").read_text())["md"]["stopped"]}]  # fmt: skip


def main() -> None:
    path = shared("data", "deepmd_water", "deepmd_water.npz")
    data = ac.data.load(path, units=UNITS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows, seconds = [], {}
        for name, members in (("one network", 1), (f"mean of {MEMBERS}", MEMBERS)):
            where = folder / name.replace(" ", "-")
            seconds[name] = atomcore("train", f"data.path={path}", f"run.dir={where}", *SETTINGS,
                                     f"ensemble.members={members}")  # fmt: skip
            model = where / "model.atomcore"
            split = ac.data.Split.load(where / "split.json", data)
            errors = evaluate(ac.Potential.load(model, threads=1), split.test).metrics()
            rows.append({
                "model": name,
                "test energy RMSE, meV/atom": f"{1e3 * errors['energy_rmse_per_atom']:.3f}",
                "test force RMSE, eV/A": f"{errors['forces_rmse']:.4f}",
                "noise of the labels, eV/A": noise(data),
                "rank correlation of spread and force error": f"{errors.get('forces_spread_spearman', np.nan):.3f}",
                "training CPU s": f"{seconds[name]:.0f}",
            })  # fmt: skip
        report("water", rows)
        atomcore("plot", "spread", str(where), "-o", str(RESULTS / "water_spread.png"))
        split.test.subset([0]).save(folder / "start.extxyz")
        report("water_compressed", compress(model, folder / "start.extxyz", folder / "md"))


if __name__ == "__main__":
    main()
