"""What is said about CUDA where there is none, and that every formula of the core is computed in the device's test."""

import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from atomcore import cuda
from helpers import NEEDS_SOURCES, REPOSITORY, run_python


def test_available_or_a_reason():
    assert cuda.is_available() == (cuda.reason() == "")
    assert (cuda.device_count() > 0) == cuda.is_available()


@pytest.fixture
def fresh():
    """Forget what has been found out about this machine, before the test and after it."""
    cuda.reason.cache_clear()
    yield
    cuda.reason.cache_clear()


def stand_in(*, driver: int, problem: str = "", devices: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        runtime_version=lambda: 13000,
        driver_version=lambda: driver,
        device_count=lambda: devices,
        problem=lambda: problem,
    )


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (stand_in(driver=0, problem="insufficient"), "no CUDA driver is installed"),
        (stand_in(driver=12040, problem="insufficient"), "insufficient (runtime 13.0, driver for 12.4)"),
        (stand_in(driver=13010, problem="no image", devices=1), "no image (runtime 13.0, driver for 13.1)"),
        (stand_in(driver=13010, devices=2), ""),
    ],
)
def test_reasons(fresh, monkeypatch, module, said):
    monkeypatch.setattr(cuda, "_module", lambda: module)
    assert cuda.reason() == said
    assert cuda.is_available() == (said == "")
    assert cuda.device_count() == (0 if said else 2)


def test_an_installation_without_the_module_says_so(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "atomcore._cuda", None)  # importing it now fails as if it was not there
    assert "built without CUDA" in cuda.reason()
    assert cuda.device_count() == 0


def test_a_module_that_does_not_load_says_why(fresh, monkeypatch):
    def fail():
        raise ImportError("libcuda.so.1: cannot open")

    monkeypatch.setattr(cuda, "_module", fail)
    assert cuda.reason() == "the compiled module does not load: libcuda.so.1: cannot open"


def test_the_driver_is_left_alone_until_asked():
    assert "atomcore._cuda" not in run_python("import atomcore.cuda, sys; print(*sys.modules)").split()


def test_the_compiled_module_answers_without_a_driver():
    if importlib.util.find_spec("atomcore._cuda") is None:
        pytest.skip("this installation was built without CUDA")
    program = "from atomcore import _cuda; print(_cuda.runtime_version(), _cuda.driver_version(), _cuda.device_count())"
    runtime, driver, devices = map(int, run_python(program).split())
    assert runtime >= 12000
    assert driver > 0 or devices == 0


def headers() -> list[Path]:
    """Return the headers of formulas, without those of packs, which are registers of the host."""
    return [path for path in (REPOSITORY / "cpp" / "math").glob("*.hpp") if not path.name.startswith("pack")]


def formulas() -> set[str]:
    """Return the names of all functions that code for the device may call."""
    found = set()
    for header in headers():
        found |= set(re.findall(r"^AC_HD [^(=;]*?\b(\w+)\(", header.read_text(), re.MULTILINE))
    return found - {"operator"}


@NEEDS_SOURCES
def test_the_device_computes_every_formula():
    text = (REPOSITORY / "tests" / "cuda" / "test_math.cu").read_text()
    assert len(formulas()) > 20
    assert {name for name in formulas() if not re.search(rf"\b{name}(<\w+>)?\(", text)} == set()


@NEEDS_SOURCES
def test_every_formula_is_for_the_device_too():
    """A function of cpp/math without AC_HD would be missed by the test above."""
    for header in headers():
        heads = re.findall(r"^(?!AC_HD|struct|using|constexpr|//|#)\w[^;=\n]*\(.*$", header.read_text(), re.MULTILINE)
        assert heads == [], header.name
