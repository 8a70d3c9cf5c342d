"""ANI networks of TorchANI: state dicts, as ``torch.save`` or safetensors write them."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore.features import ANI
from atomcore.interop.ani._networks import CELU, IDENTITY, Layer, check_hartree, network_model
from atomcore.interop.networks import NetworkModel

HARTREE = 27.211386024367243  # eV, TorchANI's own
_MODELS = {"ani1x": ANI.ani1x, "ani1ccx": ANI.ani1x, "ani2x": ANI.ani2x}
_NAMED = re.compile(rf"(?<![a-z0-9])({'|'.join(_MODELS)})(?![a-z0-9])")

_PREFIX = re.compile(r"potentials\.(nnp|2)\.")
_NETWORKS = re.compile(
    r"neural_networks\.(?:members\.)?(?:(\d{1,4})\.)?(?:atomics\.)?([A-Z][a-z]?)\."
    r"(?:layers\.(\d{1,4})|(\d{0,3}[02468])|final_layer)\.(weight|bias)"
)
_BUFFERS = {  # of the features, now and in older versions: as ANI calls them
    "radial.eta": "radial_eta",
    "radial.shifts": "radial_shifts",
    "angular.eta": "angular_eta",
    "angular.zeta": "zeta",
    "angular.shifts": "angular_shifts",
    "angular.sections": "angles",
    "EtaR": "radial_eta",
    "ShfR": "radial_shifts",
    "EtaA": "angular_eta",
    "Zeta": "zeta",
    "ShfA": "angular_shifts",
    "ShfZ": "angles",
}
_LISTS = ("radial_shifts", "angular_shifts", "angles")
_IGNORED = ("aev_computer.triu_index", "aev_computer.default_shifts", "aev_computer.default_cell")
_MOST_SHIFTS = 1000
_TYPES = ("float32", "float64", "int64", "int32")
_REFUSED = {  # parts of a key: what they belong to
    "repulsion": "a repulsion beside the networks",
    "dispersion": "a dispersion beside the networks",
    "potentials.": "a potential beside the networks",
    "charge": "networks of charges",
}
_SAME = 1e-6  # relative, constants in single precision beside those of a model known by name


def read_torchani(
    path: str | os.PathLike,
    *,
    model: str | None = None,
    cutoffs: Sequence[float] | None = None,
    hartree: float = HARTREE,
) -> NetworkModel:
    """Read the state dict of an ANI model of TorchANI 1 or 2.

    Parameters
    ----------
    path : path
        A ``.pt`` file, which needs torch and is read without running anything in it, or a ``.safetensors`` file.
    model : {"ani1x", "ani1ccx", "ani2x"}, optional
        Which model it is: a state dict has no cutoff radii. By default what the name of the file says.
    cutoffs : pair of float, optional
        Radial and angular cutoff in A in place of a name, for networks with the CELU and the cosine cutoff of these
        models, which a state dict does not tell either.
    hartree : float
        In eV; 1 in the file.

    Returns
    -------
    NetworkModel
        In eV and Angstrom, without ranges of the features, which the format does not have.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    AtomcoreError
        It is damaged, or has a tensor that is not known here; the message names file and tensor.
    ValueError
        Neither `model`, `cutoffs` nor the name of the file says which model it is, or its constants are others.
    ModuleNotFoundError
        torch is needed and not installed.
    """
    check_hartree(hartree, HARTREE)
    file = Path(path)
    known = _known_as(file, model, cutoffs)
    state = _StateDict(file)
    elements = state.elements()
    constants = state.constants()
    if known is not None:
        _check_constants(file, known, constants)
    radial, angular = (_MODELS[known]().table[i]["cutoff"] for i in (0, -1)) if known else (cutoffs or ())
    try:
        features = ANI(elements, radial_cutoff=radial, angular_cutoff=angular, **constants)
    except ValueError as error:
        raise AtomcoreError(f"{file.name} makes no sense: {error}") from error
    members = state.networks(elements, features.n_features)
    energies = state.numbers("energy_shifter.self_energies", len(elements))
    provenance = {"converted": "TorchANI", "source": f"{file.name}{f', {known}' if known else ''}"}
    return network_model(features, members, energies, hartree, provenance)


def _known_as(file: Path, model: str | None, cutoffs: Sequence[float] | None) -> str | None:
    """Return which model it is, None where the cutoffs say it all."""
    if model is not None and cutoffs is not None:
        raise ValueError("model and cutoffs are given; accepted: one of them")
    if cutoffs is not None:
        if len(cutoffs) != 2 or not all(np.isfinite(r) and r > 0 for r in cutoffs):
            raise ValueError(f"cutoffs is {cutoffs!r}; accepted: the radial and the angular radius in A")
        return None
    if model is not None:
        if model not in _MODELS:
            raise ValueError(f"model is {model!r}; accepted: {', '.join(_MODELS)}, or cutoffs")
        return model
    named = _NAMED.search(file.stem.lower())
    if named is None:
        raise ValueError(
            f"model is missing: a state dict has no cutoff radii, and the name {file.name} does not say which model "
            f"it is; accepted: {', '.join(_MODELS)}, or cutoffs"
        )
    return named[1]


def _check_constants(file: Path, known: str, constants: Mapping[str, Any]) -> None:
    """Raise unless the constants are those of the model of this name."""
    functions = _MODELS[known]()
    radial = [row for row in functions.table if row["type"] == "radial"]
    angular = [row for row in functions.table if row["type"] == "ani"]
    expected = {
        "radial_eta": radial[0]["eta"],
        "radial_shifts": list(dict.fromkeys(row["shift"] for row in radial)),
        "angular_eta": angular[0]["eta"],
        "zeta": angular[0]["zeta"],
        "angular_shifts": list(dict.fromkeys(row["shift"] for row in angular)),
        "angles": list(dict.fromkeys(row["theta"] for row in angular)),
    }
    for name, value in expected.items():
        if np.shape(constants[name]) != np.shape(value) or not np.allclose(constants[name], value, rtol=_SAME, atol=0):
            raise ValueError(
                f"model is {known!r}, but {file.name} has {name} {constants[name]} where that has {value}; accepted: "
                "the right name, or cutoffs"
            )


class _StateDict:
    """The tensors of a file under their present names, each of them known."""

    def __init__(self, file: Path) -> None:
        self._name = file.name
        self._layers: dict[tuple[str, str], dict[str, np.ndarray]] = {}  # by member and element
        self._arrays: dict[str, np.ndarray] = {}
        for key, array in _arrays(file):
            self._add(key, _PREFIX.sub("", key, count=1), array)

    def _add(self, key: str, name: str, array: np.ndarray) -> None:
        network = _NETWORKS.fullmatch(name)
        plain = name.removeprefix("aev_computer.")
        if network is not None:
            member, element, number, counted, part = network.groups()
            # older versions count the activations between the layers, too
            position = str(int(counted) // 2) if counted else number or "final"
            self._store(key, self._layers.setdefault((member or "0", element), {}), f"{position}.{part}", array)
        elif plain != name and plain in _BUFFERS:
            self._store(key, self._arrays, _BUFFERS[plain], array)
        elif name in ("atomic_numbers", "species_converter.conv_tensor", "energy_shifter.self_energies"):
            self._store(key, self._arrays, name, array)
        elif name not in _IGNORED:
            reason = next((f", {what}" for part, what in _REFUSED.items() if part in name), "")
            raise AtomcoreError(f"{self._name} has {key!r}{reason}; accepted: ANI networks and nothing beside them")

    def _store(self, key: str, place: dict[str, np.ndarray], name: str, array: np.ndarray) -> None:
        if name in place:
            raise AtomcoreError(f"{self._name} has {key!r} twice, by another name too")
        place[name] = array

    def _array(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            raise AtomcoreError(f"{self._name} has no {name}; accepted: state dicts of ANI models")
        return self._arrays[name]

    def numbers(self, name: str, count: int | None = None) -> list[float]:
        """Return the finite numbers of a small tensor."""
        array = self._array(name)
        if array.dtype.kind != "f" or not (array.size == count if count else 1 <= array.size <= _MOST_SHIFTS):
            raise AtomcoreError(
                f"{self._name} has {name} of type {array.dtype} and shape {array.shape}; accepted: "
                f"{count or f'1 to {_MOST_SHIFTS}'} real numbers"
            )
        if not np.isfinite(array).all():
            raise AtomcoreError(f"{self._name} has values in {name} that are not finite; accepted: finite numbers")
        return array.astype(np.float64).ravel().tolist()

    def constants(self) -> dict[str, Any]:
        """Return what `ANI` takes, without the cutoffs."""
        found = {name: self.numbers(name, None if name in _LISTS else 1) for name in dict.fromkeys(_BUFFERS.values())}
        return {name: values if name in _LISTS else values[0] for name, values in found.items()}

    def elements(self) -> list[str]:
        """Return chemical symbols in the order of the features."""
        from ase.data import chemical_symbols

        order = self._array("species_converter.conv_tensor")
        if order.dtype.kind != "i" or order.ndim != 1 or len(order) > len(chemical_symbols) + 2:
            raise AtomcoreError(f"{self._name} has a species_converter.conv_tensor of shape {order.shape}")
        known = [z for z in np.argsort(order, kind="stable") if order[z] >= 0]
        if not known or order[known].tolist() != list(range(len(known))) or not 1 <= min(known) <= max(known) <= 118:
            raise AtomcoreError(f"{self._name} does not number its elements from 0 in species_converter.conv_tensor")
        given = self._arrays.get("atomic_numbers")
        if given is not None and given.tolist() != [int(z) for z in known]:
            raise AtomcoreError(f"{self._name} has atomic_numbers that are not those of species_converter.conv_tensor")
        return [chemical_symbols[z] for z in known]

    def networks(self, elements: Sequence[str], inputs: int) -> list[dict[str, list[Layer]]]:
        """Return for each member the layers of each element."""
        members = sorted({member for member, _ in self._layers}, key=int)
        if members != [str(m) for m in range(len(members))] or not members:
            raise AtomcoreError(f"{self._name} has the networks {', '.join(members) or 'none'}; accepted: 0, 1, ...")
        extra = sorted({element for _, element in self._layers} - set(elements))
        if extra:
            raise AtomcoreError(f"{self._name} has networks of {', '.join(extra)}, which are not among its elements")
        return [{x: self._atomic_network(m, x, inputs) for x in elements} for m in members]

    def _atomic_network(self, member: str, element: str, inputs: int) -> list[Layer]:
        where = f"{self._name}, network {member} of {element}"
        arrays = self._layers.get((member, element), {})
        n_layers = sum(name.endswith(".weight") for name in arrays)
        names = [str(i) for i in range(n_layers)]
        if "final.weight" in arrays:
            names[-1] = "final"
        needed = {f"{name}.{part}" for name in names for part in ("weight", "bias")}
        if not arrays or needed != set(arrays):
            odd = sorted(needed ^ set(arrays)) or ["weights"]
            raise AtomcoreError(f"{where} lacks {odd[0]!r} or has too much; accepted: layers with weights and biases")
        layers, size = [], inputs
        for i, name in enumerate(names):
            weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
            if weight.ndim != 2 or weight.shape[1] != size or bias.shape != weight.shape[:1] or not len(bias):
                raise AtomcoreError(f"{where}, layer {i} has weights {weight.shape}; accepted: (outputs, {size})")
            for array in (weight, bias):
                if array.dtype.kind != "f" or not np.isfinite(array).all():
                    raise AtomcoreError(
                        f"{where}, layer {i} holds values that are not finite or no real ones; accepted: finite"
                    )
            layers.append(Layer(weight, bias, IDENTITY if i + 1 == n_layers else CELU))
            size = len(bias)
        if size != 1:
            raise AtomcoreError(f"{where} has {size} outputs; accepted: 1")
        return layers


def _arrays(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the tensors of a file by name; nothing in it is run."""
    if not file.is_file():
        raise FileNotFoundError(f"path is {str(file)!r}: there is no such file")
    with file.open("rb") as start:
        safe = start.read(9)[8:] == b"{"  # behind the length of the header
    yield from _of_safetensors(file) if safe else _of_torch(file)


def _of_safetensors(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        state = load_file(file)
    except (SafetensorError, TypeError) as error:  # the latter for types that numpy does not have
        raise AtomcoreError(f"{file.name} is damaged or no state dict of {', '.join(_TYPES)}: {error}") from error
    for key, array in state.items():
        if array.dtype not in _TYPES:
            raise AtomcoreError(f"{file.name} has {key!r} of type {array.dtype}; accepted: {', '.join(_TYPES)}")
        yield key, array


def _of_torch(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    import torch

    try:
        with file.open("rb") as stream:  # of a path torch would look at the suffix, too
            state = torch.load(stream, map_location="cpu", weights_only=True)
    except Exception as error:  # of the unpickler, of the archive, of its own checks: there is no common class
        # the first sentence: further ones recommend to run what the file holds
        reason = re.split(r"(?<=\.)\s", str(error).strip())[0] or type(error).__name__
        raise AtomcoreError(f"{file.name} is damaged or no state dict: {reason}") from error
    if not isinstance(state, dict):
        raise AtomcoreError(f"{file.name} holds a {type(state).__name__}; accepted: a state dict")
    kinds = [getattr(torch, name) for name in _TYPES]
    for key, tensor in state.items():
        plain = isinstance(key, str) and isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided
        if not plain or tensor.is_quantized or tensor.dtype not in kinds or not tensor.is_contiguous():
            raise AtomcoreError(f"{file.name} has {key!r}, no plain tensor of numbers; accepted: a state dict")
        yield key, tensor.detach().numpy()
