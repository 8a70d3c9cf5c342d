"""``atomcore serve``: energies and forces for a program that asks for them through a socket, such as i-PI."""

import argparse
from collections.abc import Sequence

from atomcore.cli.limits import add_options, limits
from atomcore.cli.md import plain_warnings


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore serve",
        usage="%(prog)s MODEL START (--port PORT | --unix NAME) [options]",
        description="Compute what a server asks for, i-PI or ASE's SocketIOCalculator, until it ends.",
    )
    parser.add_argument("model", help="model file (.atomcore)")
    parser.add_argument("start", help="structure with the server's atoms in its order: npz, or anything ASE reads")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--port", type=int, help="of the server")
    place.add_argument("--unix", metavar="NAME", help="Unix socket of the server, /tmp/ipi_NAME")
    parser.add_argument("--host", default="localhost", help="of the server [%(default)s]")
    parser.add_argument("--units", help='of an npz file or input.data, e.g. "kcal/mol, Angstrom"')
    add_options(parser)
    parser.add_argument("--threads", type=int, help="default OMP_NUM_THREADS, or all cores")
    options = parser.parse_args(arguments)
    if options.port is not None and not 0 < options.port < 2**16:
        raise ValueError(f"--port is {options.port}; accepted: 1 to 65535")
    from atomcore.calculators import Calculator
    from atomcore.calculators.ipi import Client
    from atomcore.data.readers import load_structure
    from atomcore.potential import Potential

    potential = Potential.load(options.model, threads=options.threads)
    if potential.target != "energy":
        raise ValueError(f"model {options.model!r} predicts {potential.target}; accepted: a model of energies")
    atoms = load_structure(options.start, units=options.units)
    atoms.set_constraint()  # the server moves the atoms
    with plain_warnings("serve"):
        atoms.calc = Calculator(potential, **limits(options, potential))
        potential.compute(atoms, ("energy",))  # an unsuitable structure fails before a server waits for it
        client = Client(atoms, host=options.host, port=options.port, unix=options.unix)
        print(f"connected; {len(atoms)} atoms: {atoms.symbols}", flush=True)
        served = client.serve()
    print(f"the server has ended after {served.evaluations} evaluations", end="")
    known = "extrapolation" in potential.properties
    print(f", {served.extrapolating} of which extrapolate, the worst by {served.excess:.3g}" if known else "")
    if "extrapolation_grade" in potential.properties:
        print(f"largest extrapolation grade {served.grade:.3g} (1: the most extreme atom of the training)")
    return 0
