"""The hot kernels execute no more instructions than when they were last measured."""

import importlib.util
import shutil

import pytest

from helpers import NEEDS_SOURCES, REPOSITORY

pytestmark = [NEEDS_SOURCES, pytest.mark.long]


@pytest.fixture(scope="module")
def counting():
    if shutil.which("valgrind") is None:
        pytest.skip("valgrind is not installed: instructions cannot be counted")
    spec = importlib.util.spec_from_file_location("count", REPOSITORY / "bench" / "instructions" / "count.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept, here = module.stored(), module.conditions()
    different = [f"{name} {kept[name]!r}, here {found!r}" for name, found in here.items() if kept[name] != found]
    if different:
        pytest.skip(f"the counts were taken with another {'; '.join(different)}")
    return module


def test_instruction_counts_have_not_grown(counting, tmp_path):
    program = counting.build(tmp_path)
    kept = counting.stored()["counts"]
    found = {kernel: counting.count(program, kernel) for kernel in counting.kernels(program)}
    assert found.keys() == kept.keys(), "update with python bench/instructions/count.py --update"
    grown = {name: f"{kept[name]} -> {n}" for name, n in found.items() if n > counting.ALLOWED * kept[name]}
    assert not grown, f"more than 5 % more instructions: {grown}"
