"""`atomcore convert`: models of other codes in, what was read in words, and models back."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ani_files import write_neurochem
from atomcore import AtomcoreError, Potential, model_file
from atomcore.cli.main import main
from atomcore.interop import n2p2, parity, sgdml
from atomcore.interop.convert import convert
from atomcore.interop.networks import NetworkModel
from atomcore.interop.recognize import FORMATS, recognize
from helpers import Payload, run_python, shared_data
from model_builder import random_model as random_networks
from n2p2_folders import write_folder
from sgdml_files import predicted_energy, random_model, saved, water_arrays
from tolerances import EXACT, KERNEL_MODEL, REFERENCE, assert_close

N2P2 = """number_of_elements 2
elements O H
cutoff_type 1
global_hidden_layers_short 1
global_nodes_short 3
global_activation_short t l
symfunction_short H 2 O 0.1 0.0 4.0
symfunction_short O 2 H 0.1 0.0 4.0
"""


@pytest.fixture
def ani(tmp_path):
    folder = tmp_path / "ani"
    folder.mkdir()
    return write_neurochem(folder)


@pytest.fixture
def gdml(tmp_path):
    path = tmp_path / "water.npz"
    sgdml.write_model_file(random_model(), path)
    return path


def mbgdml(folder):
    """Write a model of a single molecule as mbGDML does, and a data set beside it."""
    folder.mkdir()
    held = replace(random_model(), comp_ids=("h2o",), entity_ids=np.zeros(3, int), order=1)
    sgdml.write_model_file(held, folder / "1h2o.npz", dialect="mbgdml")
    saved(folder / "data.npz", water_arrays())
    return folder


def test_ani_networks_are_converted(ani, tmp_path, capsys):
    for i, source in enumerate((ani, ani.parent, ani.parent / "train1", ani.parent / "train1" / "networks")):
        output = tmp_path / f"{i}.atomcore"
        assert main(["convert", str(source), "-o", str(output)]) == 0
        assert f"written     {output}" in capsys.readouterr().out
    first, second, third, fourth = (Potential.load(tmp_path / f"{i}.atomcore") for i in range(4))
    atoms = molecule("CH3CHO")
    assert first.members == 2
    assert first.energy_forces(atoms)[0] == second.energy_forces(atoms)[0]
    assert third.energy_forces(atoms)[0] == fourth.energy_forces(atoms)[0]


def test_networks_are_converted_without_torch(ani, tmp_path):
    model = tmp_path / "model.atomcore"
    code = f"from atomcore.interop.convert import convert; convert({str(ani)!r}, {str(model)!r})"
    assert run_python(f"{code}; import sys; print('torch' in sys.modules)").strip() == "False"
    assert model.exists()


def test_what_was_read_is_said(ani, tmp_path, capsys):
    output = str(tmp_path / "model.atomcore")
    command = ["convert", str(ani), "-o", output, "--networks", "1", "--single-precision-constants", "--hartree", "27"]
    assert main(command) == 0
    said = {line[:11].strip(): line[12:] for line in capsys.readouterr().out.splitlines()}
    assert said["read"] == "ani.info, network 1 (NeuroChem)"
    assert said["elements"] == "H O C"
    assert said["functions"] == "45, cutoff 4.1 A"
    assert said["networks"] == "one network an element"
    assert said["units"] == "hartree of 27.0 eV, Angstrom"
    assert "self energies" in said["energies"]
    assert "ranges of the features" in said["not there"]
    assert "atomcore evaluate model.atomcore" in said["next"]
    assert "Chem. Sci." in said["cite"]
    assert main(["info", output]) == 0
    shown = capsys.readouterr().out
    assert "source      ani.info, network 1\nits units   hartree of 27.0 eV, Angstrom\ncitation    Smith" in shown
    assert "reliability unknown: no ranges of features, no grades, no spreads" in shown
    provenance = model_file.read_metadata(output)["provenance"]
    assert provenance["hartree_in_eV"] == 27.0
    assert provenance["single_precision_constants"] is True
    assert str(tmp_path) not in str(provenance)


def test_sgdml_models_there_and_back(gdml, tmp_path, capsys):
    positions = water_arrays(1)["R"][0]
    expected = predicted_energy(random_model(), positions[None])
    output, back = tmp_path / "water.atomcore", tmp_path / "back.npz"
    assert main(["convert", str(gdml), "-o", str(output)]) == 0
    said = capsys.readouterr().out
    assert "atoms       O H H, in this order\nmodel       5 points, 2 permutations\n" in said
    found = Potential.load(output).energy_forces(Atoms([8, 1, 1], positions))
    assert_close(found[0], expected[0], KERNEL_MODEL)
    for name in ("sgdml", "mbgdml"):
        assert main(["convert", str(output), "-o", str(back), "--format", name]) == 0
        again = sgdml.read_model_file(back)
        assert_close(again.descriptors, random_model().descriptors, KERNEL_MODEL)
        assert_close(predicted_energy(again, positions[None]), expected, KERNEL_MODEL)
    energy_unit = {"e_unit": "Hartree", "r_unit": "Bohr"}
    convert(output, back, format="sgdml", units="hartree, bohr")
    with np.load(back) as arrays:
        assert {key: str(arrays[key]).lower() for key in energy_unit} == {"e_unit": "hartree", "r_unit": "bohr"}
    assert_close(sgdml.read_model_file(back).constant, random_model().constant, REFERENCE)


def test_models_of_mbgdml_become_an_expansion(tmp_path):
    folder = mbgdml(tmp_path / "models")
    convert(folder, tmp_path / "a.atomcore")
    convert([folder / "1h2o.npz"], tmp_path / "b.atomcore", format="mbgdml")
    water = Atoms([8, 1, 1], water_arrays(1)["R"][0])
    pair = water + Atoms(water.numbers, water.positions + np.array([4.0, 0, 0]))
    for name in "ab":
        potential = Potential.load(tmp_path / f"{name}.atomcore")
        assert potential.kind == "many_body"
        alone = predicted_energy(random_model(), water.positions[None])[0]
        assert_close(potential.energy_forces(pair)[0], 2 * alone, KERNEL_MODEL)


def test_published_models_of_mbgdml(tmp_path):
    folder = shared_data("mbgdml_models_500")
    lines = dict(convert(folder, tmp_path / "a.atomcore").lines)
    assert lines["terms"] == "h2o, h2o+h2o, h2o+h2o+h2o"
    files = [folder / f"{n}h2o.npz" for n in (1, 2, 3)]
    convert(files, tmp_path / "b.atomcore")
    expected = sgdml.read_many_body(files)
    atoms = sgdml.read_dataset(folder / "16h2o_dataset.npz").dataset[0]
    for name in "ab":
        energy, forces = Potential.load(tmp_path / f"{name}.atomcore").energy_forces(atoms)
        assert_close(energy, expected.compute(atoms)["energy"], REFERENCE)
        assert_close(forces, expected.compute(atoms)["forces"], REFERENCE)


def n2p2_folder(path, seed):
    path.parent.mkdir(exist_ok=True)
    write_folder(path, N2P2, seed)
    return path


def test_n2p2_folders_there_and_back(tmp_path):
    source = shared_data("n2p2_h2o_rpbe_d3")
    with pytest.raises(ValueError, match="units is missing"):
        convert(source, tmp_path / "a.atomcore")
    convert(source, tmp_path / "a.atomcore", units="hartree, bohr")
    convert(tmp_path / "a.atomcore", tmp_path / "back", format="n2p2", units="eV, Angstrom")
    convert(tmp_path / "back", tmp_path / "b.atomcore", units="eV, Angstrom")
    atoms = molecule("H2O")
    first, second = (Potential.load(tmp_path / f"{name}.atomcore").energy_forces(atoms) for name in "ab")
    assert_close(second[0], first[0], REFERENCE)
    assert_close(second[1], first[1], REFERENCE)


def test_committees_of_n2p2_are_converted(tmp_path, capsys):
    first = n2p2_folder(tmp_path / "all" / "first", 1)
    second = n2p2_folder(tmp_path / "all" / "second", 2)
    outputs = [tmp_path / f"{i}.atomcore" for i in range(5)]
    for sources, output in zip(
        ([first], [first / "input.nn"], [second], [first, second], [tmp_path / "all"]), outputs, strict=True
    ):
        command = ["convert", *map(str, sources), "-o", str(output), "--units", "eV, Angstrom"]
        assert main(command) == 0
    assert "read        first, second (n2p2)" in capsys.readouterr().out
    assert main(["info", str(outputs[3])]) == 0
    assert "source      first, second\nits units   eV, Angstrom\ncitation    Singraber" in capsys.readouterr().out
    atoms = molecule("H2O")
    one, again, other, listed, within = (Potential.load(output).energy_forces(atoms)[0] for output in outputs)
    assert one == again
    assert_close(listed, (one + other) / 2, REFERENCE)
    assert within == listed
    (second / "input.nn").unlink()
    with pytest.raises(FileNotFoundError, match=r"second has weights and no input\.nn, which first beside it has"):
        convert(tmp_path / "all", outputs[0], units="eV, Angstrom")
    (second / "input.nn").write_text("elements\n")
    with pytest.raises(AtomcoreError, match=r"second: input\.nn, line 1: elements has 0 values"):
        convert(tmp_path / "all", outputs[0], units="eV, Angstrom")


def test_a_folder_may_be_where_one_is(ani, tmp_path, monkeypatch):
    for name in ("train1", "train1/networks"):
        monkeypatch.chdir(ani.parent / name)
        assert dict(convert(".", tmp_path / "model.atomcore").lines)["read"] == "train1 (NeuroChem)"


def test_folders_with_models_of_sgdml(gdml, tmp_path):
    folder = mbgdml(tmp_path / "models")
    saved(gdml.parent / "data.npz", water_arrays())
    assert recognize([gdml.parent]) == "sgdml"  # it names no components
    convert(gdml.parent, tmp_path / "a.atomcore")
    assert Potential.load(tmp_path / "a.atomcore").kind == "gdml"
    convert(folder, tmp_path / "b.atomcore", format="sgdml")  # one model
    (folder / "2h2o.npz").write_bytes((folder / "1h2o.npz").read_bytes())
    with pytest.raises(ValueError, match="models cannot be converted: there are 2 models; accepted: one"):
        convert(folder, tmp_path / "c.atomcore", format="sgdml")
    (tmp_path / "empty").mkdir()
    for name, accepted in (("sgdml", "one"), ("mbgdml", "one or more")):
        with pytest.raises(ValueError, match=f"there are 0 models; accepted: {accepted}$"):
            convert(tmp_path / "empty", tmp_path / "c.atomcore", format=name)
    assert not (tmp_path / "c.atomcore").exists()


def test_differences_that_go_back_are_said_to_be_such(tmp_path):
    model = n2p2.read_model(n2p2_folder(tmp_path / "all" / "a", 1), units="eV, Angstrom")
    replace(model, provenance={"baseline": "GFN2-xTB"}).save(tmp_path / "a.atomcore")
    lines = dict(convert(tmp_path / "a.atomcore", tmp_path / "back", format="n2p2").lines)
    assert lines["energies"] == "differences to GFN2-xTB, which must be added; the format cannot say so"


def test_formats_are_recognized_by_content(ani, gdml, tmp_path):
    folder = tmp_path / "n2p2" / "1"
    folder.mkdir(parents=True)
    (folder / "input.nn").write_text("elements H\n")
    for source, name in (
        (ani, "neurochem"),
        (ani.parent, "neurochem"),
        (ani.parent / "train0", "neurochem"),
        (gdml, "sgdml"),
        (mbgdml(tmp_path / "models"), "mbgdml"),
        (folder, "n2p2"),
        (folder.parent, "n2p2"),
    ):
        assert recognize([source]) == name
    renamed = gdml.rename(tmp_path / "model.dat")
    assert recognize([renamed]) == "sgdml"
    assert recognize([renamed, renamed]) == "mbgdml"


def test_state_dicts_are_recognized_by_content(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.numpy import save_file

    for name, zipped in (("a.dat", True), ("b.dat", False)):
        torch.save({"x": torch.ones(2)}, tmp_path / name, _use_new_zipfile_serialization=zipped)
        assert recognize([tmp_path / name]) == "torchani"
        with pytest.raises(AtomcoreError, match=r"\.dat has 'x'"):
            convert(tmp_path / name, tmp_path / "model.atomcore", model="ani2x")
    save_file({"x": np.ones(2)}, tmp_path / "c.dat")
    assert recognize([tmp_path / "c.dat"]) == "torchani"
    with pytest.raises(AtomcoreError, match=r"c\.dat has 'x'; accepted: ANI"):
        convert(tmp_path / "c.dat", tmp_path / "model.atomcore", model="ani2x")
    torch.save(Payload(tmp_path / "marker"), tmp_path / "d.pt")
    with pytest.raises(AtomcoreError, match=r"d\.pt is damaged or no state dict"):
        convert(tmp_path / "d.pt", tmp_path / "model.atomcore", model="ani2x")
    assert not (tmp_path / "marker").exists()
    assert not (tmp_path / "model.atomcore").exists()


def test_what_is_no_model_is_refused_with_what_was_looked_for(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing").write_bytes(b"")
    (tmp_path / "text.txt").write_text("a text")
    saved(tmp_path / "data.npz", water_arrays())
    for name in ("empty", "nothing", "text.txt", "data.npz"):
        with pytest.raises(ValueError, match=f"{name}: no model of a known format; looked for n2p2: ") as refused:
            convert(tmp_path / name, tmp_path / "model.atomcore")
        assert all(f"{known}: " in str(refused.value) for known in FORMATS)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        convert(tmp_path / "not-there", tmp_path / "model.atomcore")
    with pytest.raises(ValueError, match="source is empty"):
        convert([], tmp_path / "model.atomcore")
    assert not (tmp_path / "model.atomcore").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": "nep"}, "format is 'nep'; accepted: n2p2, neurochem, torchani, sgdml, mbgdml"),
        ({"units": "eV, Angstrom"}, "units is no option of the format neurochem; accepted: networks, "),
        ({"model": "ani2x"}, "model is no option of the format neurochem"),
        ({"format": "torchani", "networks": [0]}, "networks is no option of the format torchani; accepted: model, "),
        ({"networks": [7]}, r"networks is \[7\]; accepted: some of 0 to 1"),
    ],
)
def test_options_are_those_of_the_format(given, message, ani, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert(ani, tmp_path / "model.atomcore", **given)
    assert not (tmp_path / "model.atomcore").exists()


def test_no_part_of_a_source_is_replaced(ani, gdml, tmp_path, capsys):
    for path in (ani, ani.parent / "ani.params", gdml):
        before = path.read_bytes()
        assert main(["convert", str(ani), "-o", str(path)]) == 2
        assert "which is there and no model file; accepted: another name" in capsys.readouterr().err
        assert path.read_bytes() == before
    convert(gdml, tmp_path / "water.atomcore")
    before = (tmp_path / "water.atomcore").read_bytes()
    with pytest.raises(ValueError, match="which is there and no file of sGDML"):
        convert(tmp_path / "water.atomcore", tmp_path / "water.atomcore", format="sgdml")
    assert (tmp_path / "water.atomcore").read_bytes() == before
    (tmp_path / "notes.txt").write_text("a text")
    with pytest.raises(ValueError, match=r"notes\.txt', which is there and no file of sGDML; accepted: another name"):
        convert(tmp_path / "water.atomcore", tmp_path / "notes.txt", format="sgdml")
    assert (tmp_path / "notes.txt").read_text() == "a text"
    convert(ani, tmp_path / "water.atomcore")  # a model file may be replaced
    assert Potential.load(tmp_path / "water.atomcore").members == 2


def test_model_files_go_back_to_formats_that_hold_them(ani, gdml, tmp_path):
    networks, kernel = tmp_path / "ani.atomcore", tmp_path / "water.atomcore"
    convert(ani, networks)
    convert(gdml, kernel)
    with pytest.raises(
        ValueError, match=r"format is None and ani\.atomcore a model file; accepted formats: n2p2, sgdml"
    ):
        convert(networks, tmp_path / "back")
    with pytest.raises(ValueError, match=r"format is 'neurochem' and ani\.atomcore a model file"):
        convert(networks, tmp_path / "back", format="neurochem")
    with pytest.raises(ValueError, match="holds a model of kind 'behler_parrinello'; accepted for sgdml: 'gdml'"):
        convert(networks, tmp_path / "back", format="sgdml")
    with pytest.raises(ValueError, match="holds a model of kind 'gdml'; accepted for n2p2: 'behler_parrinello'"):
        convert(kernel, tmp_path / "back", format="n2p2")
    with pytest.raises(ValueError, match="hartree is no option to write sgdml with; accepted: units"):
        convert(kernel, tmp_path / "back", format="sgdml", hartree=27.2)
    assert not (tmp_path / "back").exists()


def test_damaged_sources_leave_what_was_there(ani, gdml, tmp_path):
    output = tmp_path / "model.atomcore"
    convert(gdml, output)
    before = output.read_bytes()
    content = gdml.read_bytes()
    for length in np.random.default_rng(2).integers(0, len(content), 20):
        gdml.write_bytes(content[:length])
        with pytest.raises((AtomcoreError, ValueError)):
            convert(gdml, output)
    (ani.parent / "ani.params").write_text("")
    with pytest.raises(AtomcoreError, match=r"ani\.params has no Rcr"):
        convert(ani, output)
    assert output.read_bytes() == before
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_an_engine_that_disagrees_is_noticed(ani, tmp_path, monkeypatch):
    monkeypatch.setitem(parity._ACTIVATIONS, "celu", np.tanh)
    with pytest.raises(AtomcoreError, match="engine and plain formulas disagree"):
        convert(ani, tmp_path / "model.atomcore")
    assert list(tmp_path.glob("*.atomcore")) == []


@pytest.mark.parametrize("activation", ["silu", "tanh", "relu", "celu", "sigmoid", "softplus"])
def test_the_check_knows_every_activation(activation, tmp_path):
    path = random_networks(activation=activation, members=2).write(tmp_path / "model.atomcore")
    assert 0 <= parity.check_networks(NetworkModel.read(path), Potential.load(path)) < 1e-9


@pytest.mark.parametrize("activation", ["identity", "gaussian", "cosine", "exponential", "square"])
def test_the_check_knows_every_activation_of_layers(activation, tmp_path):
    random_networks().write(tmp_path / "model.atomcore")
    model = NetworkModel.read(tmp_path / "model.atomcore")
    small = {x: 1e-2 * scale for x, scale in model.scale.items()}
    names = {x: ["tanh", activation, "identity"] for x in model.elements}
    model = replace(model, scale=small, activations=names)
    model.save(tmp_path / "model.atomcore")
    assert 0 <= parity.check_networks(model, Potential.load(tmp_path / "model.atomcore")) < 1e-9
    assert_close(model.reference, NetworkModel.read(tmp_path / "model.atomcore").reference, EXACT)
