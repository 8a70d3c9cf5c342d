"""Descriptors of DScribe (SOAP, MBTR and others; Himanen et al., Comput. Phys. Commun. 247, 106949 (2020))."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from atomcore._arrays import as_structure

Float = npt.NDArray[np.float64]


class DScribe:
    """A descriptor of the package DScribe, which must be installed.

    Parameters
    ----------
    name
        The class in ``dscribe.descriptors``: "SOAP", "MBTR", "ACSF", "LMBTR", ...
    numerical_derivatives
        Let DScribe take differences of finite steps where it has no analytical derivatives: slow, and accurate to some
        six digits only. By default such Jacobians are refused.
    **parameters
        What its constructor takes, e.g. ``species=["H", "O"], r_cut=5.0, n_max=8, l_max=6``.

    Attributes
    ----------
    per_atom : bool
        Whether there is a row of features an atom (SOAP without averaging), or one a structure (MBTR).
    descriptor
        The object of DScribe.

    Raises
    ------
    ImportError
        DScribe is not installed.
    """

    def __init__(self, name: str, *, numerical_derivatives: bool = False, **parameters: Any) -> None:
        self.name, self.parameters, self.numerical_derivatives = name, parameters, numerical_derivatives
        module = _descriptors()
        kind = getattr(module, name, None)
        if not isinstance(kind, type):
            known = ", ".join(repr(key) for key in sorted(vars(module)) if isinstance(getattr(module, key), type))
            raise ValueError(f"name is {name!r}; accepted: {known}")
        self.descriptor: Any = kind(**{**parameters, "sparse": False})
        self._local = any(base.__name__ == "DescriptorLocal" for base in kind.__mro__)
        self.per_atom = self._local and getattr(self.descriptor, "average", "off") == "off"

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"DScribe({self.name!r}, {given})"

    @property
    def n_features(self) -> int:
        """Number of features K."""
        return int(self.descriptor.get_number_of_features())

    @property
    def labels(self) -> list[str]:
        """A name for each feature."""
        return [f"{self.name} {k}" for k in range(self.n_features)]

    def compute(self, atoms: Any, *, jacobian: bool = False) -> Float | tuple[Float, Float]:
        """Evaluate the descriptor of one structure.

        Parameters
        ----------
        atoms
            ASE Atoms, or anything with ``numbers``, ``positions``, ``cell`` and ``pbc``.
        jacobian
            Return the derivatives as well.

        Returns
        -------
        x : float64 [N, K], or [K] of a descriptor of structures
        J : float64 [N, K, N, 3] or [K, N, 3]
            dx/dr, per A; only with ``jacobian=True``. Centres move with their atoms.

        Raises
        ------
        ValueError
            DScribe refuses the structure, gives numbers that are not finite, or has no analytical derivatives and
            numerical ones were not asked for.
        """
        from ase import Atoms

        structure = as_structure(atoms)
        system: Any = Atoms(structure.numbers, structure.positions, cell=structure.cell, pbc=structure.pbc)
        system.info = None  # which DScribe hands to ASE 3.29 in the place of velocities (DScribe's issue 165)
        if not jacobian:
            x = _finite(self.name, self.descriptor.create(system))
            return x if self.per_atom else x.reshape(-1)
        options = {"attach": True} if self._local else {}
        slopes, x = self.descriptor.derivatives(system, method=self._method(), return_descriptor=True, **options)
        x, J = _finite(self.name, x), np.moveaxis(_finite(self.name, slopes), -1, -3)
        if not self.per_atom:
            x, J = x.reshape(-1), J.reshape(J.shape[-3:])
        return x, np.ascontiguousarray(J)

    def _method(self) -> str:
        """Return the method of DScribe's derivatives."""
        arguments = ("analytical", True) if self._local else ("analytical",)
        try:
            return self.descriptor.validate_derivatives_method(*arguments)
        except ValueError as error:
            if self.numerical_derivatives:
                return "numerical"
            raise ValueError(
                f"jacobian: DScribe has no analytical derivatives of this {self.name}; accepted: other parameters, or "
                "numerical_derivatives=True"
            ) from error

    def to_metadata(self) -> dict[str, Any]:
        """Return what a file keeps, for `atomcore.features.from_metadata`."""
        return {
            "kind": "dscribe",
            "name": self.name,
            "numerical_derivatives": self.numerical_derivatives,
            "parameters": dict(self.parameters),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Self:
        """Return the features that `to_metadata` describes."""
        return cls(metadata["name"], numerical_derivatives=metadata["numerical_derivatives"], **metadata["parameters"])


def _descriptors() -> Any:
    try:
        from dscribe import descriptors
    except ImportError as error:
        raise ImportError(
            "DScribe's descriptors need the package dscribe: pip install 'atomcore[descriptors]'"
        ) from error
    return descriptors


def _finite(name: str, values: npt.ArrayLike) -> Float:
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"DScribe's {name} gave numbers that are not finite")
    return array
