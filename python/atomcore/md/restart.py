"""What a run needs to go on where it was, bit for bit."""

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomcore._core import AtomcoreError
from atomcore._files import remove_leftovers, replacing
from atomcore.md.recorder import Extrapolation

CHECKPOINT = "restart.npz"
_VERSION = 1
_DAMAGED = (ValueError, KeyError, TypeError, OSError, EOFError, NotImplementedError, RuntimeError)
_ATOMS = ("numbers", "masses", "cell", "pbc")
_STATE = ("positions", "momenta", "gradient")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A run at the end of a step.

    Attributes
    ----------
    model : str
        SHA-256 of the model file.
    conditions : dict
        What the run is held at, by the names that `atomcore.md.simulate` has for them.
    atoms : dict
        ``numbers`` [N], ``masses`` [N], ``cell`` [3, 3] and ``pbc`` [3].
    phase : str
        Equilibration or the run itself.
    step : int
    energy : float
        In eV.
    start : list of float
        Total and kinetic energy of step 0, in eV.
    kelvin : float
        Temperature in K of a kinetic energy of 1 eV, which depends on the shape of the molecule at step 0.
    state : dict
        ``positions``, ``momenta`` and ``gradient`` [N, 3], in ASE's units.
    sizes : dict
        How many bytes of each file belong to the run up to here.
    worst : Extrapolation or None
    """

    model: str
    conditions: dict[str, Any]
    atoms: dict[str, np.ndarray]
    phase: str
    step: int
    energy: float
    start: list[float]
    kelvin: float
    state: dict[str, np.ndarray]
    sizes: dict[str, int]
    worst: Extrapolation | None

    def write(self, folder: Path) -> None:
        """Write the checkpoint of the run in ``folder``, whole or not at all."""
        document = {"version": _VERSION, **vars(self)}
        atoms, state = document.pop("atoms"), document.pop("state")
        text = np.frombuffer(json.dumps(document, allow_nan=False).encode(), np.uint8)
        with replacing(folder / CHECKPOINT) as temporary:
            np.savez(temporary, document=text, **atoms, **state)

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint":
        """Read the checkpoint of the run in ``folder``.

        Raises
        ------
        ValueError
            There is none.
        AtomcoreError
            It is damaged, or of another version.
        """
        path = folder / CHECKPOINT
        remove_leftovers(path)
        if not path.is_file():
            raise ValueError(f"restart: {str(folder)!r} holds no {CHECKPOINT}, so there is no run to go on with")
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            document = json.loads(arrays["document"].tobytes())
            version = document.pop("version")
            if version == _VERSION:
                return cls._of(document, arrays)
        except (*_DAMAGED, zipfile.BadZipFile, zlib.error) as error:
            raise AtomcoreError(f"{str(path)!r} is damaged or no checkpoint of a run: {error}") from error
        raise AtomcoreError(f"{str(path)!r} has the version {version!r}; accepted: {_VERSION}")

    @classmethod
    def _of(cls, document: dict[str, Any], arrays: dict[str, np.ndarray]) -> "Checkpoint":
        worst = document.pop("worst")
        atoms, state = ({name: arrays[name] for name in names} for names in (_ATOMS, _STATE))
        if any(array.shape != (len(atoms["numbers"]), 3) for array in state.values()):
            raise ValueError("its arrays do not fit together")
        return cls(**document, atoms=atoms, state=state, worst=None if worst is None else Extrapolation(*worst))

    def check(self, folder: Path, model: str, conditions: dict[str, Any], atoms: dict[str, np.ndarray]) -> None:
        """Raise ValueError that names what is different from the run that is to go on."""
        run = f"the run in {str(folder)!r}"
        if model != self.model:
            raise ValueError(f"the model is not the one that {run} was made with; accepted: the same file")
        for name, value in conditions.items():
            known = self.conditions.get(name)
            if value != known:
                raise ValueError(f"{name} is {value!r}, but {known!r} in {run}; accepted: the same")
        for name, array in atoms.items():
            if not np.array_equal(array, self.atoms[name]):
                raise ValueError(f"the {name} of the atoms are not those of {run}; accepted: the same structure")


def digest(content: bytes) -> str:
    """Return what tells model files apart."""
    return hashlib.sha256(content).hexdigest()
