"""``python -m atomcore``: the command line, and where the C library of this installation is."""

import sys
from pathlib import Path

from atomcore import _core
from atomcore.cli import main

_LIBRARY = Path(_core.__file__).parent / "lib"
_FOLDERS = {"--cmake-dir": _LIBRARY / "cmake" / "atomcore", "--pkgconfig-dir": _LIBRARY / "pkgconfig"}

if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in _FOLDERS:
        print(_FOLDERS[sys.argv[1]])
    else:
        sys.exit(main())
