"""``atomcore serve``: the engine's numbers through the protocol of i-PI, and how it ends."""

import os
import queue
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from ase.calculators.socketio import SocketIOCalculator
from ase.constraints import FixAtoms
from ase.io import read
from ase.md.verlet import VelocityVerlet

from atomcore import AtomcoreError, Calculator, Potential
from atomcore.calculators.ipi import Client, Served
from atomcore.cli import main
from helpers import run_command
from model_builder import graded, random_model, ranged
from structures import molecule_rattled, slab, small_crystal
from tolerances import ENGINE, assert_close

STEP, STEPS = 0.25, 5  # fs


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return random_model().write(tmp_path_factory.mktemp("models") / "model.atomcore")


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """A model that has seen one structure only."""
    model = graded(random_model())
    ranged(model, [molecule_rattled()])
    return model.write(tmp_path_factory.mktemp("models") / "narrow.atomcore")


@pytest.fixture
def name(tmp_path):
    """Of a socket that no other test uses."""
    return f"atomcore_test_{os.getpid()}_{tmp_path.name[-40:]}"


@pytest.fixture
def client(tmp_path):
    """Starts ``atomcore serve`` in a process of its own, which never outlives the test."""
    processes = []

    def start(model, *options):
        command = [sys.executable, "-m", "atomcore", "serve", str(model), "start.extxyz", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ended(process):
    """Return exit code, output and complaints of a client that ends by itself."""
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


class InThread:
    """A client in a thread of this process."""

    def __init__(self, model, atoms, **where):
        atoms.calc = Calculator(model)
        self._result = queue.Queue()
        threading.Thread(target=self._serve, args=(atoms, where), daemon=True).start()

    def _serve(self, atoms, where):
        try:
            self._result.put(Client(atoms, **where).serve())
        except Exception as error:
            self._result.put(error)

    def ended(self):
        """Return what the client has returned or raised."""
        return self._result.get(timeout=60)


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("tcp", [False, True])
def test_with_the_server_of_ase(path, name, client, tmp_path, tcp):
    """Energies, forces and stress of moving atoms and cells; the constraints of the file are the server's business."""
    atoms, expected = small_crystal(), small_crystal()
    atoms.set_constraint(FixAtoms([0]))
    ase.io.write(tmp_path / "start.extxyz", atoms)
    port = free_port()
    where = {"port": port} if tcp else {"unixsocket": name}
    with SocketIOCalculator(**where, timeout=60) as server:
        process = client(path, *(("--port", str(port)) if tcp else ("--unix", name)))
        atoms.set_constraint()
        atoms.calc, expected.calc = server, Calculator(path)
        for seed in range(3):
            for one in (atoms, expected):
                one.rattle(0.02, seed=seed)
                one.set_cell(one.cell.array * 1.01, scale_atoms=True)
            assert_close(atoms.get_potential_energy(), expected.get_potential_energy(), ENGINE)
            assert_close(atoms.get_forces(), expected.get_forces(), ENGINE)
            assert_close(atoms.get_stress(), expected.get_stress(), ENGINE)
    code, output, errors = ended(process)
    assert (code, errors) == (0, "")
    assert "after 3 evaluations, 0 of which extrapolate" in output


def test_structures_with_open_directions_have_no_virial(path, name):
    with SocketIOCalculator(unixsocket=name, timeout=60) as server:
        served = InThread(path, slab(), unix=name)
        atoms = slab()
        atoms.calc = server
        assert_close(atoms.get_forces(), Potential.load(path).energy_forces(slab())[1], ENGINE)
        assert not atoms.get_stress().any()
    assert served.ended() == Served(1, 0, 0.0)


def test_a_limit_ends_it_and_keeps_the_structure(narrow, name, client, tmp_path):
    atoms = molecule_rattled()
    ase.io.write(tmp_path / "start.extxyz", atoms)
    with SocketIOCalculator(unixsocket=name, timeout=60) as server:
        process = client(narrow, "--unix", name, "--extrapolation-limit", "0.2")
        atoms.calc = server
        atoms.get_potential_energy()
        atoms.positions[3] += 0.6
        with pytest.raises(OSError):  # noqa: PT011 - closed or reset, as it comes
            atoms.get_potential_energy()
    code, _, errors = ended(process)
    assert code == 1
    assert "atomcore serve: evaluation 1: " in errors
    assert "extrapolation_limit is 0.2; stopped.extxyz has the structure" in errors
    kept = read(tmp_path / "stopped.extxyz")
    assert kept.arrays["extrapolation_excess"].max() > 0.2


def test_a_server_with_other_atoms(path, name):
    with SocketIOCalculator(unixsocket=name, timeout=60) as server:
        served = InThread(path, molecule_rattled(), unix=name)
        atoms = molecule_rattled()[:1]  # numpy would spread one position over all atoms
        atoms.calc = server
        with pytest.raises(OSError):  # noqa: PT011 - closed or reset, as it comes
            atoms.get_potential_energy()
    error = served.ended()
    assert isinstance(error, ValueError)
    assert str(error) == "the server has sent 1 atoms; accepted: 9, as at the start"


POSITIONS = np.int32(9).tobytes() + np.full((9, 3), np.nan).tobytes()
CELLS = np.eye(3).tobytes() * 2


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"POSDATA     " + CELLS[:100], "the server has broken off: within a message"),
        (b"POSDATA     " + CELLS + POSITIONS, "what the protocol does not have here"),
        (b"GETFORCE    ", "what the protocol does not have here"),
        (b"NONSENSE    ", "what the protocol does not have here: .*NONSENSE"),
    ],
)
def test_what_a_server_must_not_send(path, sent, message):
    with socket.create_server(("localhost", 0)) as listening:
        served = InThread(path, molecule_rattled(), port=listening.getsockname()[1])
        listening.settimeout(60)
        with listening.accept()[0] as connection:
            connection.sendall(sent)
    error = served.ended()
    assert isinstance(error, AtomcoreError)
    assert re.search(message, str(error))


def test_no_server(path, monkeypatch):
    monkeypatch.setattr("atomcore.calculators.ipi._PATIENCE", 0.5)
    error = InThread(path, molecule_rattled(), port=free_port()).ended()
    assert isinstance(error, OSError)
    assert str(error).startswith("no server answers at localhost:")


def test_unusable_arguments(path, tmp_path, capsys):
    unknown = molecule_rattled()
    unknown.symbols[0] = "S"
    start = tmp_path / "start.extxyz"
    ase.io.write(start, unknown)
    assert main(["serve", str(path), str(start), "--unix", "nobody"]) == 2
    assert "it knows 1 (H)" in capsys.readouterr().err
    assert main(["serve", str(path), str(start), "--port", "0"]) == 2
    assert capsys.readouterr().err == "atomcore serve: --port is 0; accepted: 1 to 65535\n"
    with pytest.raises(SystemExit):
        main(["serve", str(path), str(start)])
    charges = random_model(target="charges").write(tmp_path / "charges.atomcore")
    assert main(["serve", str(charges), str(start), "--unix", "nobody"]) == 2
    assert "predicts charges" in capsys.readouterr().err


def ipi_input(atoms, name):
    """Write what i-PI needs for NVE dynamics of these atoms at rest, all in atomic units."""
    masses = ", ".join(repr(m) for m in (atoms.get_masses() * units._amu / units._me).tolist())
    cell, positions = atoms.cell.array / units.Bohr, atoms.positions / units.Bohr
    step = STEP * units.fs / units.AUT
    frame = [str(len(atoms)), f"# CELL(H): {' '.join(map(repr, cell.T.ravel().tolist()))}"]
    frame += [f"{s} {x!r} {y!r} {z!r}" for s, (x, y, z) in zip(atoms.symbols, positions.tolist(), strict=True)]
    Path("init.xyz").write_text("\n".join(frame) + "\n")
    Path("input.xml").write_text(f"""<simulation verbosity='quiet' floatformat='%.16e'>
      <output prefix='run'>
        <properties filename='out' stride='1'> [step, potential, virial_md, volume] </properties>
        <trajectory filename='excess' stride='1' extra_type='extrapolation_excess'> extras </trajectory>
        <trajectory filename='grade' stride='1' extra_type='extrapolation_grade'> extras </trajectory>
      </output>
      <total_steps>{STEPS}</total_steps>
      <prng><seed>1</seed></prng>
      <ffsocket mode='unix' name='atomcore' pbc='False'><address>{name}</address></ffsocket>
      <system>
        <initialize nbeads='1'>
          <file mode='xyz' units='atomic_unit' cell_units='atomic_unit'> init.xyz </file>
          <masses mode='manual' units='atomic_unit'> [{masses}] </masses>
        </initialize>
        <forces><force forcefield='atomcore'/></forces>
        <motion mode='dynamics'>
          <dynamics mode='nve'><timestep units='atomic_unit'>{step!r}</timestep></dynamics>
        </motion>
      </system>
    </simulation>""")


def dynamics_of_ase(atoms, path):
    """Energies [n] in eV, virials [n, 6] in eV/A^3, excesses and grades [n, N] of the same dynamics."""
    atoms.calc = Calculator(path)
    dynamics, rows = VelocityVerlet(atoms, STEP * units.fs), []
    for _ in range(STEPS + 1):
        stress = atoms.get_stress() if atoms.pbc.all() else np.zeros(6)
        energy, known = atoms.get_potential_energy(), atoms.calc.results
        rows.append((energy, -stress, known["extrapolation_excess"], known["extrapolation_grade"]))
        dynamics.run(1)
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("structure", [molecule_rattled, small_crystal])
@pytest.mark.filterwarnings("ignore:.*Predictions there are guesses")
def test_dynamics_of_ipi(narrow, name, client, tmp_path, monkeypatch, structure):
    """Energies, virials and the extrapolation of each step are those of ASE's dynamics with the calculator."""
    pytest.importorskip("ipi", reason="i-PI is not installed")
    program = shutil.which("i-pi", path=str(Path(sys.executable).parent))
    assert program
    monkeypatch.chdir(tmp_path)
    atoms = structure()
    if atoms.pbc.all():
        atoms.set_cell(atoms.cell.standard_form()[0].array, scale_atoms=True)  # i-PI wants triangular cells
    ase.io.write("start.extxyz", atoms)
    if not atoms.pbc.any():
        atoms.set_cell(np.eye(3) * 40)
    ipi_input(atoms, name)
    process = client(narrow, "--unix", name)
    run_command([program, "input.xml"], cwd=tmp_path, timeout=60, OMP_NUM_THREADS="1")
    code, output, _ = ended(process)
    assert code == 0
    assert f"after {STEPS + 1} evaluations" in output
    out = np.loadtxt("run.out")
    energies, virials, excesses, grades = dynamics_of_ase(atoms, narrow)
    assert f"largest extrapolation grade {np.max(grades):.3g} (1:" in output
    assert_close(out[:, 1] * units.Ha, energies, ENGINE)
    assert_close(out[:, 2:8] * units.Ha / units.Bohr**3, virials[:, [0, 1, 2, 5, 4, 3]], ENGINE)
    for file, expected in (("run.excess_0", excesses), ("run.grade_0", grades)):
        lines = Path(file).read_text().splitlines()[1::2]
        assert_close(np.array([line.split() for line in lines], float), expected, ENGINE)
        assert expected[-1].max() > 0
