"""Whether CUDA can be used, and why not.

The CUDA half of the core is a compiled module of its own, ``atomcore._cuda``. It is there when a CUDA compiler was
found as this installation was built (``ATOMCORE_CUDA=ON`` insists on one, ``OFF`` does without), and loads on machines
that have neither a driver nor a device.
"""

import functools
from types import ModuleType


def is_available() -> bool:
    """Return whether the current CUDA device can run atomcore's code."""
    return not reason()


@functools.cache
def reason() -> str:
    """Return in words why CUDA cannot be used; empty when it can. The first call starts the driver."""
    try:
        module = _module()
    except ModuleNotFoundError:
        return "this installation was built without CUDA (ATOMCORE_CUDA=ON pip install ... builds it with)"
    except ImportError as error:
        return f"the compiled module does not load: {error}"
    if module.driver_version() == 0:
        return "no CUDA driver is installed"
    problem = module.problem()
    return f"{problem} ({versions()})" if problem else ""


def device_count() -> int:
    """Return the number of CUDA devices; 0 where CUDA cannot be used."""
    return _module().device_count() if is_available() else 0


def versions() -> str:
    """Return the versions of the runtime and of the driver in words.

    Raises
    ------
    ImportError
        The installation was built without CUDA.
    """
    module = _module()
    driver = module.driver_version()
    served = f"driver for {_dotted(driver)}" if driver else "no driver"
    return f"runtime {_dotted(module.runtime_version())}, {served}"


def _module() -> ModuleType:
    import atomcore._cuda as module

    return module


def _dotted(version: int) -> str:
    """Write a version as CUDA counts them, 13020, with a point: 13.2."""
    return f"{version // 1000}.{version % 1000 // 10}"
