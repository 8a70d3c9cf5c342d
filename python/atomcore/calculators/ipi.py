"""A trained model as the client of i-PI, ASE's ``SocketIOCalculator`` and others that speak their protocol."""

import json
import socket
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.calculators.socketio import IPIProtocol, SocketClient, SocketClosed, actualunixsocketname
from ase.stress import voigt_6_to_full_3x3_stress

from atomcore._core import AtomcoreError
from atomcore.calculators.frames import RELIABILITY, keeping_refused
from atomcore.potential import GRADE

_PATIENCE, _PAUSE = 60.0, 0.2  # seconds, for a server that starts at the same time


@dataclass
class Served:
    """What a server has been given.

    Attributes
    ----------
    evaluations : int
    extrapolating : int
        How many of these have an atom outside the range seen in training.
    excess : float
        The largest ``extrapolation_excess`` of an atom.
    grade : float
        The largest ``extrapolation_grade`` of an atom.
    """

    evaluations: int = 0
    extrapolating: int = 0
    excess: float = 0.0
    grade: float = 0.0


class Client(SocketClient):
    """A connection that gives energies, forces and virials to a server until that ends.

    Parameters
    ----------
    atoms : ase.Atoms
        In the server's order, with an `atomcore.Calculator`. Positions and cell come from the server; the virial is
        sent where the structure is periodic in three directions, and zero otherwise.
    host, port
        Of a server on the internet; or
    unix
        the name of a Unix socket, ``/tmp/ipi_NAME``.

    Raises
    ------
    OSError
        No server answers for a minute.

    Notes
    -----
    Lengths are sent in bohr and energies in hartree, by the constants of ``ase.units``. The additional string of the
    protocol holds as JSON what the calculator says of the reliability of each atom: ``extrapolation``,
    ``extrapolation_excess``, ``extrapolation_grade`` and ``forces_spread``, those of them that it has computed.
    """

    def __init__(
        self, atoms: Any, *, host: str = "localhost", port: int | None = None, unix: str | None = None
    ) -> None:
        where = f"{host}:{port}" if unix is None else actualunixsocketname(unix)
        give_up = time.monotonic() + _PATIENCE
        while True:
            try:
                super().__init__(host, port, unix)
                break
            except OSError as error:
                if time.monotonic() > give_up or isinstance(error, socket.gaierror):
                    raise OSError(f"no server answers at {where}: {error}") from None
                time.sleep(_PAUSE)
        self.protocol = self._answers = _Protocol(self.protocol.socket, len(atoms))
        self.served = Served()
        self._atoms = atoms

    def serve(self) -> Served:
        """Answer the server until it ends, and return what it has been given.

        Raises
        ------
        AtomcoreError
            The server has broken off within a message, or sends something else than the protocol has.
        ValueError, ExtrapolationError
            As the calculator raises them. After the second ``stopped.extxyz`` in the current folder has the structure.
        """
        try:
            self.run(self._atoms)
        except (SocketClosed, ConnectionError) as error:
            reason = str(error) or "within a message"
            raise AtomcoreError(f"the server has broken off: {reason}") from None
        except (AssertionError, KeyError) as error:
            raise AtomcoreError(f"the server has sent what the protocol does not have here: {error}") from None
        return self.served

    def calculate(self, atoms: Any, use_stress: bool) -> tuple[float, np.ndarray, np.ndarray]:
        """Return energy, forces and virial; called for each structure of the server."""
        calculator = atoms.calc
        with keeping_refused(lambda: atoms, f"evaluation {self.served.evaluations}: "):
            calculator.calculate(atoms)
        results, virial = calculator.results, np.zeros((3, 3))
        if "stress" in results:
            virial = -atoms.get_volume() * voigt_6_to_full_3x3_stress(results["stress"])
        reported = {name: results[name].tolist() for name in RELIABILITY if name in results}
        self._answers.extra = json.dumps(reported).encode() if reported else b"\0"
        self._count(results)
        return results["energy"], results["forces"], virial

    def _count(self, results: dict[str, Any]) -> None:
        self.served.evaluations += 1
        excess = float(np.max(results.get("extrapolation_excess", 0.0), initial=0.0))
        self.served.extrapolating += excess > 0
        self.served.excess = max(self.served.excess, excess)
        self.served.grade = max(self.served.grade, float(np.max(results.get(GRADE, 0.0), initial=0.0)))


class _Protocol(IPIProtocol):
    """ASE's side of the protocol, with the additional string of the answer and a check of the number of atoms.

    The messages are short, and over TCP each would wait for the acknowledgement of the one before, 40 ms. Nothing that
    is sent waits here, and what is received is acknowledged at once, for servers that do wait.
    """

    def __init__(self, connection: socket.socket, n_atoms: int) -> None:
        super().__init__(connection)
        self.extra = b"\0"
        self._n_atoms = n_atoms
        self._tcp = connection.family == socket.AF_INET
        if self._tcp:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _recvall(self, nbytes: int) -> bytes:
        if self._tcp and hasattr(socket, "TCP_QUICKACK"):  # which lasts for one acknowledgement only
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return super()._recvall(nbytes)

    def recvposdata(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        cell, inverse, positions = super().recvposdata()
        if len(positions) != self._n_atoms:
            raise ValueError(f"the server has sent {len(positions)} atoms; accepted: {self._n_atoms}, as at the start")
        return cell, inverse, positions

    def sendforce(self, energy: float, forces: np.ndarray, virial: np.ndarray, morebytes: Any = None) -> None:
        super().sendforce(energy, forces, virial, np.frombuffer(self.extra, np.byte))
