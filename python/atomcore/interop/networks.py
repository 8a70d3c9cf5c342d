"""Networks of symmetry functions as plain arrays: what converters of other codes' models read into and write from."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from atomcore import model_file
from atomcore.export.shared import metadata_of, read
from atomcore.features.table import Row, needs_families

Layer = tuple[np.ndarray, np.ndarray]  # weight [outputs, inputs] and bias [outputs]

UNBOUNDED = float(np.finfo(np.float64).max)  # the upper end of a range that no value lies outside of

KIND = "behler_parrinello"
_BETWEEN = ("silu", "tanh", "relu", "celu", "sigmoid", "softplus")  # of files that name one activation for all layers
_OUTPUT = "identity"


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkModel:
    """Networks on symmetry functions, one (or one of each member) for an element, in Angstrom and eV.

    The input of a network is ``x = (G[columns] - mean) * scale``; a layer gives ``activation(weight @ x + bias)``, the
    last one a single y, and the energy of an atom of element X is ``reference[X] + energy_scale[X] * y``, in an
    ensemble the mean of that over its members.

    Parameters
    ----------
    elements : sequence of str
        Chemical symbols; reference energies and scales stand in this order.
    table : sequence of dict
        The functions, K rows of `atomcore.features.table`, each different.
    columns : dict of str to ndarray of int, shape (c,)
        For each element which functions its networks see, ascending.
    mean, scale : dict of str to ndarray, shape (c,)
        For each element what is subtracted from its columns, and what they are then multiplied by.
    minimum, maximum : dict of str to ndarray, shape (K,), optional
        For each element the range of every function in training, -`UNBOUNDED` to `UNBOUNDED` where any value will do;
        None where ranges are unknown.
    networks : sequence of dict of str to list of (weight, bias)
        For each member and element its layers: weights (outputs, inputs) and biases (outputs,), float32 or float64.
    activations : dict of str to sequence of str
        For each element one name a layer, the last one included: the names of the model file.
    reference, energy_scale : ndarray, shape (n_elements,)
        In eV (of a model of charges, in e).
    target : {"energy", "charges"}
        What the networks predict.
    normalized_inputs : bool
        Whether x is divided by its length before the first layer.
    provenance : dict
        Where the model comes from, for people; JSON.
    """

    elements: Sequence[str]
    table: Sequence[Row]
    columns: Mapping[str, np.ndarray]
    mean: Mapping[str, np.ndarray]
    scale: Mapping[str, np.ndarray]
    minimum: Mapping[str, np.ndarray] | None = None
    maximum: Mapping[str, np.ndarray] | None = None
    networks: Sequence[Mapping[str, Sequence[Layer]]]
    activations: Mapping[str, Sequence[str]]
    reference: np.ndarray
    energy_scale: np.ndarray
    target: str = "energy"
    normalized_inputs: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cutoff(self) -> float:
        """Largest cutoff radius in A."""
        return max(row["cutoff"] for row in self.table)

    def save(self, path: str | os.PathLike) -> None:
        """Write a model file, whole or not at all; it says itself what a reader must know.

        Raises
        ------
        AtomcoreError
            The core refuses the model: arrays of wrong shapes, numbers that are not finite, or unknown names.
        OSError
            The file cannot be written.
        """
        model_file.write(path, dict(self._tensors()), self._metadata())

    @classmethod
    def read(cls, path: str | os.PathLike) -> "NetworkModel":
        """Return the networks that a model file holds, without the grades of extrapolation that may go with them.

        Raises
        ------
        OSError, AtomcoreError
            As for `atomcore.Potential.load`.
        ValueError
            The file holds a model of another kind.
        """
        metadata, tensors = read(path, KIND)
        elements, members = metadata["elements"], int(metadata["networks"]["members"])
        networks = [{x: _layers(tensors, m, x) for x in elements} for m in range(members)]
        given = metadata["networks"].get("activations") or {
            x: [metadata["networks"]["activation"]] * (len(networks[0][x]) - 1) + [_OUTPUT] for x in elements
        }
        features = {
            name: {x: tensors[f"features.{x}.{name}"] for x in elements}
            for name in ("columns", "mean", "scale", "minimum", "maximum")
            if f"features.{elements[0]}.{name}" in tensors
        }
        return cls(
            elements=tuple(elements),
            table=metadata["features"],
            **features,
            networks=networks,
            activations={x: tuple(given[x]) for x in elements},
            reference=tensors["energy.reference"],
            energy_scale=tensors["energy.scale"],
            target=metadata.get("target", "energy"),
            normalized_inputs="normalized_inputs" in metadata["requires"],
            provenance=metadata.get("provenance", {}),
        )

    def _one_activation(self) -> str | None:
        """Return the activation between all layers where it is one that every file can name, and the outputs linear."""
        between = {name for x in self.elements for name in self.activations[x][:-1]} or {_BETWEEN[0]}
        linear = all(self.activations[x][-1] == _OUTPUT for x in self.elements)
        return between.pop() if linear and len(between) == 1 and between <= {*_BETWEEN} else None

    def _metadata(self) -> dict[str, Any]:
        activation = self._one_activation()
        needed = {
            "symmetry_functions": True,
            "function_families": needs_families(self.table),
            "element_networks": True,
            "ensemble": len(self.networks) > 1,
            "normalized_inputs": self.normalized_inputs,
            "charges": self.target == "charges",
            "layer_activations": activation is None,
            "unknown_ranges": self.minimum is None,
        }
        metadata = metadata_of(KIND, "local", [name for name, needs in needed.items() if needs], self.elements)
        named = (
            {"activations": {x: list(self.activations[x]) for x in self.elements}}
            if activation is None
            else {"activation": activation}
        )
        return metadata | {
            "target": self.target,
            "cutoff": self.cutoff,
            "features": list(self.table),
            "networks": {**named, "members": len(self.networks)},
            "precision": str(self.networks[0][self.elements[0]][0][0].dtype),
            "provenance": metadata["provenance"] | dict(self.provenance),
        }

    def _tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        yield "energy.reference", np.asarray(self.reference, np.float64)
        yield "energy.scale", np.asarray(self.energy_scale, np.float64)
        ranges = {"minimum": self.minimum, "maximum": self.maximum}
        for x in self.elements:
            yield f"features.{x}.columns", np.asarray(self.columns[x], np.int64)
            for name, values in {"mean": self.mean, "scale": self.scale, **ranges}.items():
                if values is not None:
                    yield f"features.{x}.{name}", np.asarray(values[x], np.float64)
            for m, member in enumerate(self.networks):
                for i, (weight, bias) in enumerate(member[x]):
                    yield f"networks.{m}.{x}.{i}.weight", weight
                    yield f"networks.{m}.{x}.{i}.bias", bias


def _layers(tensors: Mapping[str, np.ndarray], member: int, element: str) -> list[Layer]:
    prefix = f"networks.{member}.{element}."
    n_layers = sum(name.startswith(prefix) and name.endswith(".weight") for name in tensors)
    return [(tensors[f"{prefix}{i}.weight"], tensors[f"{prefix}{i}.bias"]) for i in range(n_layers)]
