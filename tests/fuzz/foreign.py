"""Tiny models of other codes, which the fuzzing of converters starts from: water that was trained on nothing."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from atomcore.interop.sgdml import write_model_file
from fuzz.mutations import Files, packed_nnf
from sgdml_files import random_model

_N_FEATURES = 7  # of the ANI features below: 2 elements x 2 shifts, 3 pairs
_WIDTHS = (_N_FEATURES, 3, 1)
_PARAMS = """DESC = ANI_NORMAL
TM = 1
Rcr = 5.1000e+00
Rca = 3.5000e+00
EtaR = [1.9700000e+01]
ShfR = [8.0000000e-01,2.4000000e+00]
Zeta = [1.4100000e+01]
ShfZ = [3.9269908e-01]
EtaA = [1.2500000e+01]
ShfA = [8.0000000e-01]
Atyp = [H,O]
"""


def _nnf(element: str, member: int) -> Files:
    random = np.random.default_rng([member, ord(element)])
    text, files = f"inputsize={_N_FEATURES};\natom_net {element} $\n", {}
    for layer, (inputs, outputs) in enumerate(pairwise(_WIDTHS), 1):
        name = f"ANN-{element}.nnf-l{layer}"
        text += (
            f"layer [\nnodes={outputs};\nactivation={9 if layer < 2 else 6};\ntype=0;\nblocksize={inputs};\n"
            f"l2norm=1;\nl2valu=-nan;\nbtchnorm=0;\nweights=FILE:{name}.wparam[{inputs * outputs}];\n"
            f"biases=FILE:{name}.bparam[{outputs}];\n]\n"
        )
        files[f"{name}.wparam"] = random.normal(size=inputs * outputs).astype("<f4").tobytes()
        files[f"{name}.bparam"] = random.normal(size=outputs).astype("<f4").tobytes()
    files[f"ANN-{element}.nnf"] = packed_nnf((text + "$\n").encode())
    return {f"train{member}/networks/{name}": content for name, content in files.items()}


def neurochem() -> Files:
    """Return an ensemble of two networks in the format of NeuroChem."""
    files = {
        "water.info": b"water.params\nsae.dat\ntrain\n2\n",
        "water.params": _PARAMS.encode(),
        "sae.dat": b"H,0=-0.59\nO,1=-75.1\n",
    }
    for member in range(2):
        for element in "HO":
            files |= _nnf(element, member)
    return files


def torchani() -> Files:
    """Return a state dict of two networks; needs torch."""
    import io

    import torch

    random = np.random.default_rng(4)
    conversion = np.full(120, -1)
    conversion[[1, 8]] = [0, 1]
    state = {
        "atomic_numbers": np.array([1, 8]),
        "species_converter.conv_tensor": conversion,
        "energy_shifter.self_energies": np.array([-0.5, -75.0]),
        "potentials.nnp.aev_computer.triu_index": np.array([[0, 1], [1, 2]]),
    }
    constants = {"radial.eta": [[19.7]], "radial.shifts": [[0.8, 2.4]], "angular.eta": [12.5], "angular.zeta": [14.1],
                 "angular.shifts": [0.8], "angular.sections": [0.39]}  # fmt: skip
    state |= {f"potentials.nnp.aev_computer.{name}": np.float32(values) for name, values in constants.items()}
    for member in range(2):
        for element in "HO":
            prefix = f"potentials.nnp.neural_networks.members.{member}.atomics.{element}"
            for name, (inputs, outputs) in zip(("layers.0", "final_layer"), pairwise(_WIDTHS), strict=True):
                state[f"{prefix}.{name}.weight"] = random.normal(size=(outputs, inputs)).astype(np.float32)
                state[f"{prefix}.{name}.bias"] = random.normal(size=outputs).astype(np.float32)
    stream = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, stream)
    return {"water.pt": stream.getvalue()}


def sgdml(folder: Path) -> Files:
    """Return a model of sGDML, of a crystal."""
    path = folder / "crystal.npz"
    write_model_file(random_model(constraints=True, lattice=True), path, dialect="sgdml")
    return {path.name: path.read_bytes()}


def mbgdml(folder: Path) -> Files:
    """Return models of mbGDML, of a molecule and of pairs of it."""
    one = replace(random_model(), entity_ids=np.zeros(3, int), comp_ids=("h2o",), order=1)
    random = np.random.default_rng(8)
    two = replace(
        one,
        numbers=np.array([8, 1, 1, 8, 1, 1]),
        descriptors=random.uniform(0.2, 1.0, (2, 15)),
        derivative_coefficients=random.normal(size=(2, 15)),
        coefficients=random.normal(size=36),
        permutations=np.array([[0, 1, 2, 3, 4, 5], [3, 4, 5, 0, 1, 2]]),
        train_indices=np.arange(2),
        entity_ids=np.repeat([0, 1], 3),
        comp_ids=("h2o", "h2o"),
        order=2,
        criterion="cm_distance_sum",
        cutoff=6.0,
    )
    for name, model in (("one.npz", one), ("two.npz", two)):
        write_model_file(model, folder / name, dialect="mbgdml")
    return {name: (folder / name).read_bytes() for name in ("one.npz", "two.npz")}


_FUNCTIONS = """
symfunction_short H 2 H 0.1 0.0 8.0
symfunction_short H 3 O H 0.05 1.0 1.0 7.0
symfunction_short H 20 O 1.0 6.0 p2
symfunction_short O 2 H 0.1 0.5 8.0
symfunction_short O 9 H H 0.05 -1.0 4.0 7.0
symfunction_short O 12 0.3 0.0 6.0
"""
_INPUT = f"""number_of_elements 2  # of water
elements O H
atom_energy H -0.45
cutoff_type 6 0.1
scale_symmetry_functions
center_symmetry_functions
scale_min_short 0.0
scale_max_short 1.0
global_hidden_layers_short 2
global_nodes_short 3 2
global_activation_short t p l
mean_energy -25.5
conv_energy 242.6
conv_length 5.8
epochs 10
{_FUNCTIONS}"""


def n2p2() -> Files:
    """Return a folder of n2p2."""
    random = np.random.default_rng(5)
    scaling = "".join(f" {e} {s} 0.01 {0.5 + 0.1 * s} 0.2 0.1\n" for e in (1, 2) for s in (1, 2, 3))
    files = {"input.nn": _INPUT.encode(), "scaling.data": f"# scaling\n{scaling}".encode()}
    for number in (1, 8):
        letters = "".join("a" * inputs * outputs + "b" * outputs for inputs, outputs in pairwise((3, 3, 2, 1)))
        lines = "".join(f" {random.normal():.16E} {letter} 1 0 1 1 1\n" for letter in letters)
        files[f"weights.{number:03d}.data"] = f"# weights\n{lines}".encode()
    return files


FORMATS: dict[str, Callable[[Path], Files]] = {
    "n2p2": lambda _: n2p2(),
    "neurochem": lambda _: neurochem(),
    "torchani": lambda _: torchani(),
    "sgdml": sgdml,
    "mbgdml": mbgdml,
}
