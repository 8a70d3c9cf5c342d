"""Files of sGDML and mbGDML: what they hold arrives in eV and Angstrom, what is written loads there, nothing is run."""

import logging
import pickle
import re
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
from ase.units import Bohr, kcal, mol

import atomcore
from atomcore.data import load
from atomcore.data.readers.sgdml import fingerprints
from atomcore.interop import sgdml
from atomcore.interop.pickles import read_objects
from atomcore.models.gdml import GDML
from helpers import Payload, shared_data
from sgdml_files import PERMUTATIONS, predicted_energy, random_model, saved, surface, water_arrays
from sgdml_peer import sgdml as peer
from tolerances import EXACT, PEER, PRINTED, REFERENCE, assert_close

KCAL = kcal / mol
DIALECTS = pytest.mark.parametrize("dialect", ["sgdml", "mbgdml"])


# Objects


def objects(value, protocol=3):
    holder = np.empty((), object)
    holder[()] = value
    return pickle.dumps(holder, protocol)


SCALAR = re.compile(r"np\.(?:float64|int32|str_)\(([^)]*)\)")  # arrives as the plain value that it is
VALUES = [
    {"mae": 0.25, "rmse": float("inf")},
    {0: "2339670ad87a606cb11a72191dfd9f58", 17: "é"},
    {"mae": np.float64(0.1), "n": np.int32(-3), "text": np.str_("ab"), "yes": np.True_},
    None,
    [1, 2**40, -(2**70), (True, False, ()), b"bytes", {}],
    {"list": [[1.5], [2.5, [3.5]]], "array": np.arange(6.0).reshape(2, 3), "big": np.array([1, 2], ">i2")},
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_are_read_as_they_were_written(protocol):
    for value in VALUES:
        new = objects(value, protocol)
        old = new.replace(b"cnumpy._core.", b"cnumpy.core.")  # as NumPy 1 wrote them
        for content in (new, old) if protocol < 4 else (new,):
            found = read_objects(content)
            assert found.shape == ()
            assert repr(found.item()) == SCALAR.sub(r"\1", repr(value)).replace("np.True_", "True")


def test_arrays_of_objects_keep_their_shape():
    array = np.empty((2, 2), object)
    array[0, 0], array[0, 1], array[1, 0], array[1, 1] = [1, 2], "x", None, {"a": 1.0}
    for given in (array, np.asfortranarray(array)):
        assert read_objects(pickle.dumps(given, 3)).tolist() == array.tolist()


class Calls:
    """Unpickled, this calls a function of a module."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_hostile_objects_are_refused(tmp_path, protocol):
    marker = tmp_path / "marker"
    hostile = [
        Payload(marker),
        {"mae": Payload(marker)},
        Calls(eval, f"__import__('os').mkdir({str(marker)!r})"),
        Calls(np.ones, (3,)),
        {("key",): 1.0},
        complex(1, 2),
        {1, 2},
    ]
    for value in hostile:
        content = objects(value, protocol)
        with pytest.raises(ValueError, match=r"refused|accepted"):
            read_objects(content)
        file = tmp_path / "model.npz"
        with zipfile.ZipFile(file, "w") as archive, archive.open("f_err.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": ()})
            member.write(content)
        with pytest.raises(atomcore.AtomcoreError, match=r"model\.npz"):
            sgdml.read_model_file(file)
    assert not marker.exists()


def test_objects_cut_off_or_changed_are_refused_in_words():
    whole = objects(VALUES[2], 3)
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"\w"):
            read_objects(whole[:end])
    rng = np.random.default_rng(8)
    for _ in range(500):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        try:
            read_objects(bytes(changed))
        except ValueError:
            continue


# Data sets


@DIALECTS
def test_data_sets_arrive_in_our_units(tmp_path, dialect, caplog):
    arrays = water_arrays(dialect=dialect)
    arrays["md5"] = np.array(
        fingerprints(arrays)[dialect].encode() if dialect == "sgdml" else fingerprints(arrays)[dialect]
    )
    file = saved(tmp_path / "water.npz", arrays)
    with caplog.at_level(logging.WARNING, logger="atomcore"):
        held = sgdml.read_dataset(file)
        dataset = load(file)
    assert "fingerprint" not in caplog.text
    assert dataset.sha256 == held.dataset.sha256
    assert_close(dataset.positions, arrays["R"].reshape(-1, 3), EXACT)
    assert_close(dataset.energy, arrays["E"] * KCAL, REFERENCE)
    assert_close(dataset.forces, arrays["F"].reshape(-1, 3) * KCAL, REFERENCE)
    assert (held.name, held.theory) == ("water", "mp2")
    if dialect == "mbgdml":
        assert (held.comp_ids, held.order) == (("h2o",), 1)
        assert held.origins == {0: "2339670ad87a606cb11a72191dfd9f58"}
        assert held.origin_of.tolist() == arrays["r_prov_specs"].tolist()


def test_what_data_sets_of_these_programs_may_lack(tmp_path):
    whole = water_arrays()
    arrays = {key: whole[key] for key in ("z", "R", "E", "F")}
    arrays["E"] = arrays["E"][:, None]
    file = saved(tmp_path / "water.npz", arrays)
    with pytest.raises(ValueError, match=r"data\.units .* is missing: water\.npz does not say its units"):
        load(file)
    dataset = load(file, units="kcal/mol, Angstrom")
    assert_close(dataset.energy, whole["E"] * KCAL, REFERENCE)
    file = saved(
        tmp_path / "old.npz", arrays | {"type": np.array(b"d"), "r_unit": np.array("Ang"), "e_unit": np.array("n/a")}
    )
    with pytest.raises(ValueError, match=r"is missing: old\.npz"):
        load(file)
    assert load(file, units="kcal/mol, Angstrom").sha256 == dataset.sha256
    file = saved(tmp_path / "both.npz", whole)
    with pytest.raises(ValueError, match=r"is 'eV, Angstrom', but both\.npz declares 'kcal/mol, Angstrom'"):
        load(file, units="eV, Angstrom")
    saved(file, whole | {"e_unit": np.array("furlong")})
    with pytest.raises(ValueError, match="unknown unit 'furlong'"):
        load(file)
    saved(file, {key: whole[key] for key in ("type", "R", "E", "F")})
    with pytest.raises(ValueError, match=r"both\.npz has no array 'Z'"):
        load(file)
    own = {"Z": whole["z"], "R": whole["R"], "E": whole["E"], "type": np.array(["a", "b"])}  # somebody else's
    assert load(saved(file, own), units="eV, Angstrom").labels == ("energy",)


def test_lattice_vectors_are_columns_there(tmp_path):
    lattice = np.array([[9.0, 0, 0], [1.0, 8, 0], [0.5, 0.25, 7]])
    arrays = water_arrays() | {"lattice": lattice.T, "r_unit": np.array("bohr"), "e_unit": np.array("eV")}
    dataset = load(saved(tmp_path / "water.npz", arrays))
    assert dataset.pbc.all()
    assert_close(dataset.cells[0], lattice * Bohr, REFERENCE)
    sgdml.write_dataset(dataset, tmp_path / "again.npz", units="eV, bohr")
    with np.load(tmp_path / "again.npz") as again:
        assert_close(again["lattice"], lattice.T, REFERENCE)


@DIALECTS
def test_data_sets_go_out_and_come_back(tmp_path, dialect):
    held = replace(
        sgdml.read_dataset(saved(tmp_path / "a.npz", water_arrays(dialect=dialect))), permutations=PERMUTATIONS
    )
    for units, tolerance in (("eV, Angstrom", EXACT), ("hartree, bohr", REFERENCE)):
        fingerprint = sgdml.write_dataset(held, tmp_path / "b.npz", dialect=dialect, units=units)
        again = sgdml.read_dataset(tmp_path / "b.npz")
        assert_close(again.dataset.positions, held.dataset.positions, tolerance)
        assert_close(again.dataset.energy, held.dataset.energy, tolerance)
        assert_close(again.dataset.forces, held.dataset.forces, tolerance)
        for field in fields(held):
            if field.name != "dataset":
                assert np.array_equal(getattr(again, field.name), getattr(held, field.name)), field.name
        with np.load(tmp_path / "b.npz", allow_pickle=False) as arrays:
            plain = {key: arrays[key] for key in arrays if key != "r_prov_ids"}
        assert fingerprint == fingerprints(plain)[dialect]
        assert plain["md5"].dtype == ("S32" if dialect == "sgdml" else "<U32")
    assert "z" in plain if dialect == "sgdml" else "Z" in plain


def test_fingerprints_are_those_of_the_programs():
    """The two that gdml.md names for the shared set, whose numbers were stored as 64-bit integers."""
    with np.load(shared_data("water_mp2/1h2o.npz")) as file:
        arrays = dict(file)
    made = fingerprints(arrays | {"Z": arrays["Z"].astype(np.int64)})
    assert made == {"sgdml": "cd18188f38933a680a4184a5ae68e055", "mbgdml": "615f82452c46250df5f82c8a9a145536"}


def test_changed_data_are_noticed(tmp_path, caplog):
    arrays = water_arrays()
    arrays["md5"] = np.array(fingerprints(arrays)["sgdml"])
    arrays["E"] = arrays["E"] + 1
    file = saved(tmp_path / "water.npz", arrays)
    with caplog.at_level(logging.WARNING, logger="atomcore"):
        load(file)
    assert "water.npz: its fingerprint is" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="atomcore"):
        load(file, energy_key="none")  # not all of what it is of is read
    assert "fingerprint" not in caplog.text


def test_data_sets_that_these_programs_cannot_hold(tmp_path):
    held = sgdml.read_dataset(saved(tmp_path / "a.npz", water_arrays(dialect="mbgdml")))
    with pytest.raises(ValueError, match=r"dialect is 'gdml'; accepted: 'sgdml', 'mbgdml'"):
        sgdml.write_dataset(held, tmp_path / "b.npz", dialect="gdml")
    mixed = "hartree, Angstrom, hartree/bohr"
    with pytest.raises(ValueError, match="accepted in these files: forces in hartree/Angstrom"):
        sgdml.write_dataset(held, tmp_path / "b.npz", units=mixed)
    with pytest.raises(ValueError, match="accepted in these files: forces in hartree/Angstrom"):
        sgdml.write_model_file(random_model(), tmp_path / "b.npz", units=mixed)
    with pytest.raises(TypeError, match="model is ndarray; accepted: a GDML model"):
        sgdml.write_model(np.zeros(3), tmp_path / "b.npz")
    with pytest.raises(ValueError, match="data has no forces"):
        sgdml.write_dataset(replace(held.dataset, forces=None), tmp_path / "b.npz")
    swapped = held.dataset.numbers.copy()
    swapped[3:5] = swapped[3:5][::-1]
    with pytest.raises(
        ValueError, match=r"structure 1 has atomic numbers \[1, 8, 1\] where structure 0 has \[8, 1, 1\]"
    ):
        sgdml.write_dataset(replace(held.dataset, numbers=swapped), tmp_path / "b.npz")
    cells = np.tile(9 * np.eye(3), (6, 1, 1))
    cells[4] *= 1.1
    with pytest.raises(ValueError, match=r"structure 4 has cell .*; accepted by sGDML: one cell"):
        sgdml.write_dataset(replace(held.dataset, cells=cells, pbc=np.ones((6, 3), bool)), tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"entity_ids are \[0\], but comp_ids has 2 names"):
        replace(held, comp_ids=("h2o", "h2o"))
    with pytest.raises(ValueError, match="permutations must have each of 0 to 2 once"):
        replace(held, permutations=np.array([[0, 1, 1]]))
    assert not (tmp_path / "b.npz").exists()


def test_extended_xyz_keeps_where_structures_come_from(tmp_path):
    arrays = water_arrays(dialect="mbgdml")
    arrays["r_prov_specs"] = np.arange(6 * 9).reshape(6, 9)  # ASE makes a matrix of nine numbers
    held = replace(sgdml.read_dataset(saved(tmp_path / "a.npz", arrays)), permutations=PERMUTATIONS)
    sgdml.write_xyz(held, tmp_path / "a.xyz")
    again = sgdml.read_xyz(tmp_path / "a.xyz")
    for field in fields(held):
        if field.name != "dataset":
            assert np.array_equal(getattr(again, field.name), getattr(held, field.name)), field.name
    assert_close(again.dataset.energy, held.dataset.energy, REFERENCE)
    assert_close(again.dataset.forces, held.dataset.forces, PRINTED)
    assert_close(load(tmp_path / "a.xyz").positions, held.dataset.positions, PRINTED)


def test_other_kinds_of_files_are_named(tmp_path):
    sgdml.write_model_file(random_model(), tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"m\.npz is a model of sGDML or mbGDML; accepted: their data sets"):
        load(tmp_path / "m.npz")
    file = saved(tmp_path / "d.npz", water_arrays())
    with pytest.raises(atomcore.AtomcoreError, match=r"d\.npz is no file .* with a model, but a data set"):
        sgdml.read_model_file(file)
    with pytest.raises(atomcore.AtomcoreError, match="but none of their files; it has x"):
        sgdml.read_model_file(saved(tmp_path / "x.npz", {"x": np.zeros(3)}))
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        sgdml.read_model_file(tmp_path / "none.npz")


# Models


MODELS = pytest.mark.parametrize(
    "model",
    [random_model(), random_model(sigma=12.0), random_model(constraints=True), random_model(lattice=True)],
    ids=["fractional", "whole", "constraints", "lattice"],
)


@DIALECTS
@MODELS
def test_models_go_out_and_come_back(tmp_path, model, dialect):
    held = replace(
        model, comp_ids=("h2o",), entity_ids=np.zeros(3, int), order=1, criterion="com_distance_sum", cutoff=6.0
    )
    for units, tolerance in (("eV, Angstrom", EXACT), ("kcal/mol, bohr", REFERENCE)):
        sgdml.write_model_file(held, tmp_path / "m.npz", dialect=dialect, units=units)
        again = sgdml.read_model_file(tmp_path / "m.npz")
        for field in fields(held):
            given, found = getattr(held, field.name), getattr(again, field.name)
            if dialect == "sgdml" and field.name in ("comp_ids", "entity_ids", "order", "criterion", "cutoff"):
                assert found in (None, ())  # sGDML knows nothing of them
            elif field.name == "errors":
                assert_close(
                    [found[k]["rmse"] for k in sorted(found)], [given[k]["rmse"] for k in sorted(given)], REFERENCE
                )
            elif given is None or isinstance(given, str | tuple | dict | bool):
                assert found == given, field.name
            else:
                assert_close(found, given, tolerance)


@MODELS
@pytest.mark.parametrize("units", ["kcal/mol, Angstrom", "hartree, bohr"])
def test_models_that_are_written_predict_the_same_in_sgdml(tmp_path, model, units):
    predictor = peer().predictor
    sgdml.write_model_file(model, tmp_path / "m.npz", units=units)
    factors = atomcore.units.parse_units(units)
    positions = water_arrays()["R"]
    with np.load(tmp_path / "m.npz", allow_pickle=True) as arrays:
        energies, forces = predictor(arrays, max_processes=1).predict(positions.reshape(6, 9) / factors.length)
        assert arrays["f_err"].item()["rmse"] == pytest.approx(0.4 / factors.force)
        assert arrays["md5_test"].item() is None
    assert_close(energies * factors.energy, predicted_energy(model, positions), PEER)
    step = 1e-5 * np.eye(9).reshape(9, 3, 3)
    slopes = [(predicted_energy(model, positions - s) - predicted_energy(model, positions + s)) / 2e-5 for s in step]
    assert np.abs(forces * factors.force - np.transpose(slopes)).max() < 1e-6


def test_the_official_ethanol_model(tmp_path):
    folder = shared_data("sgdml_ethanol_model")
    with pytest.raises(ValueError, match="is missing"):
        sgdml.read_model_file(folder / "sgdml_ethanol.npz")
    model = sgdml.read_model_file(folder / "sgdml_ethanol.npz", units="kcal/mol, Angstrom")
    with np.load(folder / "sgdml_ethanol_reference.npz") as reference:
        positions, expected = reference["R"][:2], reference["E_longdouble"][:2] * KCAL
    assert np.abs(predicted_energy(model, positions) - expected).max() < 3 * 4e-6 * KCAL  # the noise its README states
    energy, forces = sgdml.as_gdml(model).predict_positions(positions)
    with np.load(folder / "sgdml_ethanol_reference.npz") as reference:
        assert np.abs(energy - expected).max() < 3 * 4e-6 * KCAL
        assert np.abs(forces - reference["F_longdouble"][:2] * KCAL).max() < 3 * 2e-5 * KCAL
    sgdml.write_model_file(model, tmp_path / "m.npz")
    again = sgdml.read_model_file(tmp_path / "m.npz")
    assert_close(again.derivative_coefficients, model.derivative_coefficients, EXACT)


def test_models_of_mbgdml_as_published():
    model = sgdml.read_model_file(shared_data("mbgdml_models_500/3h2o.npz"))
    assert model.descriptors.shape == (500, 36)
    assert len(model.permutations) == 48
    assert (model.comp_ids, model.order, model.criterion, model.cutoff) == (("h2o",) * 3, 3, "cm_distance_sum", 10.0)
    assert model.errors["forces"]["rmse"] == pytest.approx(0.03818825998449923 * KCAL)
    held = sgdml.read_dataset(shared_data("mbgdml_models_500/16h2o_dataset.npz"))
    expected = load(shared_data("water_mp2/16h2o.npz"), units="kcal/mol, Angstrom")
    assert held.dataset.sha256 == expected.sha256
    assert held.comp_ids == ("h2o",) * 16
    assert held.origins == {0: "2339670ad87a606cb11a72191dfd9f58"}


def test_damaged_models_are_refused(tmp_path):
    file, bad = tmp_path / "m.npz", tmp_path / "bad.npz"
    model = random_model()
    sgdml.write_model_file(model, file)
    whole = file.read_bytes()
    rng = np.random.default_rng(9)
    messages: list[str] = []
    contents = [whole[:end] for end in np.linspace(0, len(whole) - 1, 20).astype(int)]
    for _ in range(60):
        changed = bytearray(whole)
        changed[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        contents.append(bytes(changed))
    for content in contents:
        bad.write_bytes(content)
        try:
            found = sgdml.read_model_file(bad)
        except (atomcore.AtomcoreError, ValueError) as error:
            messages.append(str(error))
        else:  # dates and attributes in the archive do not matter
            assert_close(found.derivative_coefficients, model.derivative_coefficients, EXACT)
    assert len(messages) > 20
    assert all("bad.npz" in message for message in messages)
    with np.load(file, allow_pickle=True) as arrays:
        held = dict(arrays)
    changes = {
        "tril_perms_lin": held["tril_perms_lin"][::-1],
        "R_desc": held["R_desc"].T,
        "R_d_desc_alpha": held["R_d_desc_alpha"] * np.nan,
        "perms": np.array([[0, 0, 1]]),
        "sig": np.array(-1),
        "z": np.array([8, 1]),
    }
    others = [
        ("z", np.array([0, 1, 1])),
        ("z", np.array(["O", "H", "H"])),
        ("R_desc", np.array(1.0)),
        ("std", np.array(-1.0)),
    ]
    for key, value in [*changes.items(), *others]:
        with pytest.raises(atomcore.AtomcoreError, match=r"bad\.npz is damaged or no model"):
            sgdml.read_model_file(saved(bad, held | {key: value}))
    for key in ("R_desc", "sig", "perms", "z"):
        with pytest.raises(atomcore.AtomcoreError, match=r"bad\.npz has no array"):
            sgdml.read_model_file(saved(bad, {name: value for name, value in held.items() if name != key}))


@DIALECTS
@pytest.mark.parametrize("energies", ["offset", "constraints", None])
def test_trained_models_go_out_and_come_back(tmp_path, dialect, energies):
    data, others = surface(30), surface(5, seed=8)
    chosen = np.arange(0, 30, 3)
    model = GDML(2.5, 1e-9, energies=energies).fit(data.subset(chosen), progress=False)
    units = "kcal/mol, bohr"
    sgdml.write_model(model, tmp_path / "m.npz", dialect=dialect, units=units, dataset=data, train_indices=chosen)
    again = sgdml.read_model(tmp_path / "m.npz")
    assert again.energies == energies
    assert again.lam == pytest.approx(1e-9)
    for found, expected in zip(again.predict(others), model.predict(others), strict=True):
        assert_close(found, expected, REFERENCE)
    assert_close(again.predict(others)[0], predicted_energy(again.record, others.positions.reshape(5, 3, 3)), REFERENCE)
    fingerprint = sgdml.write_dataset(data, tmp_path / "d.npz", dialect=dialect, units=units)
    held = sgdml.read_model_file(tmp_path / "m.npz")
    assert held.fingerprints["train"] == fingerprint == sgdml.fingerprint(data, dialect=dialect, units=units)
    assert held.train_indices.tolist() == chosen.tolist()
    assert_close(held.coefficients, model.alphas, REFERENCE)
    if dialect == "sgdml":
        predictor = peer().predictor
        with np.load(tmp_path / "m.npz", allow_pickle=True) as arrays:
            _, forces = predictor(arrays, max_processes=1).predict(others.positions.reshape(5, 9) / Bohr)
        assert_close(forces.reshape(5, 3, 3) * KCAL / Bohr, model.predict(others)[1], REFERENCE)


# Tasks and predictions


def test_tasks_of_sgdml(tmp_path):
    trainer = peer().trainer
    from sgdml.utils.io import dataset_md5

    fingerprint = sgdml.write_dataset(load(saved(tmp_path / "w.npz", water_arrays(40))), tmp_path / "d.npz", name="w")
    with np.load(tmp_path / "d.npz") as file:
        dataset = dict(file)
    assert dataset_md5(dataset).decode() == fingerprint
    task = trainer.create_task(dataset, 10, dataset, 5, sig=7, lam=1e-10, perms=PERMUTATIONS, use_sym=True)
    found = sgdml.read_task(saved(tmp_path / "t.npz", task))
    assert (found.sigma, found.lam, found.energies, found.name) == (7.0, 1e-10, "offset", "w")
    assert found.fingerprints["train"] == fingerprint
    assert found.permutations.tolist() == PERMUTATIONS.tolist()
    expected = load(tmp_path / "d.npz").subset(found.train_indices)
    assert_close(found.train.positions, expected.positions, EXACT)
    assert_close(found.train.energy, expected.energy, EXACT)
    assert_close(found.train.forces, expected.forces, EXACT)


def test_predictions_of_mbgdml(tmp_path):
    rng = np.random.default_rng(10)
    numbers, entities = np.tile([8, 1, 1], 3), np.repeat([0, 1, 2], 3)
    pairs = np.array([[0, 0, 1], [0, 0, 2], [0, 1, 2], [1, 0, 1], [1, 0, 2], [1, 1, 2]])
    singles = np.array([[s, e] for s in range(2) for e in range(3)])
    arrays = {
        "type": np.array("p"), "version": np.array("0.1.1"), "name": np.array("trimer"), "theory": np.array("mp2"),
        "Z": numbers, "R": rng.normal(size=(2, 9, 3)), "r_unit": np.array("Angstrom"), "e_unit": np.array("kcal/mol"),
        "E_true": rng.normal(size=2), "F_true": rng.normal(size=(2, 9, 3)), "entity_ids": entities,
        "comp_ids": np.array(["h2o"] * 3), "nbody_orders": np.array([1, 2]), "models_md5": np.array(["a", "b"]),
        "E_1": rng.normal(size=6), "F_1": rng.normal(size=(6, 3, 3)), "entity_combs_1": singles,
        "E_2": rng.normal(size=6), "F_2": rng.normal(size=(6, 6, 3)), "entity_combs_2": pairs,
    }  # fmt: skip
    arrays["E_2"][1], arrays["F_2"][1] = np.nan, np.nan
    found = sgdml.read_predictions(saved(tmp_path / "p.npz", arrays))
    energies, forces = found.total()
    assert_close(energies[0], (arrays["E_1"][:3].sum() + arrays["E_2"][[0, 2]].sum()) * KCAL, REFERENCE)
    assert_close(forces[1, 3:6], (arrays["F_1"][4] + arrays["F_2"][3, 3:] + arrays["F_2"][5, :3]) * KCAL, REFERENCE)
    assert_close(found.total((1,))[0][1], arrays["E_1"][3:].sum() * KCAL, REFERENCE)
    assert np.isnan(found.energies[2][1])
    with pytest.raises(ValueError, match=r"orders has 3; accepted: 1, 2"):
        found.total((3,))
