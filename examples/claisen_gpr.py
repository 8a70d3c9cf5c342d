"""A sparse Gaussian process on symmetry functions for the Claisen rearrangement: total energies and forces.

    OMP_NUM_THREADS=1 python examples/claisen_gpr.py claisen.npz

The full matrix of all labels would take 42 GB; inducing atoms take what is printed. Kernels are between atoms of one
element, so that the order of atoms does not matter.
"""

import argparse
import logging

import numpy as np

import atomcore
from atomcore.features import Compact
from atomcore.kernels import RBF
from atomcore.models import GaussianProcess

KCAL_PER_EV = 23.060548


def train(data: atomcore.data.Dataset, inducing: int, progress: bool = False) -> GaussianProcess:
    """Return the process trained on energies and forces.

    The noise is what the inducing atoms leave of the labels, more than that of the labels themselves, which a search
    on few frames would find; the length, long against the scatter of the features (5), was chosen on training frames.
    """
    model = GaussianProcess(
        RBF(35.0, variance=10.0),
        features=Compact(data.elements),
        search=None,
        noise=3e-4,
        gradient_noise=5e-3,
        inducing=inducing,
        selection="random",
        jitter=1e-12,
    )
    return model.fit(data, progress=progress)


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="frames with energies and forces in eV and Angstrom")
    parser.add_argument("--frames", type=int, help="train on so many only")
    parser.add_argument("--inducing", type=int, default=12000)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    split = atomcore.data.load(given.data, units="eV, Angstrom").split(test=0.2, seed=1)
    frames = split.train
    if given.frames:
        frames = frames.subset(np.random.default_rng(0).permutation(len(frames))[: given.frames])
    model = train(frames, given.inducing, progress=True)
    energy, forces = model.predict(split.test, derivatives=True)
    errors = {
        "energy": KCAL_PER_EV * float(np.sqrt(np.mean((energy - split.test.energy) ** 2))),
        "forces": KCAL_PER_EV * float(np.sqrt(np.mean((forces - split.test.forces) ** 2))),
    }
    print(f"{len(frames)} frames, {given.inducing} inducing atoms, {model.kernel_}, noise {model.noise_:.1e} eV and "
          f"{model.gradient_noise_:.1e} eV/A")  # fmt: skip
    print(f"test: energy RMSE {errors['energy']:.3f} kcal/mol, forces {errors['forces']:.3f} kcal/mol/A")
    return errors


if __name__ == "__main__":
    main()
