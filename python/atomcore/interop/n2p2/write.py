"""Networks of symmetry functions as folders of n2p2."""

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from atomcore._files import check_folder
from atomcore.features.table import Row
from atomcore.interop.n2p2.functions import CUTOFFS, Function, function_of
from atomcore.interop.n2p2.keywords import FILE
from atomcore.interop.n2p2.read import energy_and_length
from atomcore.interop.n2p2.scaling import FILE as SCALING_FILE
from atomcore.interop.n2p2.scaling import Scaling, scaling_text
from atomcore.interop.n2p2.weights import ACTIVATIONS, file_name, weights_text
from atomcore.interop.networks import Layer, NetworkModel
from atomcore.units import Units

_LETTERS = {name: letter for letter, name in reversed(ACTIVATIONS.items())}  # the first of those with one name


def write_model(
    model: NetworkModel | str | os.PathLike, folder: str | os.PathLike, units: str = "hartree, bohr"
) -> None:
    """Write a model as n2p2 has it, whole or not at all.

    Parameters
    ----------
    model : NetworkModel or path
        What to write, or the ``.atomcore`` file that holds it.
    folder : path
        A new or empty folder. Members of an ensemble become folders in it, called 1, 2, ...
    units : str
        ``"ENERGY, LENGTH"`` to write it in.

    Raises
    ------
    ValueError
        The format cannot hold the model; the message says why. Or `folder` is not empty.
    OSError, AtomcoreError
        A file cannot be read or written.

    Notes
    -----
    Features are scaled by ``scale_symmetry_functions_sigma``, where mean and sigma are what the model subtracts and
    divides by, and reference energies are ``atom_energy``. Grades of extrapolation are left out.
    """
    factors = energy_and_length(units)
    if not isinstance(model, NetworkModel):
        model = NetworkModel.read(model)
    _check_kind(model)
    parts = _Parts(_by_number(model), factors, units)
    target = Path(folder)
    check_folder("folder", target)
    if target.is_dir() and any(target.iterdir()):
        raise ValueError(f"folder is {str(folder)!r}, which is not empty; accepted: a new or empty one")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        for m in range(len(model.networks)):
            parts.write(m, temporary if len(model.networks) == 1 else temporary / str(m + 1))
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_kind(model: NetworkModel) -> None:
    if model.target != "energy":
        raise ValueError(f"the target of the model is {model.target!r}; accepted in folders of n2p2: 'energy'")
    if model.normalized_inputs:
        raise ValueError("the model divides its inputs by their length, which n2p2 does not")
    if model.minimum is None or model.maximum is None:
        raise ValueError(f"the model does not know the ranges of its features, which {SCALING_FILE} needs")


def _by_number(model: NetworkModel) -> NetworkModel:
    """Return the model with its elements in n2p2's order."""
    order = sorted(range(len(model.elements)), key=lambda i: atomic_numbers[model.elements[i]])
    return replace(
        model,
        elements=tuple(model.elements[i] for i in order),
        reference=model.reference[order],
        energy_scale=model.energy_scale[order],
    )


class _Parts:
    """What the files of a model say.

    Raises
    ------
    ValueError
        The format cannot hold it.
    """

    def __init__(self, model: NetworkModel, units: Units, declared: str):
        self._model, self._units = model, units
        self._functions: dict[str, list[Function]] = {}
        self._scalings: dict[str, Scaling] = {}
        self._order: dict[str, np.ndarray] = {}  # of the inputs of each first layer, and their signs
        self._signs: dict[str, np.ndarray] = {}
        self._cutoffs: set[tuple[str, float]] = set()  # functions and inner parts
        for x in model.elements:
            self._sort(x)
        self._input = self._input_text(declared)

    def write(self, member: int, folder: Path) -> None:
        """Write the folder of one member."""
        folder.mkdir(parents=True)
        (folder / FILE).write_text(self._input, encoding="utf-8")
        scalings = [self._scalings[x] for x in self._model.elements]
        (folder / SCALING_FILE).write_text(scaling_text(scalings), encoding="utf-8")
        for i, x in enumerate(self._model.elements):
            layers = [(w.astype(np.float64), b.astype(np.float64)) for w, b in self._model.networks[member][x]]
            layers[0] = layers[0][0][:, self._order[x]] * self._signs[x], layers[0][1]
            factor = self._model.energy_scale[i] / self._model.energy_scale[0]
            layers[-1] = layers[-1][0] * factor, layers[-1][1] * factor
            (folder / file_name(atomic_numbers[x])).write_text(weights_text(layers), encoding="utf-8")

    def _sort(self, x: str) -> None:
        """Find functions and scaling of an element; a prefactor p of a function is part of its scaling."""
        model, columns = self._model, np.asarray(self._model.columns[x])
        assert model.minimum is not None
        assert model.maximum is not None
        rows = [model.table[k] for k in columns]
        functions = [self._function(k, row) for k, row in zip(columns, rows, strict=True)]
        order = np.array(sorted(range(len(rows)), key=lambda i: functions[i].key), np.int64)
        prefactor = np.array([row["prefactor"] for row in rows])
        scale = np.asarray(model.scale[x]) * prefactor
        with np.errstate(all="ignore"):
            sigma = 1.0 / np.abs(scale)
            ends = np.array([model.minimum[x][columns], model.maximum[x][columns]]) / prefactor
            mean = np.asarray(model.mean[x]) / prefactor
            values = np.array([mean, np.abs(scale), ends.min(axis=0), ends.max(axis=0)])
        for i in np.flatnonzero(~np.isfinite([*values, sigma]).all(axis=0)):
            raise ValueError(
                f"feature {columns[i]} of {x} is multiplied by {scale[i]}, which n2p2's scaling cannot be; accepted: a "
                "number other than 0, of which the inverse is finite"
            )
        self._functions[x] = [functions[i] for i in order]
        self._scalings[x] = Scaling(*values[:, order])
        self._order[x], self._signs[x] = order, np.sign(scale)[order]

    def _function(self, k: int, row: Row) -> Function:
        try:
            function = function_of(row, list(self._model.elements), self._units.length)
        except ValueError as error:
            raise ValueError(f"feature {k} has {error}") from None
        if not function.is_window:
            self._cutoffs.add((row["cutoff_function"], row.get("inner", 0.0)))
        return function

    def _input_text(self, declared: str) -> str:
        energy, length = (part.strip() for part in declared.split(",")[:2])
        elements = self._model.elements
        lines = [
            f"# Length unit: {length}",
            f"# Energy unit: {energy}",
            f"number_of_elements {len(elements)}",
            f"elements {' '.join(elements)}",
            *self._energies(),
            self._cutoff(),
            "scale_symmetry_functions_sigma",
            "scale_min_short 0.0",
            "scale_max_short 1.0",
            *self._architecture(),
            *(function.line(x, elements) for x in elements for function in self._functions[x]),
        ]
        return "\n".join(lines) + "\n"

    def _energies(self) -> list[str]:
        """Return lines of reference energies and of the size of outputs: that of the first element for all."""
        model, unit = self._model, self._units.energy
        for x, scale in zip(model.elements, model.energy_scale, strict=True):
            if scale != model.energy_scale[0] and model.activations[x][-1] != "identity":
                raise ValueError(
                    f"energy_scale is {scale} eV of {x} and {model.energy_scale[0]} eV of {model.elements[0]}; "
                    "accepted where outputs are not linear: the same one"
                )
        if not model.energy_scale[0] > 0:
            raise ValueError(f"energy_scale is {model.energy_scale[0]} eV of {model.elements[0]}; accepted: above 0")
        lines = [
            f"atom_energy {x} {float(reference / unit)!r}"
            for x, reference in zip(model.elements, model.reference, strict=True)
        ]
        return [*lines, "mean_energy 0.0", f"conv_energy {float(unit / model.energy_scale[0])!r}", "conv_length 1.0"]

    def _cutoff(self) -> str:
        if len(self._cutoffs) > 1:
            used = ", ".join(f"{name} (inner {inner})" for name, inner in sorted(self._cutoffs))
            raise ValueError(f"features have the cutoff functions {used}; accepted by n2p2: one for all")
        name, inner = next(iter(self._cutoffs), ("cosine", 0.0))
        if name not in CUTOFFS:
            raise ValueError(f"features have the cutoff function {name!r}; accepted by n2p2: {', '.join(CUTOFFS)}")
        return f"cutoff_type {CUTOFFS.index(name)} {inner!r}"

    def _architecture(self) -> list[str]:
        model = self._model
        letters = {x: _letters(x, model.activations[x]) for x in model.elements}
        nodes = {x: _hidden(x, [member[x] for member in model.networks]) for x in model.elements}
        common = Counter(letters.values()).most_common(1)[0][0]
        common_nodes = Counter(nodes.values()).most_common(1)[0][0]
        others = [x for x in model.elements if letters[x] != common]
        for x in model.elements:
            if len(nodes[x]) != len(common_nodes) or nodes[x][-1] != common_nodes[-1]:
                raise ValueError(
                    f"hidden layers have {nodes} nodes; accepted by n2p2: as many layers of all elements, the last one "
                    "with as many nodes"
                )
        if len(others) > 1 or any(letters[x][-1] != common[-1] for x in others):
            raise ValueError(
                f"activations are {dict(model.activations)}; accepted by n2p2: the same ones for all elements but one, "
                "and for all outputs"
            )
        lines = [
            f"global_hidden_layers_short {len(common_nodes)}",
            f"global_nodes_short {' '.join(map(str, common_nodes))}",
            f"global_activation_short {' '.join(common)}",
        ]
        lines += [
            f"element_nodes_short {x} {' '.join(map(str, nodes[x]))}"
            for x in model.elements
            if nodes[x] != common_nodes
        ]
        return lines + [f"element_activation_short {x} {' '.join(letters[x])}" for x in others]


def _letters(x: str, activations: Sequence[str]) -> tuple[str, ...]:
    for name in activations:
        if name not in _LETTERS:
            raise ValueError(f"networks of {x} have the activation {name!r}; accepted by n2p2: {', '.join(_LETTERS)}")
    return tuple(_LETTERS[name] for name in activations)


def _hidden(x: str, members: Sequence[Sequence[Layer]]) -> tuple[int, ...]:
    """Return the numbers of nodes in the hidden layers of an element, the same in all members."""
    sizes = {tuple(len(bias) for _, bias in layers[:-1]) for layers in members}
    if len(sizes) != 1 or () in sizes:
        raise ValueError(f"networks of {x} have hidden layers of {sorted(sizes)} nodes; accepted: at least one layer")
    return sizes.pop()
