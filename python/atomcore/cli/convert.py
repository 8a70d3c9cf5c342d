"""``atomcore convert``: models of other codes to model files, and back."""

import argparse
from collections.abc import Sequence

_DESCRIPTION = """\
Convert a model of n2p2, NeuroChem, TorchANI, sGDML or mbGDML to a model file, or a model file to a folder of n2p2 or a
file of sGDML. What SOURCE is shows in its files; several folders are a committee of n2p2, several files a many-body
expansion of mbGDML.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = _parser().parse_args(arguments)
    from atomcore.interop.convert import convert

    given = {name: value for name, value in vars(options).items() if name not in ("source", "output")}
    print(convert(options.source, options.output, **given))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="atomcore convert",
        usage="%(prog)s SOURCE [SOURCE ...] -o OUTPUT [options]",
        description=_DESCRIPTION,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
    )
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="folder or file of the other code, or a model file")
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUTPUT", help="model file (.atomcore), or what to write back"
    )
    parser.add_argument(
        "--format", metavar="NAME", help="n2p2, neurochem, torchani, sgdml or mbgdml; needed from a model file"
    )
    parser.add_argument("--units", metavar="UNITS", help='of n2p2, sGDML and mbGDML, e.g. "hartree, bohr"')
    parser.add_argument("--networks", type=int, nargs="+", metavar="N", help="of NeuroChem: only these, from 0")
    parser.add_argument("--constants", metavar="FILE", help="of a single network of NeuroChem: .params")
    parser.add_argument("--self-energies", metavar="FILE", help="of a single network of NeuroChem: .dat")
    parser.add_argument(
        "--single-precision-constants", action="store_true", help="of NeuroChem: round them, as TorchANI does"
    )
    parser.add_argument("--model", metavar="NAME", help="of TorchANI: ani1x, ani1ccx or ani2x [by the file's name]")
    parser.add_argument("--cutoffs", type=float, nargs=2, metavar="R", help="of TorchANI, instead: radial, angular, A")
    parser.add_argument("--hartree", type=float, metavar="EV", help="of ANI networks: its size in eV")
    return parser
