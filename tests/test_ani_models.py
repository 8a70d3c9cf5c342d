"""ANI networks of NeuroChem as models of the engine."""

import bz2

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from ani_files import (
    CONSTANTS,
    ELEMENTS,
    compressed,
    constants_text,
    energies,
    layers_of,
    network_text,
    write_neurochem,
)
from atomcore import AtomcoreError, Calculator, Potential, model_file
from atomcore.features import ANI
from atomcore.interop.ani import read_neurochem
from atomcore.interop.ani.neurochem import read_constants
from atomcore.interop.networks import NetworkModel
from atomcore.interop.parity import check_networks
from helpers import shared_data, slope
from tolerances import (
    ANI_CONSTANTS,
    ANI_ENERGY,
    ANI_FORCES,
    ENGINE,
    EXACT,
    FLOAT32,
    FORCES_FD,
    REFERENCE,
    Tolerance,
    assert_close,
)


@pytest.fixture
def ensemble(tmp_path):
    return write_neurochem(tmp_path)


@pytest.fixture
def first(ensemble):
    """The first network's folder of an ensemble."""
    return ensemble.parent / "train0" / "networks"


def load(model: NetworkModel, path) -> Potential:
    model.save(path)
    return Potential.load(path)


def test_a_neurochem_ensemble_against_plain_formulas(ensemble, tmp_path):
    potential = load(read_neurochem(ensemble), tmp_path / "model.atomcore")
    for name in ("CH3CHO", "H2O", "CH4", "H2"):
        atoms = molecule(name)
        atoms.rattle(0.05, seed=1)
        expected = energies(atoms)
        results = potential.compute(atoms, ("energy", "forces", "energy_spread"))
        assert_close(results["energy"], expected.mean(), REFERENCE)
        assert_close(results["energy_spread"], expected.std(ddof=1), REFERENCE)
        step = np.random.default_rng(0).normal(size=atoms.positions.shape)

        def energy(shift, atoms=atoms, step=step):
            return energies(Atoms(atoms.numbers, atoms.positions + shift * step)).mean()

        assert_close(-np.sum(results["forces"] * step), slope(energy, 0.0, 1.0), FORCES_FD)


def test_one_network_of_an_ensemble_is_what_its_folder_holds(ensemble, tmp_path):
    atoms = molecule("CH3CHO")
    expected = energies(atoms)
    for m in (0, 1):
        alone = load(read_neurochem(ensemble, networks=[m]), tmp_path / "a.atomcore")
        folder = ensemble.parent / f"train{m}"
        for path in (folder, folder / "networks"):
            single = load(read_neurochem(path), tmp_path / "b.atomcore")
            assert single.energy_forces(atoms)[0] == alone.energy_forces(atoms)[0]
        assert alone.members == 1
        assert_close(alone.energy_forces(atoms)[0], expected[m], REFERENCE)
    given = {"constants": ensemble.parent / "ani.params", "self_energies": ensemble.parent / "sae.dat"}
    (ensemble.parent / "other.params").write_text("")
    with pytest.raises(ValueError, match=r"constants is missing, .* but ani.params, other.params"):
        read_neurochem(folder)
    single = load(read_neurochem(folder, **given), tmp_path / "b.atomcore")
    assert single.energy_forces(atoms)[0] == alone.energy_forces(atoms)[0]


def test_elements_keep_their_order(ensemble, tmp_path):
    read_neurochem(ensemble).save(tmp_path / "model.atomcore")
    metadata = model_file.read_metadata(tmp_path / "model.atomcore")
    assert tuple(metadata["elements"]) == ELEMENTS
    assert metadata["provenance"]["hartree_in_eV"] == 27.211386245988
    assert metadata["provenance"]["source"] == "ani.info, networks 0, 1"
    assert metadata["networks"]["activation"] == "celu"
    assert str(tmp_path) not in str(metadata)


def test_hidden_layers_may_be_linear(ensemble, first, tmp_path):
    text = network_text(0, "H").replace("activation=9;", "activation=6;", 1)
    (first / "ANN-H.nnf").write_bytes(compressed(text))
    for path in (first, first.parent):
        model = read_neurochem(path)
        assert model.activations["H"] == ["identity", "celu", "identity"]
        assert model.activations["O"] == ["celu", "identity"]
        assert check_networks(model, load(model, tmp_path / "model.atomcore")) < 1e-9
    (weight, bias), (second, _), _ = model.networks[0]["H"]
    raw = layers_of(0, "H")
    assert_close(weight @ model.scale["H"], raw[0][0].sum(axis=1), FLOAT32)
    assert_close(bias, raw[0][1], EXACT)
    assert_close(second, 10 * raw[1][0].astype(float), EXACT)


def test_networks_of_an_ensemble_have_the_same_activations(ensemble):
    """A model file names them once, so that those of the first network would be taken for all."""
    text = network_text(1, "H")
    linear = ensemble.parent / "train1" / "networks" / "ANN-H.nnf"
    linear.write_bytes(compressed(text.replace("activation=9;", "activation=6;", 1)))
    with pytest.raises(AtomcoreError, match="number 2 has identity, celu, identity; accepted: the same ones in all"):
        read_neurochem(ensemble)
    assert read_neurochem(ensemble, networks=[1]).activations["H"] == ["identity", "celu", "identity"]


@pytest.mark.parametrize("rounded", [True, False])
def test_published_ani2x_networks(rounded, tmp_path):
    """Energies and forces of TorchANI in double precision, whose constants are in single precision."""
    folder = shared_data("ani2x_neurochem")
    reference = np.load(folder / "torchani_reference.npz")
    names = sorted({key.split("/")[0] for key in reference if "/" in key})
    assert len(names) == 15
    info = folder / "ani-2x_2.info"
    potentials = [
        load(read_neurochem(info, networks=networks, single_precision_constants=rounded), tmp_path / "m.atomcore")
        for networks in (None, [0], [1])
    ]
    for name in names:
        atoms = Atoms(reference[f"{name}/Z"], reference[f"{name}/R"])
        found = [potential.energy_forces(atoms) for potential in potentials]
        expected = np.append(reference[f"{name}/E"], reference[f"{name}/E_members"])
        # a constant of each composition: what rounding the self energies does
        assert_close([energy for energy, _ in found], expected, ANI_ENERGY if rounded else Tolerance(4e-4, 0.0))
        assert_close(found[0][1], reference[f"{name}/F"], ANI_FORCES if rounded else Tolerance(1e-5, 0.0))
        assert_close(0.5 * (found[1][1] + found[2][1]), found[0][1], ENGINE)


@pytest.mark.parametrize(("file", "preset"), [("rHCNO-5.2R_16-3.5A_a4-8.params", ANI.ani1x),
                                              ("rHCNOSFCl-5.1R_16-3.5A_a8-4.params", ANI.ani2x)])  # fmt: skip
def test_published_constants_are_those_of_the_presets(file, preset):
    elements, numbers = read_constants(shared_data("ani_params") / file)
    expected = preset()
    assert tuple(elements) == tuple(expected.elements)
    for row, other in zip(ANI(elements, **numbers).table, expected.table, strict=True):
        assert row["elements"] == other["elements"]
        for name in ("eta", "shift", "cutoff", "zeta", "theta", "prefactor", "cos_scale"):
            assert_close(row.get(name, 0.0), other.get(name, 0.0), ANI_CONSTANTS)


def test_networks_without_ranges(ensemble, tmp_path):
    path = tmp_path / "model.atomcore"
    potential = load(read_neurochem(ensemble), path)
    assert not any(name.startswith("extrapolation") for name in potential.properties)
    assert potential.feature_labels == []
    with pytest.raises(ValueError, match="properties must be among"):
        potential.compute(molecule("H2O"), ("extrapolation",))
    with pytest.raises(ValueError, match="whose ranges in training are known"):
        Calculator(potential, extrapolation_limit=1.0)
    batch = potential.compute_batch([molecule("H2O"), molecule("CH4")])
    assert batch[1]["energy"] == potential.energy_forces(molecule("CH4"))[0]
    back = NetworkModel.read(path)
    assert back.minimum is None
    assert back.maximum is None
    metadata, tensors = model_file.read(path)
    metadata["requires"].remove("unknown_ranges")
    with pytest.raises(AtomcoreError, match=r"'features\.H\.minimum' is missing"):
        model_file.write(path, tensors, metadata)


def test_networks_without_ranges_are_not_trained_further(ensemble, tmp_path):
    pytest.importorskip("torch")
    from atomcore.export import restore

    read_neurochem(ensemble).save(tmp_path / "model.atomcore")
    with pytest.raises(AtomcoreError, match="cannot be trained on: it does not say what ranges its features had"):
        restore(tmp_path / "model.atomcore")


def _edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


TEXTS = [
    ("ani.info", "train\n2", "train\n0", "says that there are 0 networks"),
    ("ani.info", "train\n2", "train\ntwo", "line 4 is 'two'"),
    ("ani.info", "sae.dat\n", "", "has 3 lines"),
    ("ani.params", "TM = 1", "TM = 2", "TM is '2'; accepted: 1"),
    ("ani.params", "TM = 1", "DESC = ANI_SMOOTH", "DESC is 'ANI_SMOOTH'"),
    ("ani.params", "TM = 1", "XY = 1", "has 'XY = 1'"),
    ("ani.params", "Rcr = 4.1", "Rcr = nan", "Rcr is 'nan'"),
    ("ani.params", "Rcr = 4.1", "Rcr = 4.1D0", "Rcr is '4.1D0'; accepted: a finite number"),
    ("ani.params", "Rcr = 4.1", "Rcr = 4.1 # A", "Rcr is '4.1 # A'"),
    ("ani.params", "Rcr = 4.1", "Rcr = -1", "makes no sense"),
    ("ani.params", "Rcr = 4.1", "Rca = 4.1", "has Rca twice"),
    ("ani.params", "EtaR = [11.3]", "EtaR = [11.3,2]", "EtaR has 2 numbers"),
    ("ani.params", "EtaR = [11.3]", "EtaR = 11.3", "EtaR is '11.3'; accepted: a list"),
    ("ani.params", "[H,O,C]", "[H,O,Xx]", "makes no sense"),
    ("ani.params", "[H,O,C]", "[H,O,O]", "makes no sense"),
    ("ani.params", "Zeta = [14.1]\n", "", "has no Zeta"),
    ("sae.dat", "O,1", "C,1", "where O,1 belongs"),
    ("sae.dat", "=-38.", "=nan", "C,2 is"),
    ("sae.dat", "C,2=-38.08933878049795\n", "", "has 2 self energies"),
]


def test_texts_of_other_editors(ensemble):
    expected = read_neurochem(ensemble)
    for name in ("ani.info", "ani.params", "sae.dat"):
        path = ensemble.parent / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    found = read_neurochem(ensemble)
    assert found.table == expected.table
    assert_close(found.reference, expected.reference, EXACT)


@pytest.mark.parametrize(("file", "old", "new", "message"), TEXTS)
def test_wrong_texts_of_neurochem_are_refused_by_name(file, old, new, message, ensemble):
    _edit(ensemble.parent / file, old, new)
    with pytest.raises(AtomcoreError, match=message) as refused:
        read_neurochem(ensemble)
    assert file in str(refused.value)


NETWORKS = [
    ("activation=9;", "activation=5;", r"ANN-H.nnf, layer 1 has activation=5; accepted: 9 \(celu\), 6 \(identity\)"),
    ("type=0;", "type=1;", "layer 1 has type=1"),
    ("btchnorm=0;", "btchnorm=1;", "layer 1 has btchnorm=1"),
    ("dropout=0;", "droppout=0;", "layer 1 has 'droppout'"),
    ("dropout=0;", "dropout=0", "layer 1 has 'dropout=0'"),
    ("nodes=5;", "nodes=6;", "layer 1 has .* numbers in"),
    ("nodes=5;", "nodes=0;", "layer 1 makes 0 nodes"),
    ("nodes=5;", "nodes=99999999999;", "layer 1: nodes is '99999999999'"),
    ("nodes=5;\n", "", "layer 1 has no 'nodes'"),
    ("nodes=5;", "nodes=5;\nnodes=5;", "'nodes' twice"),
    ("blocksize=5;", "blocksize=4;", "layer 2 makes 3 nodes of 4"),
    ("inputsize=45;", "inputsize=44;", "'inputsize=44;' where 'inputsize=45;' belongs"),
    ("atom_net H", "atom_net O", "'atom_net O .' where 'atom_net H .' belongs"),
    ("FILE:ANN-H.nnf-l1.wparam", "FILE:../secret", "layer 1 has 'FILE:../secret"),
    ("\n$", "", "ends early"),
    ("\n$", "\n$\nmore", "has 'more' behind its end"),
    ("layer [", "layers [", "has 'layers ' where layer 1|has 'layers .' where layer 1"),
    ("]\n\n$", "", "layer 3 has no end"),
]


@pytest.mark.parametrize(("old", "new", "message"), NETWORKS)
def test_wrong_networks_of_neurochem_are_refused_by_name(old, new, message, ensemble, first):
    text = network_text(0, "H")
    assert old in text
    (first / "ANN-H.nnf").write_bytes(compressed(text.replace(old, new, 1)))
    with pytest.raises(AtomcoreError, match=message) as refused:
        read_neurochem(ensemble)
    assert "ANN-H.nnf" in str(refused.value)


def test_an_output_that_is_not_linear_is_refused(ensemble, first):
    (first / "ANN-H.nnf").write_bytes(compressed(network_text(0, "H").replace("activation=6;", "activation=9;")))
    with pytest.raises(AtomcoreError, match=r"ends in 1 nodes with the activation celu; accepted: .*activation 6"):
        read_neurochem(ensemble)


def test_damaged_networks_are_refused(ensemble, first):
    """Truncations of all, flipped bits of the compressed text but for its padding; the weights have no checksum."""
    random, unnoticed, whole = np.random.default_rng(0), 0, read_neurochem(ensemble)
    nnf, weights = first / "ANN-O.nnf", first / "ANN-O.nnf-l1.wparam"
    for path in (nnf, weights):
        content = path.read_bytes()
        for length in random.integers(0, len(content), 20):
            path.write_bytes(content[:length])
            with pytest.raises(AtomcoreError, match=r"ANN-O\.nnf"):
                read_neurochem(ensemble)
        path.write_bytes(content + b"\0")
        with pytest.raises(AtomcoreError, match=r"ANN-O\.nnf"):
            read_neurochem(ensemble)
        path.write_bytes(content)
    content = nnf.read_bytes()
    for bit in random.integers(0, 8 * len(content), 100):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        nnf.write_bytes(flipped)
        try:
            found = read_neurochem(ensemble)
        except AtomcoreError:
            continue
        unnoticed += 1  # of what no part of the text depends on
        assert found.activations == whole.activations
        for (weight, _), (expected, _) in zip(found.networks[0]["O"], whole.networks[0]["O"], strict=True):
            assert_close(weight, expected, EXACT)
    assert unnoticed < 20
    nnf.write_bytes(content)
    weights.write_bytes(np.full(weights.stat().st_size // 4, np.nan, "<f4").tobytes())
    with pytest.raises(AtomcoreError, match="holds numbers that are not finite"):
        read_neurochem(ensemble)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"ANN-O.nnf-l1.wparam', which ANN-O.nnf, layer 1 names"):
        read_neurochem(ensemble)


@pytest.mark.parametrize("declared", [100, 900_000, 9_999_999])
def test_a_compressed_network_cannot_fill_the_memory(declared, ensemble, first):
    import tracemalloc

    bomb = bz2.compress(bytes(1 << 25))
    (first / "ANN-H.nnf").write_bytes(f"{declared}=\n".encode() + bomb)
    tracemalloc.start()
    with pytest.raises(AtomcoreError, match=r"ANN-H\.nnf"):
        read_neurochem(ensemble)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_options_of_neurochem_are_checked(ensemble):
    for networks in ([], [2], [0, 0], [-1]):
        with pytest.raises(ValueError, match=r"networks is .* accepted: some of 0 to 1, each once"):
            read_neurochem(ensemble, networks=networks)
    with pytest.raises(ValueError, match="accepted: None"):
        read_neurochem(ensemble.parent / "train0", networks=[0])
    with pytest.raises(ValueError, match="constants and self_energies are for a single network"):
        read_neurochem(ensemble, constants=ensemble.parent / "ani.params")
    for hartree in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="hartree is"):
            read_neurochem(ensemble, hartree=hartree)
    with pytest.raises(FileNotFoundError, match="has no networks"):
        read_neurochem(ensemble.parent / "train9")
    (ensemble.parent / "train1" / "networks" / "ANN-O.nnf").unlink()
    with pytest.raises(FileNotFoundError, match=r"train1/networks: there is no file 'ANN-O\.nnf'"):
        read_neurochem(ensemble)
    assert "Rcr = 4.1" in constants_text()
    assert CONSTANTS["Rcr"] == 4.1
