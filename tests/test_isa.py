"""Every instruction set gives the same results, and the one that is asked for is used."""

import sys
from pathlib import Path

import numpy as np
import pytest

from helpers import run_command
from processors import has, skip_without
from tolerances import FEATURES, FLOAT32, assert_close

SETS = ("portable", "avx2", "avx512")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return a function that gives the results of an instruction set, each computed once."""
    folder, known = tmp_path_factory.mktemp("isa"), {}

    def of(isa: str) -> dict[str, np.ndarray]:
        skip_without(isa)
        if isa not in known:
            path = folder / f"{isa}.npz"
            script = Path(__file__).with_name("isa_results.py")
            run_command([sys.executable, str(script), str(path)], ATOMCORE_ISA=isa, OMP_NUM_THREADS="1")
            with np.load(path) as file:
                known[isa] = dict(file)
        return known[isa]

    return of


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
@pytest.mark.parametrize("what", ["features", "vjp", "jvp", "hvp", "jacobian", "potential", "gdml"])
def test_instruction_sets_agree(results, isa, what):
    found, expected = results(isa), results("portable")
    keys = [key for key in expected if key.startswith(f"{what}/")]
    assert keys
    for key in keys:
        single = "float32" in key
        size = max(1.0, np.abs(expected[key]).max())
        assert_close(found[key], expected[key], FLOAT32 if single else FEATURES, scale=size)


def test_single_precision_differs_from_double(results):
    """Results that agree because nothing was computed would agree here, too."""
    found = results("portable")
    assert np.abs(found["features/float32/ani2x"] - found["features/float64/ani2x"]).max() > 0


@pytest.mark.parametrize("isa", SETS)
def test_the_instruction_set_asked_for_is_used(isa):
    skip_without(isa)
    code = "from atomcore import _core; print(_core.instruction_set())"
    assert run_command([sys.executable, "-c", code], ATOMCORE_ISA=isa).strip() == isa


def test_the_best_instruction_set_is_the_default():
    code = "from atomcore import _core; print(_core.instruction_set())"
    best = [isa for isa in SETS if has(isa)][-1]
    assert run_command([sys.executable, "-c", code], ATOMCORE_ISA="").strip() == best


@pytest.mark.parametrize(("isa", "said"), [("sse9", "accepted: portable, avx2, avx512"), ("AVX2", "accepted")])
@pytest.mark.parametrize("call", ["_core.instruction_set()", "ANI.ani1x().compute(molecule('H2O'))"])
def test_unknown_instruction_sets_are_refused_by_name(isa, said, call):
    code = f"""
from ase.build import molecule
from atomcore import _core
from atomcore.features import ANI
try:
    {call}
except ValueError as error:
    print(error)
"""
    text = run_command([sys.executable, "-c", code], ATOMCORE_ISA=isa)
    assert f"ATOMCORE_ISA is '{isa}'" in text
    assert said in text


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_an_instruction_set_that_is_not_there_is_refused_by_name(isa):
    if has(isa):
        pytest.skip(f"this processor has {isa}")
    code = """
from atomcore import _core
try:
    _core.instruction_set()
except _core.AtomcoreError as error:
    print(error)
"""
    said = run_command([sys.executable, "-c", code], ATOMCORE_ISA=isa).strip()
    there = ", ".join(known for known in SETS if has(known))
    assert said == f"ATOMCORE_ISA is '{isa}', which this processor does not have; accepted: {there}"
