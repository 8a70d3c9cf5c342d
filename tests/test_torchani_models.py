"""State dicts of TorchANI as models of the engine."""

import numpy as np
import pytest
from ase.build import molecule

from atomcore import AtomcoreError, Potential
from atomcore.interop.ani import read_torchani
from atomcore.interop.networks import NetworkModel
from helpers import Payload
from tolerances import ANI_ENERGY, ANI_FORCES, EXACT, assert_close


def load(model: NetworkModel, path) -> Potential:
    model.save(path)
    return Potential.load(path)


def state_dict(*, members: int = 1) -> dict[str, np.ndarray]:
    """Return a small state dict as TorchANI 2 has it, with the constants of ANI-1x and random weights."""
    random = np.random.default_rng(3)
    order = np.full(120, -1)
    order[[1, 6]] = 0, 1
    constants = {"radial.eta": [16.0], "radial.shifts": 0.9 + 0.26875 * np.arange(16), "angular.eta": [8.0],
                 "angular.zeta": [32.0], "angular.shifts": 0.9 + 0.65 * np.arange(4),
                 "angular.sections": (2 * np.arange(8) + 1) * np.pi / 16}  # fmt: skip
    state = {f"potentials.nnp.aev_computer.{key}": np.array(value, np.float32) for key, value in constants.items()}
    state |= {
        "atomic_numbers": np.array([1, 6]),
        "energy_shifter.self_energies": np.array([-0.6, -38.0], np.float32),
        "species_converter.conv_tensor": order,
        "potentials.nnp.aev_computer.triu_index": np.array([[0, 1], [1, 2]]),
    }
    for m in range(members):
        for x in ("H", "C"):
            for name, n_in, n_out in (("layers.0", 128, 4), ("layers.1", 4, 3), ("final_layer", 3, 1)):
                prefix = f"potentials.nnp.neural_networks.members.{m}.atomics.{x}.{name}"
                state[f"{prefix}.weight"] = random.normal(0, 0.3, (n_out, n_in)).astype(np.float32)
                state[f"{prefix}.bias"] = random.normal(0, 0.3, n_out).astype(np.float32)
    return state


def save_state(state, path):
    from safetensors.numpy import save_file

    save_file(state, path)
    return path


def old_names(state):
    """Return a state dict under the names of TorchANI 1."""
    names = {"radial.eta": "EtaR", "radial.shifts": "ShfR", "angular.eta": "EtaA", "angular.zeta": "Zeta",
             "angular.shifts": "ShfA", "angular.sections": "ShfZ", "potentials.nnp.": "", "members.": "",
             "atomics.": "", "layers.1": "2", "layers.0": "0", "final_layer": "4"}  # fmt: skip
    renamed = {}
    for key, array in state.items():
        for new, old in names.items():
            key = key.replace(new, old)
        renamed[key] = array
    del renamed["atomic_numbers"]
    return renamed | {"aev_computer.default_cell": np.eye(3, dtype=np.float32)}


@pytest.mark.parametrize("members", [1, 2])
def test_names_of_state_dicts_now_and_before(members, tmp_path):
    torch = pytest.importorskip("torch")
    state = state_dict(members=members)
    one = {key.replace("members.0.", ""): array for key, array in state.items()} if members == 1 else state
    torch.save({key: torch.from_numpy(array) for key, array in one.items()}, tmp_path / "ani1x_state_dict.pt")
    paths = [
        save_state(state, tmp_path / "ani1x.safetensors"),
        save_state(old_names(one), tmp_path / "old-ani1x.safetensors"),
        tmp_path / "ani1x_state_dict.pt",
    ]
    atoms = molecule("C2H6")
    results = [load(read_torchani(path), tmp_path / "m.atomcore").energy_forces(atoms) for path in paths]
    by_cutoffs = load(read_torchani(paths[0], cutoffs=(5.2, 3.5)), tmp_path / "m.atomcore").energy_forces(atoms)
    for energy, forces in [*results[1:], by_cutoffs]:
        assert energy == results[0][0]
        assert_close(forces, results[0][1], EXACT)


@pytest.mark.parametrize(("name", "members"), [("ani2x", 1), ("ani2x", 2), ("ani1x", 2)])
def test_state_dicts_against_torchani(name, members, tmp_path):
    """A model of TorchANI with random weights, its state dict now and in its older form."""
    torch = pytest.importorskip("torch")
    arch = pytest.importorskip("torchani.arch", reason="torchani is not installed")
    torch.manual_seed(0)
    assembler = arch.Assembler(periodic_table_index=True)
    assembler.set_symbols(("H", "C", "N", "O", *(("S", "F", "Cl") if name == "ani2x" else ())))
    assembler.set_global_cutoff_fn("cosine")
    assembler.set_aev_computer(radial=name, angular=name, strategy="pyaev")
    assembler.set_atomic_networks(ctor=name)
    assembler.set_neighborlist("all_pairs")
    assembler.set_gsaes_as_self_energies("wb97x-631gd")
    peer = assembler.assemble(2)
    peer = peer if members > 1 else peer[0]
    torch.save(peer.state_dict(), tmp_path / f"{name}_state_dict.pt")
    torch.save(peer.legacy_state_dict(), tmp_path / f"old_{name}.pt")
    peer.double()
    models = [read_torchani(tmp_path / file) for file in (f"{name}_state_dict.pt", f"old_{name}.pt")]
    potentials = [load(model, tmp_path / f"{i}.atomcore") for i, model in enumerate(models)]
    hartree = models[0].provenance["hartree_in_eV"]
    for what in ("CH3CONH2", "C2H6NH"):
        atoms = molecule(what)
        positions = torch.tensor(atoms.positions)[None].requires_grad_(True)
        energy = peer((torch.tensor(atoms.numbers)[None], positions)).energies
        (gradient,) = torch.autograd.grad(energy.sum(), positions)
        for potential in potentials:
            found, forces = potential.energy_forces(atoms)
            assert_close(found, hartree * float(energy.detach()), ANI_ENERGY)
            assert_close(forces, -hartree * gradient[0].numpy(), ANI_FORCES)


H = "potentials.nnp.neural_networks.members.0.atomics.H."
STATES = [
    ("potentials.repulsion_xtb.y_ab", np.ones(2), "repulsion_xtb.y_ab', a repulsion beside the networks"),
    ("potentials.dispersion_d3.order_6", np.ones(2), "a dispersion beside the networks"),
    ("potentials.0.x", np.ones(2), "a potential beside the networks"),
    ("potentials.nnp.charge_networks.x", np.ones(2), "networks of charges"),
    ("something", np.ones(2), "has 'something'; accepted: ANI networks"),
    (f"{H}layers.1.bias", None, "network 0 of H lacks '1.bias'"),
    (f"{H}layers.1.weight", np.ones((3, 5), np.float32), r"layer 1 has weights \(3, 5\)"),
    (
        f"{H}final_layer.bias",
        np.array([np.nan], np.float32),
        "layer 2 holds values that are not finite or no real ones",
    ),
    (f"{H}final_layer.bias", np.array([1]), "layer 2 holds values that are not finite or no real ones"),
    ("species_converter.conv_tensor", None, "has no species_converter.conv_tensor"),
    ("species_converter.conv_tensor", np.full(120, -1), "does not number its elements from 0"),
    ("atomic_numbers", np.array([6, 1]), "atomic_numbers that are not those of"),
    ("energy_shifter.self_energies", np.ones(3, np.float32), "energy_shifter.self_energies of type"),
    ("potentials.nnp.aev_computer.radial.eta", np.ones(2, np.float32), "radial_eta of type"),
    ("potentials.nnp.aev_computer.radial.shifts", None, "has no radial_shifts"),
    ("aev_computer.EtaR", np.ones(1, np.float32), "radial.eta' twice, by another name too"),
]


@pytest.mark.parametrize(("key", "value", "message"), STATES)
def test_other_state_dicts_are_refused_by_name(key, value, message, tmp_path):
    state = state_dict()
    if value is None:
        del state[key]
    else:
        state[key] = value
    with pytest.raises(AtomcoreError, match=message) as refused:
        read_torchani(save_state(state, tmp_path / "ani1x.safetensors"))
    assert "ani1x.safetensors" in str(refused.value)


def test_which_model_a_state_dict_is_must_be_said(tmp_path):
    path = save_state(state_dict(), tmp_path / "mine.safetensors")
    with pytest.raises(ValueError, match="model is missing: a state dict has no cutoff radii"):
        read_torchani(path)
    with pytest.raises(ValueError, match="model is 'ani3'; accepted: ani1x, ani1ccx, ani2x, or cutoffs"):
        read_torchani(path, model="ani3")
    with pytest.raises(ValueError, match=r"model is 'ani2x', but mine\.safetensors has radial_eta 16\.0"):
        read_torchani(path, model="ani2x")
    with pytest.raises(ValueError, match="accepted: one of them"):
        read_torchani(path, model="ani1x", cutoffs=(5.2, 3.5))
    for cutoffs in ((5.2,), (5.2, -1.0), (float("nan"), 3.5)):
        with pytest.raises(ValueError, match="the radial and the angular radius"):
            read_torchani(path, cutoffs=cutoffs)
    xr = save_state(state_dict(), tmp_path / "ani1xnr.safetensors")  # another model
    with pytest.raises(ValueError, match="model is missing"):
        read_torchani(xr)
    assert read_torchani(path, model="ani1ccx").cutoff == 5.2


def test_damaged_state_dicts_are_refused(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "ani1x.pt"
    torch.save({key: torch.from_numpy(array) for key, array in state_dict().items()}, path)
    content = path.read_bytes()
    for length in np.random.default_rng(1).integers(0, len(content), 20):
        path.write_bytes(content[:length])
        with pytest.raises(AtomcoreError, match=r"ani1x\.pt is damaged or no state dict"):
            read_torchani(path)
    for thing in ([1, 2], {"a": "text"}, {"a": torch.ones(2).to_sparse()}, {"a": torch.zeros(1).expand(1 << 40)}):
        torch.save(thing, path)
        with pytest.raises(AtomcoreError, match=r"ani1x\.pt"):
            read_torchani(path)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_state_dicts_of_other_types_are_refused(kind, tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_tensors

    state = {key: torch.from_numpy(array) for key, array in state_dict().items()}
    state = {
        key: array.to(getattr(torch, kind)) if array.is_floating_point() else array for key, array in state.items()
    }
    torch.save(state, tmp_path / "ani1x.pt")
    save_tensors(state, tmp_path / "ani1x.safetensors")
    with pytest.raises(AtomcoreError, match=r"ani1x\.pt has 'potentials.*', no plain tensor of numbers"):
        read_torchani(tmp_path / "ani1x.pt")
    with pytest.raises(AtomcoreError, match=r"ani1x\.safetensors .*float32, float64, int64, int32"):
        read_torchani(tmp_path / "ani1x.safetensors")


def test_nobody_is_told_to_run_what_a_file_holds(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(Payload(tmp_path / "marker"), tmp_path / "ani1x.pt")
    with pytest.raises(AtomcoreError) as refused:
        read_torchani(tmp_path / "ani1x.pt")
    assert "weights_only" not in str(refused.value)


def test_a_hostile_state_dict_is_not_run(tmp_path):
    torch = pytest.importorskip("torch")
    marker = tmp_path / "marker"
    for old in (True, False):
        torch.save(Payload(marker), tmp_path / "ani2x.pt", _use_new_zipfile_serialization=not old)
        with pytest.raises(AtomcoreError, match=r"ani2x\.pt is damaged or no state dict"):
            read_torchani(tmp_path / "ani2x.pt")
    assert not marker.exists()
