"""Formats beside npz and extended XYZ: what they hold arrives in eV and Angstrom, damaged files are refused."""

import json
import logging
import sqlite3
import sys

import ase.db
import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Hartree, kcal, mol
from scipy.io import savemat

import atomcore
from atomcore.data import from_atoms, load
from atomcore.data.readers import load_structure
from data_helpers import assert_same, crystals, frames
from helpers import shared_data
from tolerances import EXACT, REFERENCE, assert_close

WATER = np.array([[0.0, 0.0, 0.1], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
HYDROXYL = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.97]])


def refused_when_damaged(file, **settings):
    """Check that a file cut off anywhere in what is read of it is refused in words that name it."""
    content, expected = file.read_bytes(), load(file, **settings)
    bad, messages = file.with_name(f"bad{file.suffix}"), []
    for part in [*(content[:end] for end in np.linspace(0, len(content) - 2, 12).astype(int)), b"\x00\xff" * 500]:
        bad.write_bytes(part)
        try:
            dataset = load(bad, **settings)
        except (atomcore.AtomcoreError, ValueError) as error:
            messages.append(str(error))
        else:
            assert dataset.sha256 == expected.sha256
    assert len(messages) > 8
    assert all(bad.name in message for message in messages)


# ASE's data bases


@pytest.mark.parametrize("suffix", ["db", "json"])
def test_ase_databases(tmp_path, suffix):
    images, file = crystals(), tmp_path / f"w.{suffix}"
    with ase.db.connect(file) as database:
        for i, atoms in enumerate(images):
            database.write(
                atoms, key_value_pairs={"low": 0.5 * i}, data={"low_forces": 0.5 * atoms.get_forces(), "sigma": 2.0 + i}
            )
    dataset, expected = load(file), from_atoms(images)
    assert_same(dataset, expected)
    assert dataset.labels == ("energy", "forces", "stress", "charges")
    assert_close(dataset.stress, expected.stress, EXACT)
    assert_close(dataset.charges, expected.charges, EXACT)
    keys = {"baseline_energy_key": "low", "baseline_forces_key": "low_forces", "uncertainty_key": "sigma"}
    difference = load(file, **keys, stress_key="none")
    assert_close(difference.energy, 0.5 * expected.energy, EXACT)
    assert_close(difference.forces, 0.5 * expected.forces, EXACT)
    assert difference.uncertainty.tolist() == [2, 3, 4, 5]
    assert len(load(file, index="1:3")) == 2
    with pytest.raises(ValueError, match=r"energy is missing in structure 0.*looked for 'best'"):
        load(file, energy_key="best")
    bad = tmp_path / f"bad.{suffix}"
    bad.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(atomcore.AtomcoreError, match=rf"bad\.{suffix}"):
        load(bad)


def test_data_bases_of_other_programs_stay_as_they_are(tmp_path):
    file = tmp_path / "other.db"
    for make in (file.touch, lambda: sqlite3.connect(file).execute("CREATE TABLE prices(x)").connection.close()):
        make()
        before = file.read_bytes()
        with pytest.raises(
            atomcore.AtomcoreError, match=r"other\.db is no data base of ASE: it has no table 'systems'"
        ):
            load(file)
        assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["other.db"]


def test_labels_overlooked_in_a_database(tmp_path):
    with ase.db.connect(tmp_path / "w.db") as database:
        database.write(Atoms("OH", HYDROXYL), dft_energy=-3.0)
    with pytest.raises(ValueError, match=r"w\.db: no energy found, but 'dft_energy': name it by energy_key"):
        load(tmp_path / "w.db")
    assert load(tmp_path / "w.db", energy_key="dft_energy").energy.tolist() == [-3.0]


# Chemical JSON


def cjson(energy=-76.4, **changes):
    document = {
        "chemicalJson": 1,
        "atoms": {"elements": {"number": [8, 1, 1]}, "coords": {"3d": WATER.ravel().tolist()}},
        "properties": {"totalCharge": 0, "totalEnergy": energy},
    }
    return {key: value for key, value in (document | changes).items() if value is not None}


def written(path, content):
    path.write_text(json.dumps(content))
    return path


def test_chemical_json(tmp_path):
    dataset = load(written(tmp_path / "w.cjson", cjson()), units="hartree, Angstrom")
    assert dataset.numbers.tolist() == [8, 1, 1]
    assert not dataset.pbc.any()
    assert_close(dataset.positions, WATER, EXACT)
    assert_close(dataset.energy, [-76.4 * Hartree], REFERENCE)
    same = load(written(tmp_path / "w.json", cjson()), units="hartree, Angstrom")
    assert same.sha256 == dataset.sha256
    with pytest.raises(ValueError, match=r"data\.units .* is missing: w\.cjson does not say the unit of its energies"):
        load(tmp_path / "w.cjson")
    with pytest.raises(ValueError, match="positions of Chemical JSON are in Angstrom"):
        load(tmp_path / "w.cjson", units="hartree, bohr")
    assert load(tmp_path / "w.cjson", energy_key="none").energy is None
    assert load_structure(tmp_path / "w.cjson").get_chemical_formula() == "H2O"
    other = cjson(properties={"totalEnergy": -1.0, "low": -0.75})
    difference = load(written(tmp_path / "w.cjson", other), units="eV, Angstrom", baseline_energy_key="low")
    assert (difference.energy.tolist(), difference.baseline) == ([-0.25], "low")
    assert load(tmp_path / "w.cjson", units="eV, Angstrom", energy_key="low").energy.tolist() == [-0.75]
    assert load(written(tmp_path / "w.cjson", cjson(properties=None))).energy is None
    refused_when_damaged(written(tmp_path / "w.cjson", cjson()), units="eV, Angstrom")


def test_lists_of_chemical_json(tmp_path):
    """ML4Chem's form: a list of texts, each a document within a record."""
    old = {"chemical json": 0, "atoms": cjson()["atoms"]}
    records = [{"_id": i, "cjson": old | {"properties": {"energy": {"total": -float(i)}}}} for i in range(3)]
    for i, record in enumerate(records):
        record["cjson"]["atoms"] = {
            "elements": {"number": [8, 1, 1]},
            "coords": {"3d": (WATER * (1 + 0.01 * i)).ravel().tolist()},
        }
    file = written(tmp_path / "w.cjson", [json.dumps(record) for record in records])
    dataset = load(file, units="eV, Angstrom")
    assert dataset.energy.tolist() == [0.0, -1.0, -2.0]
    assert_close(dataset.positions[6:], 1.02 * WATER, REFERENCE)
    assert load(file, units="eV, Angstrom", index=-1).energy.tolist() == [-2.0]
    with pytest.raises(ValueError, match=r"takes none of the 3 structures of w\.cjson"):
        load(file, units="eV, Angstrom", index="5:")
    named = written(tmp_path / "w.json", [json.dumps(record) for record in records])
    assert load(named, units="eV, Angstrom").sha256 == dataset.sha256
    del records[1]["cjson"]["properties"]
    with pytest.raises(ValueError, match=r"energy is missing in structure 1 \(1 of 3"):
        load(written(tmp_path / "w.cjson", records), units="eV, Angstrom")


def test_crystals_in_chemical_json(tmp_path):
    lengths = {"a": 4.0, "b": 5.0, "c": 6.0, "alpha": 90, "beta": 90, "gamma": 60}
    fractional = {"3dFractional": [0, 0, 0, 0.5, 0.5, 0.5, 0.1, 0.2, 0.3]}
    atoms = {"elements": {"number": [29] * 3}, "coords": fractional}
    dataset = load(written(tmp_path / "w.cjson", cjson(properties=None, unitCell=lengths, atoms=atoms)))
    assert dataset.pbc.all()
    assert_close(dataset[0].cell.cellpar(), [4, 5, 6, 90, 90, 60], REFERENCE)
    assert_close(dataset[0].get_scaled_positions().ravel(), fractional["3dFractional"], REFERENCE)
    vectors = [0.0, 4, 0, 5, 0, 0, 0, 0, 6]
    dataset = load(written(tmp_path / "v.cjson", cjson(properties=None, unitCell=lengths | {"cellVectors": vectors})))
    assert dataset.cells.ravel().tolist() == vectors


@pytest.mark.parametrize(
    "changes",
    [
        {"atoms": {}},
        {"atoms": None},
        {"atoms": {"elements": {"number": [8, 1]}, "coords": {"3d": [0.0] * 9}}},
        {"atoms": {"elements": {"number": ["O"]}, "coords": {"3d": ["x"] * 3}}},
        {"properties": {"totalEnergy": "low"}},
        {"unitCell": {"a": 1.0}},
    ],
)
def test_chemical_json_that_is_none(tmp_path, changes):
    with pytest.raises(atomcore.AtomcoreError, match=r"w\.cjson is damaged or no Chemical JSON"):
        load(written(tmp_path / "w.cjson", cjson(**changes)), units="eV, Angstrom")
    for content in ([], [1], "text", None):
        with pytest.raises((atomcore.AtomcoreError, ValueError), match=r"w\.cjson"):
            load(written(tmp_path / "w.cjson", content))


# QM7


def qm7():
    rng = np.random.default_rng(61)
    z = np.array([[6, 1, 1, 1, 1], [8, 1, 1, 0, 0], [1, 1, 0, 0, 0]], np.float32)
    r = rng.normal(size=(3, 5, 3)).astype(np.float32) * (z > 0)[..., None]
    t = np.array([[-417.96, -228.9, -103.3]], np.float32)
    return {"X": np.zeros((3, 5, 5)), "R": r, "Z": z, "T": t, "P": np.array([[0, 1], [2, 0]]), "low": 0.5 * t}


def test_qm7(tmp_path, caplog):
    arrays, file = qm7(), tmp_path / "qm7.mat"
    savemat(file, arrays)
    with caplog.at_level(logging.INFO, logger="atomcore"):
        dataset = load(file)
    assert "qm7.mat: read as QM7, converted from kcal/mol, bohr to eV, Angstrom" in caplog.text
    assert dataset.n_atoms.tolist() == [5, 3, 2]
    assert dataset.elements == ("H", "C", "O")
    assert dataset.labels == ("energy",)
    assert_close(dataset.energy, arrays["T"][0].astype(float) * kcal / mol, REFERENCE)
    assert_close(dataset.positions, arrays["R"][arrays["Z"] > 0].astype(float) * Bohr, REFERENCE)
    assert load(file, units="kcal/mol, bohr", index="1:").sha256 == dataset.subset([1, 2]).sha256
    assert_close(load(file, baseline_energy_key="low").energy, 0.5 * dataset.energy, REFERENCE)
    with pytest.raises(ValueError, match=r"data\.units .* is 'eV, Angstrom', but qm7\.mat is read as QM7, in kcal/mol"):
        load(file, units="eV, Angstrom")
    with pytest.raises(ValueError, match=r"qm7\.mat has no array 'U0'; it has 'X', 'R', 'Z'"):
        load(file, energy_key="U0")
    with pytest.raises(ValueError, match=r"forces_key is 'F', but qm7\.mat is read as QM7, which has energies only"):
        load(file, forces_key="F")
    assert load(file, energy_key="none").labels == ()
    refused_when_damaged(file)
    savemat(file, arrays | {"T": arrays["T"][:, :2]})
    with pytest.raises(atomcore.AtomcoreError, match=r"qm7\.mat is damaged or no QM7"):
        load(file)
    for change, message in ((arrays["Z"] + 0.5, "not whole"), (arrays["Z"][:, ::-1], "zeros before atoms")):
        savemat(file, arrays | {"Z": change})
        with pytest.raises(atomcore.AtomcoreError, match=message):
            load(file)
    savemat(file, {"X": arrays["X"], "T": arrays["T"]})
    with pytest.raises(ValueError, match=r"qm7\.mat has no array 'R'; it has 'X', 'T'"):
        load(file)


def test_qm7_as_published(tmp_path):
    """The shared set in the layout of the published file comes back as it is."""
    arrays = np.load(shared_data("qm7/qm7.npz"))
    published = {"R": (arrays["R"] / Bohr), "Z": arrays["Z"].astype(np.float32), "T": arrays["E"][None]}
    savemat(tmp_path / "qm7.mat", published)
    dataset, expected = load(tmp_path / "qm7.mat"), load(shared_data("qm7/qm7.npz"), units="kcal/mol, Angstrom")
    assert_close(dataset.energy, expected.energy, REFERENCE)
    assert_close(dataset.positions, expected.positions, REFERENCE)
    assert dataset.numbers.tolist() == expected.numbers.tolist()


# ANI's records


def ani(file, *, elements="species", **more):
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(62)
    with h5py.File(file, "w") as archive:
        for name, symbols, m in (("gdb/a", "OHH", 3), ("gdb/b", "CHHHH", 2)):
            group = archive.create_group(name)
            numbers = [{"H": 1, "C": 6, "O": 8}[symbol] for symbol in symbols]
            group[elements] = list(symbols) if elements == "species" else np.array(numbers, np.uint8)
            group["coordinates"] = rng.normal(size=(m, len(symbols), 3)).astype(np.float32)
            group["energies"] = rng.normal(size=m)
            group["forces"] = rng.normal(size=(m, len(symbols), 3))
            group["coordinatesHE"], group["energiesHE"] = np.zeros((1, len(symbols), 3)), np.zeros(1)
            group["smiles"] = ["O"]
            for key, factor in more.items():
                group[key] = factor * np.ones(m)
    return file


@pytest.mark.parametrize("elements", ["species", "atomic_numbers"])
@pytest.mark.parametrize("suffix", ["h5", "hdf5"])
def test_ani_records(tmp_path, suffix, elements, caplog):
    h5py = pytest.importorskip("h5py")
    file = ani(tmp_path / f"a.{suffix}", elements=elements)
    with caplog.at_level(logging.INFO, logger="atomcore"):
        dataset = load(file)
    assert "read as ANI records in HDF5, converted from hartree, Angstrom" in caplog.text
    assert dataset.n_atoms.tolist() == [3, 3, 3, 5, 5]
    assert dataset.numbers[:3].tolist() == [8, 1, 1]
    with h5py.File(file) as archive:
        groups = [archive["gdb/a"], archive["gdb/b"]]
        energies, forces, positions = (
            np.concatenate([np.asarray(group[key], float).reshape(-1, *group[key].shape[2:]) for group in groups])
            if key != "energies"
            else np.concatenate([group[key] for group in groups])
            for key in ("energies", "forces", "coordinates")
        )
    assert_close(dataset.energy, energies * Hartree, REFERENCE)
    assert_close(dataset.forces, forces * Hartree, REFERENCE)
    assert_close(dataset.positions, positions, EXACT)
    assert load(file, index="1::2").sha256 == dataset.subset([1, 3]).sha256
    assert load(file, index=-1).sha256 == dataset.subset([4]).sha256


def test_labels_of_ani_records(tmp_path):
    h5py = pytest.importorskip("h5py")
    file = ani(tmp_path / "a.h5", best=-2.0, low=-1.5)
    dataset = load(file, energy_key="best", baseline_energy_key="low", forces_key="none")
    assert_close(dataset.energy, np.full(5, -0.5 * Hartree), REFERENCE)
    assert dataset.baseline == "low"
    with pytest.raises(
        ValueError, match=r"a\.h5 has no 'dft' in group 'gdb/a' \(2 of 2 have none\); the groups have 'best'"
    ):
        load(file, energy_key="dft")
    with pytest.raises(
        ValueError, match=r"stress_key is 's', but a\.h5 is read as ANI records in HDF5, which has none"
    ):
        load(file, stress_key="s")
    with pytest.raises(
        ValueError, match=r"data\.units .* is 'eV, Angstrom', but a\.h5 is read as .*, in hartree, Angstrom"
    ):
        load(file, units="eV, Angstrom")
    with h5py.File(file, "a") as archive:
        del archive["gdb/b/energies"]
    with pytest.raises(ValueError, match=r"a\.h5 has no 'energies' in group 'gdb/b' \(1 of 2 have none\)"):
        load(file)
    with h5py.File(file, "a") as archive:
        del archive["gdb/a/energies"]
        archive["gdb/a/wb97x.energy"] = archive["gdb/b/wb97x.energy"] = np.zeros(1)
    with pytest.raises(ValueError, match=r"a\.h5: no energy found, but 'energiesHE', 'wb97x\.energy': name it by"):
        load(file)


def test_damaged_ani_records(tmp_path):
    h5py = pytest.importorskip("h5py")
    refused_when_damaged(ani(tmp_path / "a.h5"))
    with h5py.File(tmp_path / "empty.h5", "w") as archive:
        archive["x"] = np.zeros(3)
    with pytest.raises(atomcore.AtomcoreError, match=r"empty\.h5 holds no ANI records in HDF5: no group has 'coord"):
        load(tmp_path / "empty.h5")
    for key, value in (("species", ["Q", "H", "H"]), ("energies", np.zeros(7)), ("coordinates", np.zeros((3, 9)))):
        with h5py.File(ani(tmp_path / "b.h5"), "a") as archive:
            del archive[f"gdb/a/{key}"]
            archive[f"gdb/a/{key}"] = value
        with pytest.raises(atomcore.AtomcoreError, match=r"b\.h5 is damaged or no ANI records"):
            load(tmp_path / "b.h5")


def test_without_h5py(tmp_path, monkeypatch):
    (tmp_path / "a.h5").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r'reading a\.h5 needs h5py: pip install "atomcore\[data\]"'):
        load(tmp_path / "a.h5")


# QCSchema


def qcschema(driver="gradient", **changes):
    gradient = np.arange(9.0).reshape(3, 3) / 100
    result = {
        "schema_name": "qcschema_output",
        "schema_version": 1,
        "molecule": {"symbols": ["O", "H", "H"], "geometry": (WATER / Bohr).ravel().tolist()},
        "driver": driver,
        "model": {"method": "HF", "basis": "sto-3g"},
        "properties": {"return_energy": -74.9, "scf_total_energy": -74.5, "calcinfo_natom": 3},
        "return_result": gradient.ravel().tolist() if driver == "gradient" else -74.9,
        "success": True,
    }
    return result | changes


def test_qcschema(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="atomcore"):
        dataset = load(written(tmp_path / "w.json", qcschema()))
    assert "w.json: read as QCSchema, converted from hartree, bohr" in caplog.text
    assert_close(dataset.positions, WATER, REFERENCE)
    assert_close(dataset.energy, [-74.9 * Hartree], REFERENCE)
    assert_close(dataset.forces.ravel(), -np.arange(9.0) / 100 * Hartree / Bohr, REFERENCE)
    low = load(tmp_path / "w.json", baseline_energy_key="scf_total_energy", forces_key="none")
    assert_close(low.energy, [-0.4 * Hartree], REFERENCE)
    several = [qcschema("energy"), qcschema("energy", molecule=qcschema()["molecule"] | {"symbols": ["S", "H", "H"]})]
    dataset = load(written(tmp_path / "s.json", several))
    assert dataset.labels == ("energy",)
    assert dataset.elements == ("H", "O", "S")
    optimization = {"schema_name": "qcschema_optimization_output", "trajectory": [qcschema(), qcschema()]}
    assert load(written(tmp_path / "o.json", optimization)).n_duplicates == 1
    with pytest.raises(
        ValueError, match=r"data\.units .* is 'eV, Angstrom', but w\.json is read as QCSchema, in hartree, bohr"
    ):
        load(tmp_path / "w.json", units="eV, Angstrom")
    refused_when_damaged(tmp_path / "w.json")


def test_qcschema_that_is_none(tmp_path):
    failed = qcschema(success=False, error={"error_type": "convergence_error", "error_message": "no convergence"})
    with pytest.raises(atomcore.AtomcoreError, match=r"result 1 of w\.json is of a calculation that failed: .*no conv"):
        load(written(tmp_path / "w.json", [qcschema(), failed]))
    for changes in (
        {"molecule": {"symbols": ["O", "H"], "geometry": [0.0] * 9}},
        {"molecule": {"symbols": ["Q"], "geometry": [0.0] * 3}},
        {"molecule": {"symbols": ["O"]}},
        {"return_result": [0.0, 1.0]},
        {"return_result": "low"},
    ):
        with pytest.raises((atomcore.AtomcoreError, ValueError), match=r"w\.json is damaged or no QCSchema|forces of"):
            load(written(tmp_path / "w.json", qcschema(**changes)))
    ghost = qcschema()["molecule"] | {"real": [True, True, False]}
    with pytest.raises(atomcore.AtomcoreError, match=r"result 0 of w\.json has ghost atoms"):
        load(written(tmp_path / "w.json", qcschema(molecule=ghost)))
    load(written(tmp_path / "w.json", qcschema(molecule=ghost | {"real": [True] * 3})))
    for content in ([], [1], "text", {"schema": 1}):
        with pytest.raises((atomcore.AtomcoreError, ValueError), match=r"w\.json"):
            load(written(tmp_path / "w.json", content))


# pymatgen


def test_pymatgen():
    core = pytest.importorskip("pymatgen.core")
    from pymatgen.entries.computed_entries import ComputedStructureEntry

    images = crystals()
    structures = [
        core.Structure(atoms.cell.array, ["Cu", "Cu"], atoms.positions, coords_are_cartesian=True) for atoms in images
    ]
    expected = from_atoms(images)
    for structure, atoms in zip(structures, images, strict=True):
        structure.add_site_property("forces", atoms.get_forces().tolist())
    entries = [
        ComputedStructureEntry(structure, i, correction=5.0, data={"s": expected.stress[i].tolist()})
        for i, structure in enumerate(structures)
    ]
    dataset = atomcore.data.from_pymatgen(entries, stress_key="s", source="entries")
    assert_same(dataset, expected, REFERENCE)
    assert_close(dataset.stress, expected.stress, EXACT)
    assert dataset.source == "entries"
    assert atomcore.data.from_pymatgen(structures).labels == ("forces",)
    molecule = core.Molecule(["O", "H", "H"], WATER)
    dataset = atomcore.data.from_pymatgen([molecule])
    assert (dataset.elements, dataset.pbc.any()) == (("H", "O"), False)
    disordered = core.Structure(np.eye(3) * 4, [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(ValueError, match="ordered"):
        atomcore.data.from_pymatgen([disordered])
    with pytest.raises(TypeError, match=r"objects has .*; accepted: Structure, Molecule and ComputedStructureEntry"):
        atomcore.data.from_pymatgen(frames(1))
