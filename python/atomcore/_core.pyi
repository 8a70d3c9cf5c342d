from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Float = NDArray[Any]  # float32 or float64, the same for all arguments of a call

_Values = tuple[float, Float64, Float64, Float64]  # energy, atomic energies, dE/dr, dE/dstrain

class AtomcoreError(Exception): ...

class Request:
    def __init__(self, derivatives: bool, spread: bool, extrapolation: bool, grade: bool) -> None: ...

_Evaluation = tuple[_Values, _Values, tuple[Int32, Float64, Int32, Float64]]

class Potential:
    @staticmethod
    def load(path: bytes, single: bool) -> Potential: ...
    @property
    def metadata(self) -> str: ...
    @property
    def abilities(self) -> tuple[bool, bool, bool, bool]: ...
    def compute(
        self,
        positions: Float64,
        cell: Float64,
        pbc: NDArray[np.bool_],
        numbers: Int32,
        request: Request,
        n_threads: int,
    ) -> _Evaluation: ...
    def compute_batch(
        self,
        structures: Sequence[tuple[Float64, Float64, NDArray[np.bool_], Int32]],
        request: Request,
        n_threads: int,
    ) -> list[_Evaluation]: ...

class Evaluator:
    def __init__(self, potential: Potential) -> None: ...
    def compute(
        self,
        positions: Float64,
        cell: Float64,
        pbc: NDArray[np.bool_],
        numbers: Int32,
        request: Request,
        n_threads: int,
    ) -> _Evaluation: ...

def instruction_set() -> str: ...  # portable, avx2 or avx512

class MdConditions:
    def __init__(self, *, dt: float, thermostat: bool, kT: float, friction: float, seed: int, stream: int) -> None: ...

class MdLimits:
    def __init__(
        self,
        *,
        radii: list[float],
        kinetic: float,
        jump: float,
        drift: float,
        kelvin: float,
        excess: float,
        spread: float,
        grade: float,
    ) -> None: ...

class MdLoop:
    def __init__(
        self,
        potential: Potential,
        numbers: Int32,
        masses: Float64,
        cell: Float64,
        pbc: NDArray[np.bool_],
        positions: Float64,
        momenta: Float64,
        conditions: MdConditions,
        limits: MdLimits,
        with_spread: bool,
        n_threads: int,
    ) -> None: ...
    @property
    def started(self) -> bool: ...
    @property
    def step(self) -> int: ...
    @property
    def start(self) -> list[float]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def model_seconds(self) -> float: ...
    @property
    def state(self) -> dict[str, Any]: ...
    @property
    def candidate(self) -> dict[str, Any]: ...
    def resume(self, step: int, energy: float, gradient: Float64, start: list[float]) -> None: ...
    def run(
        self, last: int, interval: int, seconds: float
    ) -> tuple[str, str, list[tuple[int, float, float, float, float, int, int, float]]]: ...
    def set_limits(self, *, excess: float, spread: float, grade: float) -> None: ...

def read_metadata(path: bytes) -> str: ...
def neighbor_list(
    positions: Float64, cells: Float64, pbc: NDArray[np.uint8], structure_ptr: Int64, cutoff: float, n_threads: int
) -> tuple[Int64, Int64, Int32]: ...
def is_plain(positions: Any, cell: Any, pbc: Any) -> bool: ...
def gather(
    structures: Sequence[Any], geometry_of: Callable[[Any], tuple[Float64, Float64, NDArray[np.bool_]]]
) -> tuple[Float64, Float64, NDArray[np.bool_], Int64]: ...
def pairs(
    quantities: str,
    positions: Float64,
    cells: Float64,
    pbc: NDArray[np.bool_],
    structure_ptr: Int64 | None,
    cutoff: float,
    n_threads: int,
) -> Any: ...

class VerletList:
    def __init__(self, cutoff: float, skin: float) -> None: ...
    def update(self, positions: Float64, cell: Float64, pbc: NDArray[np.bool_], n_threads: int) -> bool: ...
    def near(self, n_threads: int) -> tuple[Int64, Int64, Int32, Float64, Float64]: ...

def edge_vectors(
    positions: Float,
    cells: Float,
    structure_ptr: Int64,
    row_ptr: Int64,
    neighbor: Int64,
    shift: Int32,
    n_threads: int,
) -> Float: ...
def edge_scatter(
    g_D: Float, structure_ptr: Int64, row_ptr: Int64, neighbor: Int64, shift: Int32, n_threads: int
) -> tuple[Float, Float]: ...
def compile_features(rows: Int32, parameters: Float64, weights: Float64, n_species: int) -> tuple[Int32, Float64]: ...
def class_columns(table: Int32) -> list[Int32]: ...
def check_plan(table: Int32, parameters: Float64) -> None: ...
def check_graph(table: Int32, species: Int32, row_ptr: Int64, neighbor: Int64) -> None: ...
def features(
    table: Int32, parameters: Float64, species: Int32, row_ptr: Int64, neighbor: Int64, D: Float, n_threads: int
) -> Float: ...
def features_vjp(
    table: Int32,
    parameters: Float64,
    species: Int32,
    row_ptr: Int64,
    neighbor: Int64,
    D: Float,
    g: Float,
    n_threads: int,
) -> Float: ...
def features_jvp(
    table: Int32,
    parameters: Float64,
    species: Int32,
    row_ptr: Int64,
    neighbor: Int64,
    D: Float,
    v: Float,
    n_threads: int,
) -> Float: ...
def features_hvp(
    table: Int32,
    parameters: Float64,
    species: Int32,
    row_ptr: Int64,
    neighbor: Int64,
    D: Float,
    g: Float,
    v: Float,
    n_threads: int,
) -> Float: ...
def edge_classes(
    table: Int32, parameters: Float64, species: Int32, row_ptr: Int64, neighbor: Int64, D: Float, n_threads: int
) -> tuple[Int32, Int64]: ...
def features_jacobian(
    table: Int32,
    parameters: Float64,
    species: Int32,
    row_ptr: Int64,
    neighbor: Int64,
    D: Float,
    edge_class: Int32,
    row_offset: Int64,
    n_threads: int,
) -> Float: ...
def jacobian_vjp(
    table: Int32,
    parameters: Float64,
    row_ptr: Int64,
    edge_class: Int32,
    row_offset: Int64,
    values: Float,
    rows: Int64,
    g: Float,
    n_threads: int,
) -> Float: ...
def jacobian_jvp(
    table: Int32,
    parameters: Float64,
    row_ptr: Int64,
    edge_class: Int32,
    row_offset: Int64,
    values: Float,
    rows: Int64,
    v: Float,
    n_threads: int,
) -> Float: ...
def gdml_descriptors(positions: Float64, lattice: Float64 | None, n_threads: int) -> tuple[Float64, Float64]: ...

class GdmlCovariance:
    def __init__(self, n_atoms: int, x: Float64, C: Float64, permutations: Int64, sigma: float) -> None: ...
    def size(self, energies: bool) -> int: ...
    def fill(self, out: Float64, storage: str, energies: bool, first: int, last: int, n_threads: int) -> None: ...
    def rows(self, indices: Int64, energies: bool, out: Float64, n_threads: int) -> None: ...
    def product(self, vector: Float64, energies: bool, n_threads: int) -> Float64: ...

class GdmlModel:
    def __init__(
        self,
        *,
        n_atoms: int,
        sigma: float,
        scale: float,
        constant: float,
        lattice: Float64,
        descriptors: Float64,
        derivative_coefficients: Float64,
        energy_coefficients: Float64,
        permutations: Int64,
    ) -> None: ...
    def predict(self, positions: Float64, n_threads: int) -> tuple[Float64, Float64]: ...

class TupleCriterion:
    def __init__(self, measure: int, lower: float, cutoff: float, width: float) -> None: ...

class TupleModel:
    @staticmethod
    def gdml(
        *,
        sigma: float,
        scale: float,
        constant: float,
        lattice: Float64,
        descriptors: Float64,
        derivative_coefficients: Float64,
        energy_coefficients: Float64,
        permutations: Int64,
    ) -> TupleModel: ...
    def evaluate(self, positions: Float64, n_threads: int) -> tuple[Float64, Float64]: ...

class ManyBodyModel:
    def __init__(
        self,
        components: Sequence[tuple[str, Sequence[int], Sequence[float]]],
        terms: Sequence[tuple[Sequence[int], TupleCriterion, TupleModel]],
    ) -> None: ...
    def consecutive(self, numbers: Int32) -> tuple[Int64, Int64, Int32]: ...
    def compute(
        self,
        positions: Float64,
        cell: Float64,
        pbc: NDArray[np.bool_],
        numbers: Int32,
        ptr: Int64,
        atom: Int64,
        component: Int32,
        scaling: Float64,
        derivatives: bool,
        n_threads: int,
    ) -> tuple[Float64, Float64, Float64, Float64]: ...
    def tuples(
        self,
        positions: Float64,
        cell: Float64,
        pbc: NDArray[np.bool_],
        numbers: Int32,
        ptr: Int64,
        atom: Int64,
        component: Int32,
        components: Sequence[int],
        criterion: TupleCriterion,
        n_threads: int,
    ) -> tuple[Int64, Int32, Float64, Float64, Float64]: ...
    def apply(
        self,
        components: Sequence[int],
        criterion: TupleCriterion,
        positions: Float64,
        energies: Float64,
        gradients: Float64,
    ) -> None: ...

def use_scipy(blas: dict[str, Any], lapack: dict[str, Any]) -> None: ...
def cholesky_not_finite(A: Float64, n: int) -> tuple[int, int]: ...
def cholesky_factor(A: Float64, n: int, progress: Callable[[float], None] | None) -> int: ...
def cholesky_solve(L: Float64, n: int, transposed: bool, B: Float64) -> None: ...
def cholesky_log_determinant(L: Float64, n: int) -> float: ...
def cholesky_invert(L: Float64) -> None: ...
def cholesky_copy_rows(source: Float64, n: int, target: Float64, n_target: int) -> None: ...
def cholesky_append_rows(target: Float64, n_target: int, Z: Float64, S: Float64) -> None: ...
def cholesky_rank_one(L: Float64, n: int, v: Float64, add: bool) -> int: ...
def pooled_empty(shape: Sequence[int], single: bool) -> Float: ...
def batched_cholesky(
    A: Float, L: Float | None, y: Float | None, x: Float | None, log_determinant: Float | None, n_threads: int
) -> Int32: ...

kernel_kinds: tuple[str, ...]
descriptor_kinds: tuple[str, ...]

def structure_descriptor(
    kind: int, n_atoms: int, exponent: float, length_unit: float, numbers: Int32, positions: Float64, jacobian: bool
) -> tuple[Float64, Float64 | None]: ...

class ScaledKernel:
    def __init__(self, kind: int, a: float, b: float, variance: float, scales: Float64) -> None: ...

class PointSet:
    def __init__(
        self,
        X: Float64,
        elements: Int32 | None,
        structure_ptr: Int64,
        gradient_ptr: Int64 | None,
        jacobians: Sequence[Float64 | None],
    ) -> None: ...

class Observed:
    def __init__(self, energies: bool, gradients: bool) -> None: ...

def covariance(
    kernel: ScaledKernel,
    A: PointSet,
    rows: Observed,
    B: PointSet | None,
    columns: Observed,
    out: Float64,
    n_threads: int,
) -> None: ...
def covariance_diagonal(kernel: ScaledKernel, A: PointSet, rows: Observed, n_threads: int) -> Float64: ...
def gradient_of_trace(
    kernel: ScaledKernel,
    A: PointSet,
    rows: Observed,
    B: PointSet | None,
    columns: Observed,
    W: Float64,
    one_scale: bool,
    n_threads: int,
) -> tuple[float, Float64, float]: ...
