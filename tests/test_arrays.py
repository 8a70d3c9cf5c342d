"""What users hand in is converted exactly or refused by name (reliability rows 15 to 18)."""

from types import SimpleNamespace

import numpy as np
import pytest

from atomcore._arrays import as_structure, check_numbers
from atomcore._threads import default_threads, resolve_threads

POSITIONS = np.array([[0.0, 0.25, -1.5], [3.0, 0.0, 8.0]])


def structure(**changes):
    return SimpleNamespace(
        **{"positions": POSITIONS, "cell": np.eye(3), "pbc": [1, 0, 1], "numbers": [8, 1], **changes}
    )


@pytest.mark.parametrize(
    "positions",
    [
        POSITIONS.astype(np.float32),
        POSITIONS.astype(">f8"),
        POSITIONS.astype(np.longdouble),
        POSITIONS.T.copy().T,
        POSITIONS[::-1][::-1],
        np.repeat(POSITIONS, 2, axis=1)[:, ::2],
        POSITIONS.tolist(),
        (POSITIONS * 4).astype(np.int64),
        (POSITIONS * 4).astype(">i2"),
    ],
    ids=["f4", "big-endian", "longdouble", "transposed", "reversed", "strided", "list", "i8", "big-endian i2"],
)
def test_positions_convert_exactly(positions):
    before = np.array(positions)
    converted = as_structure(structure(positions=positions)).positions
    assert converted.dtype == np.float64
    assert converted.dtype.isnative
    assert converted.flags.c_contiguous
    assert np.array_equal(converted, before)
    assert np.array_equal(np.array(positions), before)


def test_the_other_arrays_have_their_types():
    got = as_structure(structure(numbers=np.array([8, 1], ">i8"), cell=np.diag([1, 2, 3]).astype(np.float32)))
    assert (got.numbers.dtype, got.cell.dtype, got.pbc.dtype) == (np.int32, np.float64, np.bool_)
    assert got.numbers.tolist() == [8, 1]
    assert got.pbc.tolist() == [True, False, True]
    assert np.array_equal(got.cell, np.diag([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"positions": POSITIONS.T}, ValueError, r"positions must have shape \(N, 3\), got \(3, 2\)"),
        ({"positions": POSITIONS[0]}, ValueError, r"positions must have shape \(N, 3\), got \(3,\)"),
        ({"positions": [[1.0, 2.0, 3.0], [1.0]]}, ValueError, "positions must be a rectangular"),
        ({"positions": POSITIONS.astype(object)}, TypeError, "positions must hold real numbers, got dtype object"),
        ({"positions": POSITIONS.astype(complex)}, TypeError, "positions must hold real numbers, got dtype complex"),
        ({"positions": POSITIONS.astype(str)}, TypeError, "positions must hold real numbers"),
        ({"positions": POSITIONS > 0}, TypeError, "positions must hold real numbers, got dtype bool"),
        ({"positions": None}, TypeError, "positions must hold real numbers, got dtype object"),
        ({"positions": np.full((2, 3), 2**53 + 1)}, ValueError, "positions has int64 values that float64 cannot hold"),
        (
            {"positions": POSITIONS + np.longdouble(1) / 3},
            ValueError,
            "positions has .* values that float64 cannot hold",
        ),
        ({"cell": [1.0, 1.0, 1.0]}, ValueError, r"cell must have shape \(3, 3\), got \(3,\)"),
        ({"cell": np.ones(9)}, ValueError, r"cell must have shape \(3, 3\), got \(9,\)"),
        ({"cell": None}, TypeError, "cell must hold real numbers"),
        ({"pbc": [True, False]}, ValueError, r"pbc must have shape \(3,\), got \(2,\)"),
        ({"pbc": True}, ValueError, r"pbc must have shape \(3,\), got \(\)"),
        ({"pbc": [0, 1, 2]}, ValueError, "pbc must hold booleans or 0 and 1"),
        ({"pbc": [0.0, 1.0, 1.0]}, TypeError, "pbc must hold booleans, got dtype float64"),
        ({"numbers": [8]}, ValueError, r"numbers must have shape \(2,\), got \(1,\)"),
        ({"numbers": [8.0, 1.0]}, TypeError, "numbers must hold integers, got dtype float64"),
        ({"numbers": ["O", "H"]}, TypeError, "numbers must hold integers"),
        ({"numbers": [8, 2**40]}, ValueError, "numbers must fit into 32 bits"),
    ],
)
def test_bad_arrays_are_refused_by_name(changes, error, text):
    with pytest.raises(error, match=text):
        as_structure(structure(**changes))


def test_missing_attributes_are_named():
    with pytest.raises(TypeError, match=r"attribute 'positions'.*got list"):
        as_structure([1, 2])


def test_a_tensor_with_a_gradient_is_not_detached():
    torch = pytest.importorskip("torch", reason="needs torch")
    with pytest.raises(TypeError, match="positions must be convertible to a numpy array"):
        as_structure(structure(positions=torch.zeros(2, 3, requires_grad=True)))


@pytest.mark.parametrize("wrong", [0, -1, 119])
def test_atomic_numbers_outside_the_table(wrong):
    with pytest.raises(ValueError, match=rf"from 1 to 118, got {wrong} \(first at index 2\)"):
        check_numbers(np.array([1, 118, wrong, 8], np.int32))
    check_numbers(np.array([1, 118], np.int32))


@pytest.mark.parametrize(("setting", "expected"), [("3", 3), (" 2 ", 2), ("0", None), ("many", None), ("", None)])
def test_default_threads_follow_the_environment(monkeypatch, setting, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 2, 3, 4, 5, 6, 9}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert default_threads() == (expected or 7)
    assert resolve_threads(None) == (expected or 7)


def test_default_threads_where_a_process_has_no_set_of_processors(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert default_threads() == 64


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), (-2, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bad_thread_counts(threads, error):
    with pytest.raises(error, match="threads must be"):
        resolve_threads(threads)
