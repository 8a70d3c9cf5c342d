"""The C library: the same numbers as the engine in Python, every kind of model, and refusals instead of crashes."""

import ctypes
import functools
import subprocess
from concurrent.futures import ThreadPoolExecutor
from ctypes import byref, c_void_p, sizeof

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

import c_library
from atomcore import Potential, __version__
from c_library import C, Host, Info, Model, Neighbors, Options, Refused, Results, Structure, computed
from helpers import run_command
from model_builder import graded, random_model, ranged
from tolerances import ENGINE, EXACT, FLOAT32, assert_close

WHOLE = ("forces", "energies", "virials")


def crystal(repeat: int = 1) -> Atoms:
    """Return a shaken crystal of three elements in a skewed cell."""
    atoms = bulk("C", "fcc", a=4.1, cubic=True) * (repeat, 1, 1)
    atoms.symbols[1::4] = "H"
    atoms.symbols[2::4] = "O"
    atoms.set_cell(atoms.cell.array @ [[1, 0.1, 0], [0, 1, -0.1], [0.05, 0, 1]], scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    return atoms


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    model = random_model(members=3)
    ranged(model, [molecule("CH3CH2OH"), molecule("CO2")])
    return model.write(tmp_path_factory.mktemp("model") / "model.atomcore")


@pytest.fixture(scope="module")
def model(path):
    return Model(path)


def test_version():
    assert C.atomcore_version().decode() == __version__


def test_info(path, model):
    info, potential = model.info, Potential.load(path)
    assert (info.kind, info.capability, info.target) == (b"behler_parrinello", b"local", b"energy")
    assert info.cutoff == potential.cutoff
    assert [info.symbols[k].decode() for k in range(info.n_elements)] == ["H", "C", "O"]
    assert info.numbers[: info.n_elements] == [1, 6, 8]
    assert (info.members, info.has_energies, info.has_spread, info.has_ranges) == (3, 1, 1, 1)
    assert '"behler_parrinello"' in info.metadata.decode()
    assert [C.atomcore_element_index(model.model, symbol) for symbol in (b"H", b"O", b"Si", None)] == [0, 2, -1, -1]


@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
@pytest.mark.parametrize("atoms", [molecule("CH3CH2OH"), crystal(), Atoms()], ids=["molecule", "crystal", "nothing"])
def test_whole_structures(path, atoms, single):
    """The same bits as in Python, of everything that both know."""
    expected = computed(Potential.load(path, precision="float32" if single else "float64"), atoms)
    names = (*WHOLE, "energies_spread", "forces_spread", "outside", "excess", "member_forces")
    found = Model(path, single=single).compute(atoms, names)
    for name in ("energy", "forces", "energies", "energy_spread", "energies_spread", "forces_spread"):
        assert_close(found[name], expected[name], EXACT)
    assert_close(found["outside"], expected["extrapolation"], EXACT)
    assert_close(found["excess"], expected["extrapolation_excess"], EXACT)
    rounding = FLOAT32 if single else ENGINE
    assert_close(found["virials"].sum(axis=0).reshape(3, 3), found["virial"], rounding)
    assert_close(found["member_forces"].mean(axis=0), found["forces"], rounding)
    if len(atoms) and atoms.pbc.all():
        stress = -found["virial"] / atoms.get_volume()
        assert_close(stress.flat[[0, 4, 8, 5, 2, 1]], expected["stress"], ENGINE)


@pytest.mark.parametrize("threads", [1, 3])
def test_neighbor_lists_of_a_host(path, threads):
    """Elements that a host counts otherwise, a type that is not seen, bits to be masked, in any order of centres."""
    atoms = crystal(2)
    seen = atoms.copy()
    atoms += Atoms("N2", atoms.get_center_of_mass() + np.array([[0, 0, 0.5], [0, 0, -0.5]]))
    names = (*WHOLE, "member_forces", "energies_spread", "outside", "excess")
    model = Model(path, threads)
    host = Host(atoms, model.info.cutoff, ("N", "O", "H", "C"))
    host.element_of_type = np.array([-5, 2, 0, 1], np.int32)
    host.mask = 0x3FFFFFFF
    host.lists = [[j | (j % 4) << 29 if j % 4 == 2 else j for j in row] for row in host.lists]
    host.centres = host.centres[::-1].copy()
    found = model.compute_neighbors(host, names)
    expected = model.compute(seen, names)
    for name in ("energy", "virial", "energy_spread"):
        assert_close(found[name], expected[name], ENGINE)
    for name in WHOLE:
        assert_close(host.folded(found[name])[: len(seen)], expected[name], ENGINE)
    for name in ("outside", "excess", "energies_spread"):
        assert_close(found[name][: len(seen)], expected[name], ENGINE)
        assert not found[name][len(seen) :].any()
    for found_one, expected_one in zip(found["member_forces"], expected["member_forces"], strict=True):
        assert_close(host.folded(found_one)[: len(seen)], expected_one, ENGINE)


def test_arrays_are_added_to_and_others_are_left_alone(model):
    atoms = molecule("CO2")
    first = model.compute(atoms, WHOLE)
    arrays = {name: first[name].copy() for name in WHOLE}
    results = Results(energy=7.0, energy_spread=-3.0, **{name: array.ctypes.data for name, array in arrays.items()})
    numbers = atoms.numbers.astype(np.int32)
    structure = Structure(n_atoms=3, positions=atoms.positions.ctypes.data, numbers=numbers.ctypes.data)
    c_library.check(C.atomcore_compute(model.workspace, byref(structure), byref(results)))
    for name in WHOLE:
        assert_close(arrays[name], 2 * first[name], EXACT)
    assert (results.energy, results.energy_spread) == (first["energy"], -3.0)


def test_eight_threads_on_one_model(path):
    """Each with a workspace of its own, whole structures and lists by turns: the same bits as alone."""
    atoms = [crystal(), molecule("CH3CH2OH"), molecule("CO2")]
    hosts = [Host(item, 4.0, ("H", "C", "O")) for item in atoms]
    shared = Model(path)

    def results(workspace: c_void_p) -> list[bytes]:
        own = Model.__new__(Model)
        own.model, own.info, own.workspace = c_void_p(), shared.info, workspace
        found = []
        for k in range(200):
            item = k % len(atoms)
            values = own.compute_neighbors(hosts[item], ("forces",)) if k % 2 else own.compute(atoms[item], ("forces",))
            found.append(values["forces"].tobytes())
        return found

    def made() -> c_void_p:
        workspace = c_void_p()
        c_library.check(C.atomcore_workspace_create(shared.model, 1, byref(workspace)))
        return workspace

    for host in hosts:
        host.struct = functools.partial(lambda struct: struct, host.struct())  # made once, and read by all threads
    alone = results(made())
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(results, [made() for _ in range(8)]):
            assert found == alone


@pytest.mark.parametrize("size", [0, 7, 8, 17, 4104, 2**63])
@pytest.mark.parametrize("struct", [Results, Structure, Neighbors, Info, Options])
def test_sizes_that_make_no_sense(path, model, struct, size):
    given = {kind: kind() for kind in (Results, Structure, Neighbors, Info, Options)}
    given[struct].size = size
    if struct is Info:
        status = C.atomcore_model_info(model.model, byref(given[Info]))
    elif struct is Options:
        status = C.atomcore_model_load(str(path).encode(), byref(given[Options]), byref(c_void_p()))
    elif struct is Neighbors:
        status = C.atomcore_compute_neighbors(model.workspace, byref(given[Neighbors]), byref(given[Results]))
    else:
        status = C.atomcore_compute(model.workspace, byref(given[Structure]), byref(given[Results]))
    assert c_library.STATUS[status] == "invalid value"
    assert f"->size is {size}" in C.atomcore_last_error().decode()


def test_structs_of_older_and_newer_hosts(model):
    """Members behind the size are neither read nor written; of a larger struct the rest is left alone."""
    atoms = molecule("CO2")
    numbers = atoms.numbers.astype(np.int32)
    structure = Structure(n_atoms=3, positions=atoms.positions.ctypes.data, numbers=numbers.ctypes.data, cell=1, pbc=1)
    structure.size = Structure.cell.offset
    forces = np.zeros((3, 3))
    old = Results(forces=forces.ctypes.data, energies=1, excess=1, energy_spread=5.0)
    old.size = Results.energies.offset
    c_library.check(C.atomcore_compute(model.workspace, byref(structure), byref(old)))
    expected = model.compute(atoms, ("forces",))
    assert (old.size, old.energy, old.energy_spread, old.energies) == (24 + 72, expected["energy"], 5.0, 1)
    assert_close(forces, expected["forces"], EXACT)

    class Newer(ctypes.Structure):
        _fields_ = (("known", Info), ("unknown", ctypes.c_double * 3))

    newer = Newer(unknown=(1.0, 2.0, 3.0))
    newer.known.size = sizeof(Newer)
    c_library.check(C.atomcore_model_info(model.model, ctypes.cast(byref(newer), ctypes.POINTER(Info))))
    assert (list(newer.unknown), newer.known.size, newer.known.members) == ([1.0, 2.0, 3.0], sizeof(Newer), 3)
    part = Info(members=77)
    part.size = Info.members.offset
    c_library.check(C.atomcore_model_info(model.model, byref(part)))
    assert (part.kind, part.members, part.size) == (b"behler_parrinello", 77, Info.members.offset)


BAD_STRUCTURES = {
    "n_atoms is -1": {"n_atoms": -1},
    "positions is NULL": {"positions": None},
    "numbers is NULL": {"numbers": None},
    "positions must be finite": {"positions": np.array([[0, 0, np.nan], [0, 0, 1.0]])},
    "positions": {"positions": np.array([[0, 0, np.inf], [0, 0, 1.0]])},
    "positions: atoms 0 and 1 are at the same place": {"positions": np.zeros((2, 3))},
    "numbers: .*14 .Si.*1 .H., 6 .C., 8 .O.": {"numbers": np.array([14, 1], np.int32)},
    "numbers": {"numbers": np.array([-6, 119], np.int32)},
    "cell: lattice vector 2 is zero": {"cell": np.diag([5.0, 5.0, 0.0])},
    "cell.* must be finite": {"cell": np.diag([5.0, 5.0, np.nan])},
    "pbc": {"pbc": np.array([1, 0, 0], np.int32)},
}


@pytest.mark.parametrize("message", BAD_STRUCTURES)
def test_bad_structures(model, message):
    good = {"n_atoms": 2, "positions": np.array([[0, 0, 0], [0, 0, 1.0]]), "numbers": np.array([6, 8], np.int32)}
    forces = np.full((2, 3), 0.5)
    results = Results(forces=forces.ctypes.data, energy=0.25)
    for changes, expected in ((BAD_STRUCTURES[message], "invalid value"), ({}, "ok")):
        arrays = good | changes
        structure = Structure(**{k: v.ctypes.data if isinstance(v, np.ndarray) else v for k, v in arrays.items()})
        status = C.atomcore_compute(model.workspace, byref(structure), byref(results))
        assert c_library.STATUS[status] == expected
        if status:
            with pytest.raises(Refused, match=message):
                c_library.check(status)
            assert results.energy == 0.25
            assert (forces == 0.5).all()


BAD_LISTS = {
    "ilist.0. is 9; accepted: 0 to 2": lambda host, given: host.centres.__setitem__(0, 9),
    "ilist.2. is 0; accepted: every atom once": lambda host, given: host.centres.__setitem__(2, 0),
    "types.1. is 3; accepted: 0 to 2": lambda host, given: host.types.__setitem__(1, 3),
    "types.1. is -1": lambda host, given: host.types.__setitem__(1, -1),
    r"firstneigh.1..0. is 3; accepted: 0 to 2": lambda host, given: host._rows[1].__setitem__(0, 3),
    r"firstneigh.1..1. is -2": lambda host, given: host._rows[1].__setitem__(1, -2),
    "numneigh.2. is -4": lambda host, given: host._count.__setitem__(2, -4),
    "firstneigh.1. is NULL": lambda host, given: host._first.__setitem__(1, None),
    "positions.* finite": lambda host, given: host.positions.__setitem__((2, 1), np.nan),
    "n_atoms is -1": lambda host, given: setattr(given, "n_atoms", -1),
    "n_centres is -1": lambda host, given: setattr(given, "n_centres", -1),
    "positions is NULL": lambda host, given: setattr(given, "positions", None),
    "types is NULL": lambda host, given: setattr(given, "types", None),
    "ilist is NULL": lambda host, given: setattr(given, "ilist", None),
    "numneigh is NULL": lambda host, given: setattr(given, "numneigh", None),
    "firstneigh is NULL": lambda host, given: setattr(given, "firstneigh", None),
    "n_types is 0": lambda host, given: setattr(given, "element_of_type", given.types),
}


@pytest.mark.parametrize("message", BAD_LISTS)
def test_bad_neighbor_lists(model, message):
    host = Host(molecule("CO2"), 4.0, ("H", "C", "O"))
    given = host.struct()
    BAD_LISTS[message](host, given)
    energies = np.full(3, 0.5)
    results = Results(energies=energies.ctypes.data, energy=0.25)
    with pytest.raises(Refused, match=message) as refusal:
        c_library.check(C.atomcore_compute_neighbors(model.workspace, byref(given), byref(results)))
    assert refusal.value.status == "invalid value"
    assert results.energy == 0.25
    assert (energies == 0.5).all()


def test_null_is_refused_and_freed(path, model):
    nothing, name = c_void_p(), str(path).encode()
    structure, neighbors, results, info = Structure(), Neighbors(), Results(), Info()
    calls = [
        (C.atomcore_model_load, (None, None, byref(nothing)), "path"),
        (C.atomcore_model_load, (name, None, None), "model"),
        (C.atomcore_model_info, (None, byref(info)), "model"),
        (C.atomcore_model_info, (model.model, None), "info"),
        (C.atomcore_workspace_create, (None, 1, byref(nothing)), "model"),
        (C.atomcore_workspace_create, (model.model, 1, None), "workspace"),
        (C.atomcore_compute, (None, byref(structure), byref(results)), "workspace"),
        (C.atomcore_compute, (model.workspace, None, byref(results)), "structure"),
        (C.atomcore_compute, (model.workspace, byref(structure), None), "results"),
        (C.atomcore_compute_neighbors, (None, byref(neighbors), byref(results)), "workspace"),
        (C.atomcore_compute_neighbors, (model.workspace, None, byref(results)), "neighbors"),
        (C.atomcore_compute_neighbors, (model.workspace, byref(neighbors), None), "results"),
    ]
    for function, arguments, argument in calls:
        assert c_library.STATUS[function(*arguments)] == "invalid value"
        assert C.atomcore_last_error().decode() == f"{argument} is NULL"
    assert c_library.STATUS[C.atomcore_workspace_create(model.model, 0, byref(nothing))] == "invalid value"
    C.atomcore_model_free(None)
    C.atomcore_workspace_free(None)


def test_files_that_are_no_models(tmp_path, path):
    def status(file) -> str:
        nothing = c_void_p()
        code = C.atomcore_model_load(str(file).encode(), None, byref(nothing))
        assert nothing.value is None
        assert str(file) in C.atomcore_last_error().decode()
        return c_library.STATUS[code]

    content = path.read_bytes()
    damaged = tmp_path / "damaged"
    assert status(damaged) == "io"
    for n in (0, 7, 100, len(content) // 2, len(content) - 1):
        damaged.write_bytes(content[:n])
        assert status(damaged) == "corrupt file"
    random = np.random.default_rng(0)
    for bit in random.integers(8 * len(content), size=30):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(flipped)
        assert status(damaged) in ("corrupt file", "unsupported")


def test_what_a_model_does_not_know(tmp_path, path, model):
    single = Model(random_model().write(tmp_path / "single.atomcore"))
    charges = Model(random_model(target="charges").write(tmp_path / "charges.atomcore"))
    assert charges.info.target == b"charges"
    atoms = molecule("CO2")
    host = Host(atoms, 4.0, ("H", "C", "O"))
    for run, message in (
        (lambda: single.compute(atoms, ("forces_spread",)), "energies_spread, forces_spread"),
        (lambda: single.compute(atoms, ("grade",)), "grade"),
        (lambda: charges.compute(atoms, ("energies",)), "predicts charges"),
        (lambda: charges.compute_neighbors(host, ("energies",)), "predicts charges"),
        (lambda: model.compute_neighbors(host, ("forces_spread",)), "forces_spread is of whole structures only"),
    ):
        with pytest.raises(Refused, match=message) as refusal:
            run()
        assert refusal.value.status == "unsupported"
    found = single.compute(atoms, ("forces", "member_forces"))
    assert_close(found["member_forces"][0], found["forces"], EXACT)


def test_results_that_are_not_finite(tmp_path):
    model = random_model(activation="relu")
    for name in model.tensors:
        if name.endswith("weight"):
            model.tensors[name] = model.tensors[name].astype(float) * 1e300
    with pytest.raises(Refused, match="not finite") as refusal:
        Model(model.write(tmp_path / "model.atomcore")).compute(molecule("CO2"), ("forces",))
    assert refusal.value.status == "overflow"


def test_only_the_interface_is_exported():
    try:
        listed = run_command(["nm", "-D", "--defined-only", str(c_library.LIBRARY)])
        needed = run_command(["readelf", "-d", str(c_library.LIBRARY)])
    except (FileNotFoundError, subprocess.SubprocessError):
        pytest.skip("no nm or readelf found: the symbols of the library cannot be listed")
    names = {line.split()[-1] for line in listed.splitlines()}
    assert len(names) == 10
    assert all(name.startswith("atomcore_") for name in names)
    for foreign in ("python", "torch", "gomp", "omp", "blas"):
        assert foreign not in needed.lower()


def test_grades(tmp_path):
    file = graded(random_model()).write(tmp_path / "model.atomcore")
    model, atoms = Model(file), crystal()
    assert model.info.has_grade == 1
    expected = Potential.load(file).compute(atoms, ("extrapolation_grade",))["extrapolation_grade"]
    assert_close(model.compute(atoms, ("grade",))["grade"], expected, EXACT)
    host = Host(atoms, model.info.cutoff, ("H", "C", "O"))
    found = model.compute_neighbors(host, ("grade", "forces"))["grade"]
    assert_close(found[: len(atoms)], expected, ENGINE)
    assert not found[len(atoms) :].any()
