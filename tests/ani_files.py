"""ANI networks as NeuroChem writes them, made in the test, and their energies from the published formulas."""

import bz2
from itertools import combinations, combinations_with_replacement, pairwise
from pathlib import Path

import numpy as np

ELEMENTS = ("H", "O", "C")  # not by atomic number
HARTREE = 27.211386245988
WIDTHS = {"H": (5, 3), "O": (4,), "C": (6, 2, 3)}
SELF_ENERGIES = {"H": -0.5978583943827134, "O": -75.19106774742086, "C": -38.08933878049795}
CONSTANTS = {
    "Rcr": 4.1, "Rca": 3.2, "EtaR": [11.3], "EtaA": [7.1], "Zeta": [14.1],
    "ShfR": [0.8, 1.4, 2.1], "ShfA": [0.9, 1.7], "ShfZ": [0.4, 1.2, 2.7],
}  # fmt: skip
TRAINING = {"dropout": "0", "dropset": "-nan", "maskupdate": "nan", "maxnorm": "0", "norm": "0.0", "normupdate": "nan",
            "l2norm": "1", "l2valu": "0.000001"}  # fmt: skip


def aev_length() -> int:
    n = len(ELEMENTS)
    return n * len(CONSTANTS["ShfR"]) + n * (n + 1) // 2 * len(CONSTANTS["ShfA"]) * len(CONSTANTS["ShfZ"])


def layers_of(member: int, element: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return random weights [out, in] and biases [out] of one network."""
    random = np.random.default_rng([member, ELEMENTS.index(element)])
    widths = (aev_length(), *WIDTHS[element], 1)
    return [
        (random.normal(0, 1 / np.sqrt(n), (m, n)).astype("<f4"), random.normal(0, 0.2, m).astype("<f4"))
        for n, m in pairwise(widths)
    ]


def compressed(text: str) -> bytes:
    """Return a text as an nnf file has it."""
    return f"{len(text)}=\n".encode() + bz2.compress(text.encode())


def network_text(member: int, element: str) -> str:
    lines = [f"inputsize={aev_length()};", f"atom_net {element} $"]
    layers = layers_of(member, element)
    for i, (weight, _) in enumerate(layers, 1):
        name = f"ANN-{element}.nnf-l{i}"
        used = {"nodes": len(weight), "activation": 6 if i == len(layers) else 9, "type": 0,
                "blocksize": weight.shape[1], **TRAINING, "btchnorm": 0,
                "weights": f"FILE:{name}.wparam[{weight.size}]",
                "biases": f"FILE:{name}.bparam[{len(weight)}]"}  # fmt: skip
        lines += ["layer [", *(f"{key}={value};" for key, value in used.items()), "]"]
    return "\n".join([*lines, "", "$"])


def constants_text() -> str:
    values = {key: f"[{','.join(map(repr, x))}]" if isinstance(x, list) else repr(x) for key, x in CONSTANTS.items()}
    return "\n".join(["TM = 1", *(f"{key} = {x}" for key, x in values.items()), f"Atyp = [{','.join(ELEMENTS)}]", ""])


def write_neurochem(folder: Path, members: int = 2) -> Path:
    """Write an ensemble and return its .info file."""
    (folder / "ani.params").write_text(constants_text())
    (folder / "sae.dat").write_text("".join(f"{x},{i}={SELF_ENERGIES[x]!r}\n" for i, x in enumerate(ELEMENTS)))
    (folder / "ani.info").write_text(f"ani.params\nsae.dat\ntrain\n{members}\n\n")
    for m in range(members):
        networks = folder / f"train{m}" / "networks"
        networks.mkdir(parents=True)
        for x in ELEMENTS:
            (networks / f"ANN-{x}.nnf").write_bytes(compressed(network_text(m, x)))
            for i, (weight, bias) in enumerate(layers_of(m, x), 1):
                (networks / f"ANN-{x}.nnf-l{i}.wparam").write_bytes(weight.tobytes())
                (networks / f"ANN-{x}.nnf-l{i}.bparam").write_bytes(bias.tobytes())
    return folder / "ani.info"


def energies(atoms) -> np.ndarray:
    """Return the energy of each of two networks in eV: plain loops over the atoms of a molecule."""
    symbols, positions = atoms.get_chemical_symbols(), atoms.positions
    total = np.zeros(2)
    for i, centre in enumerate(symbols):
        aev = _aev(i, symbols, positions)
        for m in range(2):
            x, layers = aev, layers_of(m, centre)
            for weight, bias in layers[:-1]:
                z = weight.astype(float) @ x + bias
                x = np.where(z > 0, z, 0.1 * np.expm1(np.minimum(z, 0) / 0.1))
            total[m] += (layers[-1][0].astype(float) @ x + layers[-1][1])[0] + SELF_ENERGIES[centre]
    return HARTREE * total


def _aev(i: int, symbols: list[str], positions: np.ndarray) -> np.ndarray:
    c = CONSTANTS
    shifts, angles = np.array(c["ShfA"])[:, None], np.array(c["ShfZ"])
    others = [j for j in range(len(symbols)) if j != i]
    edges = {j: positions[j] - positions[i] for j in others}
    r = {j: np.linalg.norm(edges[j]) for j in others}

    def cut(j, radius):
        return 0.5 * np.cos(np.pi * r[j] / radius) + 0.5 if r[j] < radius else 0.0

    radial = {x: np.zeros(len(c["ShfR"])) for x in ELEMENTS}
    for j in others:
        radial[symbols[j]] += 0.25 * np.exp(-c["EtaR"][0] * (r[j] - np.array(c["ShfR"])) ** 2) * cut(j, c["Rcr"])
    pairs = list(combinations_with_replacement(ELEMENTS, 2))
    angular = {pair: np.zeros((len(c["ShfA"]), len(c["ShfZ"]))) for pair in pairs}
    for j, k in combinations(others, 2):
        theta = np.arccos(0.95 * edges[j] @ edges[k] / (r[j] * r[k]))
        term = 2 * ((1 + np.cos(theta - angles)) / 2) ** c["Zeta"][0]
        term = term * np.exp(-c["EtaA"][0] * ((r[j] + r[k]) / 2 - shifts) ** 2) * cut(j, c["Rca"]) * cut(k, c["Rca"])
        angular[tuple(sorted((symbols[j], symbols[k]), key=ELEMENTS.index))] += term
    return np.concatenate([*radial.values(), *(block.ravel() for block in angular.values())])
