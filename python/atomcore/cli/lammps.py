"""``atomcore lammps``: the plugin that gives LAMMPS a ``pair_style atomcore``."""

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore lammps", description="Build or find the LAMMPS plugin with pair_style atomcore."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    build = actions.add_parser("build", help="compile the plugin for an installed LAMMPS")
    build.add_argument(
        "--lammps-headers",
        metavar="DIR",
        help="folder with LAMMPS' pair.h: src of its sources, or include/lammps where it is installed "
        "[the LAMMPS of this Python]",
    )
    build.add_argument("-o", "--output", default=".", metavar="DIR", help="folder to write it into [%(default)s]")
    actions.add_parser("path", help="print where the plugin of the package atomcore-lammps is")
    options = parser.parse_args(arguments)
    from atomcore.interop import lammps

    if options.action == "path":
        print(lammps.plugin_path())
        return 0
    print(f"plugin load {lammps.build(options.output, options.lammps_headers)}")
    return 0
