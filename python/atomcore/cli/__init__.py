"""The ``atomcore`` command."""

from atomcore.cli.main import main

__all__ = ["main"]
