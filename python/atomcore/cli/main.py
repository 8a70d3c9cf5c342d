"""From ``atomcore COMMAND ...`` to the command's module, which is imported only then."""

import difflib
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from atomcore._core import AtomcoreError
from atomcore.cli.processes import INTERRUPTED, speaks

_HELP = """\
usage: atomcore COMMAND [options]

Interatomic potentials from quantum-mechanical data.

commands:
  train     train a potential      atomcore train data.path=set.extxyz run.dir=run
  evaluate  errors on a file       atomcore evaluate run/model.atomcore test.extxyz
  predict   energies and forces    atomcore predict run/model.atomcore structures.xyz
  md        molecular dynamics     atomcore md run/model.atomcore start.xyz --ps 10
  serve     forces for i-PI        atomcore serve run/model.atomcore start.xyz --unix NAME
  active    choose training data   atomcore active pool.npz --run run
  convert   others' models         atomcore convert SOURCE -o model.atomcore
  lammps    pair_style atomcore    atomcore lammps build
  plot      pictures               atomcore plot parity run
  info      versions, model files  atomcore info run/model.atomcore
  demo      all on a shipped set   atomcore demo

'atomcore COMMAND --help' says more; with ATOMCORE_TRACEBACK=1 errors show where they come from.
"""
_COMMANDS = ("train", "evaluate", "predict", "md", "active", "convert", "lammps", "serve", "plot", "info", "demo")

_GIVE_WAY = 20.0  # seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 for a failed run, 2 for input that cannot be used."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_HELP, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from atomcore import __version__

        print(f"atomcore {__version__}")
        return 0
    command, *rest = arguments
    if command not in _COMMANDS:
        near = difflib.get_close_matches(command, _COMMANDS, 1, 0.0)[0]
        print(f"atomcore: unknown command {command!r}; did you mean {near!r}?", file=sys.stderr)
        return 2
    return run_command(command, lambda: importlib.import_module(f"atomcore.cli.{command}").main(rest))


def run_command(command: str, body: Callable[[], int]) -> int:
    """Call ``body``; errors that a user can act on become a line on stderr, not a traceback."""
    try:
        return body()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        print(f'atomcore {command}: {error}; pip install "atomcore[all]" brings everything', file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        hint = f"; {interrupt}" if str(interrupt) else ""
        if speaks():
            print(f"atomcore {command}: interrupted{hint}", file=sys.stderr)
        return INTERRUPTED
    except (ValueError, TypeError, OSError, MemoryError, AtomcoreError) as error:
        if not speaks():  # the first process speaks; when it has failed too, its end ends this one meanwhile
            time.sleep(_GIVE_WAY)
        if os.environ.get("ATOMCORE_TRACEBACK") == "1":
            traceback.print_exc()
        print(f"atomcore {command}: {str(error) or 'out of memory'}", file=sys.stderr)
        return 1 if isinstance(error, AtomcoreError | MemoryError) else 2
