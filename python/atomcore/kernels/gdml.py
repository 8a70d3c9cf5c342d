"""Kernels of gradient-domain machine learning: inverse distances, the covariance of forces, and predictions.

The Matern 5/2 kernel of inverse distances, summed over permutations of like atoms (Chmiela et al., Sci. Adv. 3,
e1603015 (2017) and Nat. Commun. 9, 3887 (2018)). `atomcore.models.GDML` is the model that is built on these.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from atomcore import _core
from atomcore._progress import Progress
from atomcore._threads import resolve_threads

Float64 = NDArray[np.float64]
Storage = Literal["full", "lower", "packed"]
_SECONDS = 1.0  # between updates of a bar


def _finite(name: str, values: ArrayLike, shape: tuple[int | str, ...]) -> Float64:
    """Return a C-ordered array of doubles of this shape; names in it stand for any size."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        isinstance(n, str) or n == m for n, m in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has the shape {list(array.shape)}; accepted: [{', '.join(map(str, shape))}]")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity; accepted: finite numbers")
    return array


def _permutations(permutations: ArrayLike | None, n_atoms: int) -> NDArray[np.int64]:
    if permutations is None:
        return np.arange(n_atoms, dtype=np.int64)[None]
    array = np.ascontiguousarray(permutations, dtype=np.int64)
    if not np.array_equal(array, np.asarray(permutations)):
        raise ValueError("permutations holds numbers that are not whole; accepted: numbers of atoms")
    if array.ndim != 2 or array.shape[1] != n_atoms or len(array) == 0:
        raise ValueError(f"permutations has the shape {list(array.shape)}; accepted: [P, {n_atoms}]")
    return array


def descriptors(
    positions: ArrayLike, lattice: ArrayLike | None = None, *, threads: int | None = None
) -> tuple[Float64, Float64]:
    """Return inverse distances and their derivatives.

    Parameters
    ----------
    positions : array_like [M, N, 3]
        Geometries of one molecule, Angstrom.
    lattice : array_like [3, 3], optional
        Lattice vectors as rows (ASE's order; sGDML has them as columns), Angstrom. Differences of positions are wrapped
        by rounding their fractional coordinates, halves to even, as sGDML does: in strongly skewed cells this is not
        always the shortest image.
    threads : int, optional
        By default what ``OMP_NUM_THREADS`` says.

    Returns
    -------
    x : ndarray [M, D]
        1 / distance of the D = N (N - 1) / 2 pairs (1, 0), (2, 0), (2, 1), ..., 1/Angstrom.
    C : ndarray [M, D, 3]
        (r_a - r_b) / distance^3 of the pair (a, b), a > b: the derivative of x with respect to the position of b, and
        minus that with respect to the position of a. 1/Angstrom^2.

    Raises
    ------
    ValueError
        For shapes that do not fit, for numbers that are not finite, and where two atoms are at one place.
    """
    r = _finite("positions", positions, ("M", "N", 3))
    if r.shape[1] < 2:
        raise ValueError(f"positions has {r.shape[1]} atoms a geometry; accepted: 2 and more, there are distances then")
    h = None if lattice is None else _finite("lattice", lattice, (3, 3))
    x, C = _core.gdml_descriptors(r, h, resolve_threads(threads))
    return x, C


class Covariance:
    """The covariance of gradients and energies of training structures: minus sGDML's matrix.

    Rows and columns are all gradients dE/dr, structure by structure and atom by atom, and behind them, if wanted, all
    energies (the labels of sGDML, forces and minus energies, have the same covariance). Symmetric and positive
    semidefinite when ``permutations`` are a group.

    Parameters
    ----------
    x, C : ndarray [M, D], [M, D, 3]
        Of `descriptors`.
    permutations : array_like [P, N], optional
        Row p takes a structure to the one whose atom a is atom ``permutations[p, a]`` of the first. By default the
        identity.
    sigma : float
        Length of the kernel, 1/Angstrom.
    energies : bool
        Whether energies are observed too.
    threads : int, optional
        By default what ``OMP_NUM_THREADS`` says. The results do not depend on it.

    Attributes
    ----------
    size : int
        Rows of the matrix: M * 3N, and M more with energies.
    """

    def __init__(
        self,
        x: ArrayLike,
        C: ArrayLike,
        permutations: ArrayLike | None = None,
        *,
        sigma: float,
        energies: bool = False,
        threads: int | None = None,
    ) -> None:
        x = _finite("x", x, ("M", "D"))
        C = _finite("C", C, (*x.shape, 3))
        n_atoms = round((1 + np.sqrt(1 + 8 * x.shape[1])) / 2)
        if x.shape[1] == 0 or n_atoms * (n_atoms - 1) // 2 != x.shape[1]:
            raise ValueError(f"x has {x.shape[1]} features; accepted: N (N - 1) / 2 inverse distances of N atoms")
        if not (np.isfinite(sigma) and sigma > 0):
            raise ValueError(f"sigma is {sigma}; accepted: positive finite numbers")
        self._core = _core.GdmlCovariance(n_atoms, x, C, _permutations(permutations, n_atoms), float(sigma))
        self._energies, self._threads = energies, resolve_threads(threads)
        self._n_structures = len(x)
        self.size: int = self._core.size(energies)

    def assemble(
        self, storage: Storage = "full", out: Float64 | None = None, *, progress: bool = False, label: str = "assembly"
    ) -> Float64:
        """Return the matrix.

        Parameters
        ----------
        storage : {"full", "lower", "packed"}
            ``"full"``: [n, n]. ``"lower"``: [n, n] of which what is right of the diagonal is left as it was.
            ``"packed"``: n (n + 1) / 2 numbers in LAPACK's rectangular full packed format, which
            `atomcore.kernels.linalg.cholesky` takes.
        out : ndarray, optional
            Where to write, C-ordered, float64.
        progress : bool
            Show a bar.
        label : str
            What the bar says.
        """
        n = self.size
        shape = (n * (n + 1) // 2,) if storage == "packed" else (n, n)
        if storage not in ("full", "lower", "packed"):
            raise ValueError(f"storage is {storage!r}; accepted: 'full', 'lower' or 'packed'")
        if out is None:
            out = np.empty(shape) if storage != "lower" else np.zeros(shape)
        elif out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
            raise ValueError(
                f"out has the shape {list(out.shape)} and holds {out.dtype}; accepted: C-ordered float64 {list(shape)}"
            )
        bar = Progress(self._n_structures, label, enabled=progress)
        step = max(1, self._n_structures // 100) if progress else self._n_structures
        for first in range(0, self._n_structures, step):
            last = min(first + step, self._n_structures)
            self._core.fill(out, storage, self._energies, first, last, self._threads)
            bar.update(last)
        bar.close(self._n_structures)
        return out

    def rows(self, indices: Sequence[int] | NDArray[np.int64], out: Float64 | None = None) -> Float64:
        """Return some rows of the matrix, [len(indices), n], which by symmetry are its columns."""
        wanted = np.ascontiguousarray(indices, dtype=np.int64)
        if wanted.ndim != 1 or (wanted < 0).any() or (wanted >= self.size).any():
            raise ValueError(f"indices go from {wanted.min()} to {wanted.max()}; accepted: 0 to {self.size - 1}")
        shape = (len(wanted), self.size)
        if out is None:
            out = np.empty(shape)
        elif out.shape != shape or out.dtype != np.float64 or not out.flags.c_contiguous:
            raise ValueError(
                f"out has the shape {list(out.shape)} and holds {out.dtype}; accepted: C-ordered float64 {list(shape)}"
            )
        self._core.rows(wanted, self._energies, out, self._threads)
        return out

    def product(self, vector: ArrayLike) -> Float64:
        """Return the product of the matrix with a vector [n] without storing the matrix."""
        return self._core.product(_finite("vector", vector, (self.size,)), self._energies, self._threads)


class Predictor:
    """A trained GDML model, ready to run.

    E(r) = constant + scale * sum over training points j and permutations p of
    v_j . dk(x, Pi_p x_j)/dx_j + c_j k(x, Pi_p x_j), with inverse distances x.

    Parameters
    ----------
    descriptors : array_like [M, D]
        Inverse distances x_j of the training points, 1/Angstrom.
    derivative_coefficients : array_like [M, D]
        v_j = J_j alpha_j; ``R_d_desc_alpha`` of sGDML's files.
    energy_coefficients : array_like [M], optional
        c_j, if the model was trained on energies too.
    permutations : array_like [P, N], optional
        By default the identity.
    sigma : float
        Length of the Matern 5/2 kernel, 1/Angstrom.
    scale, constant : float
        Of energies, eV. Whatever unit they have, energies and gradients come out in.
    lattice : array_like [3, 3], optional
        Vectors as rows, Angstrom.
    """

    def __init__(
        self,
        descriptors: ArrayLike,
        derivative_coefficients: ArrayLike,
        energy_coefficients: ArrayLike | None = None,
        permutations: ArrayLike | None = None,
        *,
        sigma: float,
        scale: float = 1.0,
        constant: float = 0.0,
        lattice: ArrayLike | None = None,
    ) -> None:
        x = _finite("descriptors", descriptors, ("M", "D"))
        v = _finite("derivative_coefficients", derivative_coefficients, x.shape)
        c = (
            np.empty(0)
            if energy_coefficients is None
            else _finite("energy_coefficients", energy_coefficients, (len(x),))
        )
        n_atoms = round((1 + np.sqrt(1 + 8 * x.shape[1])) / 2)
        self._core = _core.GdmlModel(
            n_atoms=n_atoms,
            sigma=float(sigma),
            scale=float(scale),
            constant=float(constant),
            lattice=np.empty(0) if lattice is None else _finite("lattice", lattice, (3, 3)),
            descriptors=x,
            derivative_coefficients=v,
            energy_coefficients=c,
            permutations=_permutations(permutations, n_atoms),
        )
        self.n_atoms = n_atoms

    def predict(self, positions: ArrayLike, *, threads: int | None = None) -> tuple[Float64, Float64]:
        """Return energies [B] and forces [B, N, 3] of geometries [B, N, 3], Angstrom.

        Raises
        ------
        ValueError
            For another number of atoms, and where two atoms are at one place or a position is not finite.
        """
        r = np.ascontiguousarray(positions, dtype=np.float64)
        energies, forces = self._core.predict(r, resolve_threads(threads))
        return energies, forces
