"""Started with every page: makes ``%%bash`` show what a terminal shows, both streams in the order of their lines."""

import subprocess

from IPython.core.magic import register_cell_magic


@register_cell_magic
def bash(line: str, cell: str) -> None:
    """Run the cell and print what it prints; a failure of its last command fails the page."""
    shell = subprocess.run(
        ["bash", "-c", cell], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    print(shell.stdout, end="")
    if shell.returncode:
        raise RuntimeError(f"exit code {shell.returncode}")
