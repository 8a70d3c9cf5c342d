"""Training, validation and test sets."""

import json

import numpy as np
import pytest

import atomcore
from atomcore.data import Dataset, Split
from helpers import shared_data


def atoms_of_hydrogen(n: int) -> Dataset:
    positions = np.zeros((n, 3))
    positions[:, 0] = np.arange(n)
    return Dataset(
        numbers=np.ones(n, int),
        positions=positions,
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), bool),
        structure_ptr=np.arange(n + 1),
        energy=np.arange(n),
        source="hydrogen",
    )


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({}, (103, 0, 0)),
        ({"test": 20}, (83, 0, 20)),
        ({"train": 80, "valid": 13, "test": 10}, (80, 13, 10)),
        ({"valid": 0.1, "test": 0.2}, (72, 10, 21)),
        ({"train": 0.7, "valid": 0.1, "test": 0.2}, (72, 10, 21)),
        ({"train": 0.5, "valid": 0.5}, (51, 52, 0)),
        ({"mode": "block", "block": 10, "test_every": 5}, (83, 0, 20)),
        ({"mode": "block", "block": 10, "test_every": 5, "valid_every": 4}, (63, 20, 20)),
        ({"mode": "block", "block": 10, "test_every": 5, "valid": 0.1}, (73, 10, 20)),
        ({"mode": "block", "block": 10, "test": 30, "valid": 20}, (53, 20, 30)),
        ({"mode": "kfold", "folds": 5, "fold": 4}, (83, 0, 20)),
        ({"mode": "kfold", "folds": 5, "fold": 0, "valid": 0.1}, (72, 10, 21)),
        ({"mode": "kfold", "folds": 103, "fold": 102, "valid": 2}, (100, 2, 1)),
    ],
)
def test_every_structure_is_used_once(settings, sizes):
    dataset = atoms_of_hydrogen(103)
    split = dataset.split(seed=3, **settings)
    assert (len(split.train), len(split.valid), len(split.test)) == sizes
    everything = np.concatenate([part.energy for part in (split.train, split.valid, split.test)])
    assert sorted(everything) == list(range(103))
    assert all((np.diff(indices) > 0).all() for indices in split.indices.values())


def test_blocks_stay_whole():
    split = atoms_of_hydrogen(2100).split(mode="block", block=100, test_every=5, valid_every=6)
    assert sorted(set(split.indices["test"] // 100)) == [4, 9, 14, 19]
    assert sorted(set(split.indices["valid"] // 100)) == [6, 13]
    dealt = atoms_of_hydrogen(2150).split(mode="block", block=100, test=300, valid=0.1, seed=1)
    for name in ("test", "valid"):
        assert (np.bincount(dealt.indices[name] // 100, minlength=22) % 100 == 0).all()
    assert set(range(2100, 2150)) <= set(dealt.indices["train"])


def test_seed_decides():
    dataset = atoms_of_hydrogen(200)
    first, again, other = (dataset.split(valid=20, test=40, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first.indices[name], again.indices[name]) for name in first.indices)
    assert not np.array_equal(first.indices["test"], other.indices["test"])
    # The test set stays when the validation set changes, so that errors on it stay comparable.
    assert np.array_equal(first.indices["test"], dataset.split(valid=60, test=40, seed=1).indices["test"])
    # Structures are dealt, not cut off at one end.
    assert np.ptp(first.indices["test"]) > 100


def test_folds_test_each_structure_once():
    dataset = atoms_of_hydrogen(103)
    splits = [dataset.split(mode="kfold", folds=4, fold=i, valid=0.2, seed=5) for i in range(4)]
    assert sorted(np.concatenate([split.indices["test"] for split in splits])) == list(range(103))
    assert [len(split.test) for split in splits] == [26, 26, 26, 25]
    other = dataset.split(mode="kfold", folds=4, fold=0, seed=5)
    assert np.array_equal(other.indices["test"], splits[0].indices["test"])  # whatever the validation set
    assert not np.array_equal(
        dataset.split(mode="kfold", folds=4, fold=0, seed=6).indices["test"], other.indices["test"]
    )
    assert (splits[1].settings["folds"], splits[1].settings["fold"]) == (4, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": 80, "valid": 10, "test": 10}, "do not add up to the 103 structures.*83 are left"),
        ({"train": 0.5, "test": 0.2}, "train=0.5.*do not add up"),
        ({"test": 104}, "test=104 is more than the 103"),
        ({"test": 100, "valid": 4}, "valid=4 is more than the 3 of 103"),
        ({"test": 103}, "nothing is left for train"),
        ({"test": 0.001}, "is none"),
        ({"test": 20.0}, "share from 0.0 to 1.0"),
        ({"test": float("nan")}, "share from 0.0 to 1.0"),
        ({"test": -1}, "test is -1"),
        ({"test": True}, "test is True"),
        ({"seed": -1}, "seed is -1"),
        ({"mode": "stratified"}, "accepted: 'random', 'block', 'kfold'"),
        ({"mode": "kfold"}, "folds is None; accepted: whole numbers from 2"),
        ({"mode": "kfold", "folds": 5}, "fold is None; accepted: whole numbers from 0"),
        ({"mode": "kfold", "folds": 5, "fold": 5}, "fold is 5; accepted: 0 to 4"),
        ({"mode": "kfold", "folds": 1, "fold": 0}, "folds is 1; accepted: whole numbers from 2"),
        ({"mode": "kfold", "folds": 104, "fold": 0}, "folds is 104, but there are only 103"),
        ({"mode": "kfold", "folds": 5, "fold": 0, "test": 0.1}, "test=0.1 and mode 'kfold' exclude each other"),
        ({"mode": "kfold", "folds": 5, "fold": 0, "block": 5}, "block=5 is for mode 'block'"),
        ({"mode": "kfold", "folds": 5, "fold": 0, "valid_every": 5}, "valid_every=5 is for mode 'block'"),
        ({"fold": 0}, "fold=0 is for mode 'kfold', but mode is 'random'"),
        ({"block": 5}, "block=5 is for mode 'block'"),
        ({"test_every": 5}, "test_every=5 is for mode 'block'"),
        ({"mode": "block"}, "block is None"),
        ({"mode": "block", "block": 200}, "block is 200, but there are only 103"),
        ({"mode": "block", "block": 10, "test": 25}, "not a multiple of block=10"),
        ({"mode": "block", "block": 10, "test": 0.2, "test_every": 5}, "exclude each other"),
    ],
)
def test_sizes_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        atoms_of_hydrogen(103).split(**settings)


def test_file_brings_the_same_split_back(tmp_path):
    dataset = atoms_of_hydrogen(50)
    split = dataset.split(valid=5, test=0.2, seed=7)
    split.save(tmp_path / "split.json")
    loaded = Split.load(tmp_path / "split.json", dataset)
    assert all(np.array_equal(split.indices[name], loaded.indices[name]) for name in split.indices)
    assert loaded.settings == split.settings
    assert loaded.settings["seed"] == 7
    assert [file.name for file in tmp_path.iterdir()] == ["split.json"]


def test_numpy_numbers_are_as_good_as_plain_ones(tmp_path):
    dataset = atoms_of_hydrogen(50)
    choices = {"valid": np.int64(4), "test": np.float32(0.5), "seed": np.int32(2)}
    split = dataset.split(**choices)
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json", dataset).settings == split.settings
    assert (len(split.valid), len(split.test)) == (4, 25)
    blocks = dataset.split(mode="block", block=np.int64(10), test_every=np.int16(5))
    blocks.save(tmp_path / "split.json")
    assert len(blocks.test) == 10
    parts = dataset.split(mode="kfold", folds=np.int64(5), fold=np.int16(0))
    parts.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json", dataset).settings == parts.settings


def test_file_belongs_to_its_data(tmp_path):
    dataset = atoms_of_hydrogen(50)
    dataset.split(test=5).save(tmp_path / "split.json")
    with pytest.raises(ValueError, match="made of other data"):
        Split.load(tmp_path / "split.json", dataset.subset(np.arange(49)))


@pytest.mark.parametrize("damage", ["truncated", "not json", "twice", "missing", "version", "text", "list"])
def test_damaged_file(tmp_path, damage):
    dataset = atoms_of_hydrogen(20)
    file = tmp_path / "split.json"
    dataset.split(test=5).save(file)
    content = json.loads(file.read_text())
    if damage == "twice":
        content["indices"]["valid"] = content["indices"]["test"]
    elif damage == "missing":
        del content["indices"]["train"]
    elif damage == "version":
        content["format"] = "atomcore split 99"
    elif damage == "text":
        content["indices"]["train"][0] = "one"
    elif damage == "list":
        content = [1, 2]
    text = json.dumps(content)
    file.write_text({"truncated": text[: len(text) // 2], "not json": "\x00"}.get(damage, text))
    with pytest.raises(atomcore.AtomcoreError, match=r"split\.json"):
        Split.load(file, dataset)


def test_folds_by_configuration():
    hydra = pytest.importorskip("hydra", reason="configurations come with the extra atomcore[train]")
    from omegaconf import OmegaConf

    from atomcore.cli.train import register_resolvers

    register_resolvers()
    with hydra.initialize_config_module("atomcore.conf", version_base="1.3"):
        config = hydra.compose("train", ["data=copper", "split=kfold", "split.fold=3", "data.index='::4'"])
    plain = OmegaConf.to_container(OmegaConf.masked_copy(config, ["data", "split", "seed"]), resolve=True)
    split = atomcore.data.load(**plain["data"]).split(**plain["split"])
    assert (len(split.train), len(split.valid), len(split.test)) == (70, 10, 20)
    assert split.settings["fold"] == 3
    assert split.train.stress.shape == (70, 6)


def test_claisen_windows():
    dataset = atomcore.data.load(shared_data("claisen/claisen.npz"), units="eV, Angstrom")
    split = dataset.split(mode="block", block=100, test_every=5, valid_every=6)
    assert (len(split.train), len(split.valid), len(split.test)) == (1500, 200, 400)
    assert split.elements == ("H", "C", "O")
