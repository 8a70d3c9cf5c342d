"""Model files: what is written is read back, and everything else is refused before anything is computed from it."""

import hashlib
import json
import os
import pickle
import struct
import time

import numpy as np
import pytest

from atomcore import AtomcoreError, model_file
from atomcore.potential import Potential
from helpers import Payload
from model_builder import random_model
from structures import molecule_rattled


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return random_model().write(tmp_path_factory.mktemp("model") / "good.atomcore").read_bytes()


def refused(path, content: bytes) -> str:
    """Check that a file of this content is refused in well under a second; return the message."""
    path.write_bytes(content)
    start = time.perf_counter()
    with pytest.raises(AtomcoreError) as caught:
        Potential.load(path)
    assert time.perf_counter() - start < 1
    assert str(path) in str(caught.value)
    return str(caught.value)


def sealed(header: dict, data: bytes, document: dict | None = None) -> bytes:
    """Build a file around any header and, with a right checksum, any document: what an attacker can make."""
    if document is not None:
        text = json.dumps({"sha256": "0" * 64} | {k: v for k, v in document.items() if k != "sha256"})
        header = {"__metadata__": {"atomcore": text}} | header
    encoded = json.dumps(header).encode()
    plain = struct.pack("<Q", len(encoded)) + encoded + data
    return plain.replace(b"0" * 64, hashlib.sha256(plain).hexdigest().encode(), 1)


def test_written_file_is_read_back_by_core_and_by_safetensors(tmp_path):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    model = random_model()
    path = model.write(tmp_path / "model.atomcore")
    metadata = model_file.read_metadata(path)
    assert metadata.pop("format_version") == [1, 4]
    digest = metadata.pop("sha256")
    assert metadata == model.metadata
    loaded = load_file(path)
    assert loaded.keys() == model.tensors.keys()
    for name, tensor in model.tensors.items():
        np.testing.assert_array_equal(loaded[name], tensor)
    with safe_open(path, "np") as file:
        assert json.loads(file.metadata()["atomcore"])["sha256"] == digest
    # the rule of the format, computed by another implementation of SHA-256
    content = path.read_bytes()
    assert hashlib.sha256(content.replace(digest.encode(), b"0" * 64)).hexdigest() == digest
    assert os.listdir(tmp_path) == ["model.atomcore"]


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_checksum_at_every_kind_of_padding(tmp_path, length):
    """The tail of a SHA-256 has one or two blocks: files of many lengths must agree with hashlib."""
    model = random_model(("H",), reference=(0.0,))
    model.metadata["padding"] = "x" * length
    model.write(tmp_path / "model.atomcore")  # the writer lets the core verify what hashlib has summed


def test_truncated_file_is_refused(tmp_path, content):
    for size in np.linspace(0, len(content) - 1, 20).astype(int):
        refused(tmp_path / "cut.atomcore", content[:size])


def test_flipped_bits_are_refused(tmp_path, content):
    random = np.random.default_rng(5)
    for bit in random.integers(0, 8 * len(content), 200):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << (bit % 8)
        refused(tmp_path / "bit.atomcore", bytes(damaged))


def test_appended_bytes_are_refused(tmp_path, content):
    refused(tmp_path / "long.atomcore", content + b"\0")


def test_foreign_files_are_refused_and_never_executed(tmp_path):
    marker = tmp_path / "marker"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        refused(tmp_path / "pickle.atomcore", pickle.dumps(Payload(marker), protocol))
    np.savez(tmp_path / "array.npz", a=np.array([Payload(marker)], dtype=object))
    refused(tmp_path / "array.atomcore", (tmp_path / "array.npz").read_bytes())
    refused(tmp_path / "empty.atomcore", b"")
    refused(tmp_path / "text.atomcore", b"this is a text and not a model, however long it is" * 10)
    assert not marker.exists()
    with pytest.raises(AtomcoreError, match="not a regular file"):
        Potential.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"absent\.atomcore"):
        Potential.load(tmp_path / "absent.atomcore")


def test_safetensors_file_of_somebody_else_is_refused(tmp_path):
    from safetensors.numpy import save

    assert "__metadata__" in refused(tmp_path / "other.safetensors", save({"a": np.zeros(3)}))
    assert "'atomcore'" in refused(tmp_path / "other.safetensors", save({"a": np.zeros(3)}, {"format": "np"}))


def test_hostile_headers_are_refused(tmp_path):
    path = tmp_path / "hostile.atomcore"
    document = {"format_version": [1, 0]}

    def entry(dtype, shape, begin, end):
        return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}

    assert "does not fit" in refused(path, struct.pack("<Q", 2**64 - 1) + b"{}")
    assert "JSON" in refused(path, struct.pack("<Q", 4) + b"nope")
    assert "JSON" in refused(path, struct.pack("<Q", 4) + b"\xff\xfe\xff\xfe")
    assert "out of range" in refused(path, struct.pack("<Q", 5) + b"1e999")
    nested = b"[" * 10_000_000
    assert "nested" in refused(path, struct.pack("<Q", len(nested)) + nested)
    assert "not an object" in refused(path, struct.pack("<Q", 2) + b"[]")
    for header in (
        entry("F64", [2], 0, 8),  # bytes do not fit the shape
        entry("F64", [2**62, 2**62], 0, 8),  # the product overflows
        entry("F64", [-1], 0, 8),
        entry("F64", [1.5], 0, 8),
        entry("F64", [1], 8, 16),  # a gap
        entry("F64", [2], 0, 16),  # more than there is
        entry("F64", [1], 2**63, 2**63 + 8),
        entry("F64", [1], 8, 0),
        entry("F16", [4], 0, 8),
        entry("F64", 1, 0, 8),
        entry("F64", [1], 0, 8) | {"b": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}},  # overlap
        {"a": []},
        {"a": {"dtype": "F64"}},
    ):
        assert "tensor" in refused(path, sealed(header, bytes(8), document)), header
    deep: object = 0
    for _ in range(100):
        deep = [deep]
    assert "nested" in refused(path, sealed({}, b"", document | {"deep": deep}))
    assert "sha256" in refused(path, sealed({"__metadata__": {"atomcore": '{"sha256": "short"}'}}, b""))


REFUSED_METADATA = {
    "newer version": ({"format_version": [2, 0]}, "format version 2.0"),
    "older version": ({"format_version": [0, 9]}, "format version 0.9"),
    "odd version": ({"format_version": "1.0"}, "format_version"),
    "requirement": ({"requires": ["symmetry_functions", "magic"]}, "'magic'"),
    "kind": ({"kind": "gdml"}, "'gdml'"),
    "capability": ({"capability": "global"}, "'global'"),
    "length unit": ({"units": {"length": "Bohr", "energy": "eV"}}, "'Bohr'"),
    "energy unit": ({"units": {"length": "Angstrom", "energy": "kcal/mol"}}, "'kcal/mol'"),
    "no element": ({"elements": []}, "empty"),
    "not an element": ({"elements": ["H", "C", "Q"]}, "'Q'"),
    "element twice": ({"elements": ["H", "C", "C"]}, "twice"),
    "precision": ({"precision": "half"}, "'half'"),
    "activation": ({"networks": {"activation": "swoosh", "members": 1}}, "'swoosh'"),
    "a member is missing": ({"networks": {"activation": "silu", "members": 3}}, "networks.1.H.0.weight"),
    "no members": ({"networks": {"activation": "silu", "members": 0}}, "members"),
    "half a member": ({"networks": {"activation": "silu", "members": 1.5}}, "members"),
    "cutoff": ({"cutoff": 9.0}, "'cutoff'"),
    "no features": ({"features": []}, "'features'"),
}


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        ({"H": ["tanh", "swoosh", "identity"]}, "activation 'swoosh' is unknown .* reads silu, .*, square"),
        ({"H": ["tanh", "identity"]}, "'activations' has 2 names for the 3 layers of H"),
        ({"H": ["tanh"] * 4}, "'activations' has 4 names for the 3 layers of H"),
        ({"H": "tanh"}, "entry 'H' of 'activations' is not a list"),
        ({"H": ["tanh", 1, "tanh"]}, "entry 'H' of 'activations' is not a list of strings"),
        ({"H": None}, "entry 'H' of 'activations' is not a list"),
        ({"N": ["tanh"] * 3}, "'activations' has 4 entries for 3 elements"),
    ],
)
def test_bad_activations_of_layers_are_refused_by_name(tmp_path, activations, message):
    model = random_model(activations={key: ["tanh", "tanh", "identity"] for key in "HCO"} | activations)
    with pytest.raises(AtomcoreError, match=message):
        model.write(tmp_path / "model.atomcore")
    for wrong, reason in (({"members": 1}, "no entry 'activations'"), ({"members": 1, "activations": []}, "object")):
        model.metadata["networks"] = wrong
        with pytest.raises(AtomcoreError, match=reason):
            model.write(tmp_path / "model.atomcore")


def test_models_of_layer_activations_are_run_but_not_trained(tmp_path, capsys):
    from atomcore.cli.main import main
    from atomcore.export import restore

    layers = {"H": ["tanh", "gaussian", "identity"], "C": ["tanh", "gaussian", "identity"], "O": ["cosine"] * 3}
    path = random_model(activations=layers).write(tmp_path / "model.atomcore")
    assert main(["info", str(path)]) == 0
    assert "one for each element, tanh-gaussian-identity (H, C), cosine-cosine-cosine (O)" in capsys.readouterr().out
    with pytest.raises(AtomcoreError, match="cannot be trained on: its layers have activations of their own"):
        restore(path)


def test_networks_of_different_widths_are_run_but_not_trained(tmp_path):
    from atomcore.export import restore

    model, other = random_model(hidden=(17, 9)), random_model(hidden=(5,))
    kept = {name: array for name, array in model.tensors.items() if ".C." not in name}
    model.tensors = kept | {name: array for name, array in other.tensors.items() if ".C." in name}
    path = model.write(tmp_path / "model.atomcore")
    assert np.isfinite(Potential.load(path).compute(molecule_rattled())["energy"])
    with pytest.raises(AtomcoreError, match=r"hidden layers are .*'C': \(5,\).*; accepted: the same for all elements"):
        restore(path)


@pytest.mark.parametrize("case", REFUSED_METADATA)
def test_metadata_that_the_core_does_not_know_are_refused_by_name(tmp_path, content, case):
    changes, message = REFUSED_METADATA[case]
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    document = json.loads(header.pop("__metadata__")["atomcore"])
    data = content[8 + length :]
    path = tmp_path / "model.atomcore"
    path.write_bytes(sealed(header, data, document))
    Potential.load(path)  # the rebuilt file is good before the change
    assert message in refused(path, sealed(header, data, document | changes))
    key = next(iter(changes))
    del document[key]
    assert f"'{key}'" in refused(path, sealed(header, data, document))


def test_metadata_that_only_python_reads_may_be_anything(tmp_path):
    from atomcore.cli.main import main
    from atomcore.export import restore

    made = random_model()
    networks = made.metadata["networks"] | {"seed": "x"}
    for changes in ({"provenance": "mine"}, {"networks": networks}):
        path = tmp_path / "model.atomcore"
        model_file.write(path, made.tensors, {**made.metadata, **changes})
        assert Potential.load(path).baseline == ""
        assert main(["info", str(path)]) == 0
        if "provenance" not in changes:
            with pytest.raises(
                AtomcoreError, match=r"model\.atomcore' cannot be trained on: its metadata make no sense"
            ):
                restore(path)
    model_file.write(path, made.tensors, {**made.metadata, "target": "dipole"})
    with pytest.raises(AtomcoreError, match="the model file has the target 'dipole', which is unknown"):
        Potential.load(path)


@pytest.mark.parametrize(
    ("row", "changes", "message"),
    [
        (0, {"type": "weird"}, "'weird'"),
        (0, {"cutoff_function": "tanh"}, "'tanh'"),
        (0, {"elements": ["He"]}, "'He'"),
        (0, {"elements": ["H", "C"]}, "feature 0"),
        (0, {"eta": "big"}, "'eta'"),
        (0, {"eta": None}, "'eta'"),
        (0, {"cutoff": -1.0}, "cutoff"),
        (9, {"elements": ["H"]}, "feature 9"),
        (9, {"zeta": -2.0}, "zeta"),
    ],
)
def test_bad_feature_rows_are_refused_by_name(tmp_path, row, changes, message):
    model = random_model()
    model.metadata["features"][row] |= changes
    with pytest.raises(AtomcoreError, match=message):
        model.write(tmp_path / "model.atomcore")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    ["networks.0.C.0.weight", "networks.0.C.1.bias", "networks.0.C.2.weight", "features.O.columns", "features.H.mean",
     "features.H.scale", "features.H.minimum", "features.H.maximum", "energy.reference", "energy.scale"],
)  # fmt: skip
def test_bad_tensors_are_refused_by_name(tmp_path, name):
    good = random_model().tensors
    wrong = {
        "missing": None,
        "extent": np.concatenate([good[name], good[name][-1:]]),
        "dimensions": good[name][None],
        "integers": good[name].astype(np.int32),
        "empty": good[name][:0],
    }
    if name.endswith("columns"):
        wrong |= {"order": good[name][::-1], "range": good[name] + 2, "floats": good[name].astype(float)}
    else:
        not_finite = good[name].copy()
        not_finite.flat[-1] = np.nan
        wrong |= {"NaN": not_finite, "infinite": np.where(np.isnan(not_finite), np.inf, good[name])}
        wrong |= {"int64": good[name].astype(np.int64)}
    for value in wrong.values():
        model = random_model()
        if value is None:
            del model.tensors[name]
        else:
            model.tensors[name] = value
        # a wrong number of columns or outputs shows in the tensor that no longer fits
        pattern = name.replace(".", r"\.") if value is None or value.size == good[name].size else "tensor"
        with pytest.raises(AtomcoreError, match=pattern):
            model.write(tmp_path / "model.atomcore")
    assert os.listdir(tmp_path) == []


def test_failed_write_leaves_the_old_file(tmp_path):
    path = random_model().write(tmp_path / "model.atomcore")
    before = path.read_bytes()
    broken = random_model(seed=1)
    broken.metadata["provenance"]["error"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        broken.write(path)
    broken = random_model(seed=1)
    del broken.tensors["energy.scale"]
    with pytest.raises(AtomcoreError, match=r"energy\.scale"):
        broken.write(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.atomcore"]


def test_a_missing_file_or_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for read in (model_file.read_metadata, Potential.load):
        with pytest.raises(FileNotFoundError, match=": 'nofile'"):
            read("nofile")
    with pytest.raises(FileNotFoundError, match=r"path is 'nodir/x\.atomcore', but there is no folder 'nodir'"):
        random_model().write("nodir/x.atomcore")
