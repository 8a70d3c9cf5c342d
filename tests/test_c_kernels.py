"""The C library with kernel models of every kind."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from atomcore import Potential
from c_library import Host, Model, Refused, computed
from tolerances import ENGINE, EXACT, STRAIN_FD, assert_close


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a file of each kind of kernel model, by its kind, and the structure that it is of."""
    from test_kernel_files import kinds, solution

    folder = tmp_path_factory.mktemp("kinds")
    ethanol = molecule("CH3CH2OH")
    water = molecule("H2O")
    for atoms in (ethanol, water):
        atoms.rattle(0.05, seed=1)
    structures = {"gdml": ethanol, "atomic_kernel": ethanol, "structure_kernel": water, "many_body": solution()}
    found = {}
    for kind, content in kinds(folder).items():
        (folder / kind).write_bytes(content)
        found[kind] = (folder / kind, structures[kind])
    return found


def test_info(files):
    for kind, (file, _) in files.items():
        opened, potential = Model(file), Potential.load(file)
        info = opened.info
        assert (info.kind.decode(), info.capability.decode()) == (kind, potential.capability)
        assert info.cutoff == (potential.cutoff if np.isfinite(potential.cutoff) else 0.0)
        assert bool(info.has_energies) == ("energies" in potential.properties)
        assert bool(info.has_spread) == ("energy_spread" in potential.properties)


@pytest.mark.parametrize("kind", ["gdml", "atomic_kernel", "structure_kernel", "many_body"])
def test_kernel_models(files, kind):
    file, atoms = files[kind]
    expected = computed(Potential.load(file), atoms)
    local = kind == "atomic_kernel"
    found = Model(file).compute(atoms, ("forces", "energies", "virials") if local else ("forces",))
    assert_close(found["energy"], expected["energy"], EXACT)
    assert_close(found["forces"], expected["forces"], EXACT)
    if not atoms.pbc.any():
        assert_close(found["virial"], atoms.positions.T @ found["forces"], STRAIN_FD)
    if local:
        host = Host(atoms, Potential.load(file).cutoff, Potential.load(file).elements)
        by_lists = Model(file).compute_neighbors(host, ("forces", "energies_spread"))
        assert_close(by_lists["energy"], expected["energy"], ENGINE)
        assert_close(by_lists["forces"], expected["forces"], ENGINE)
        assert_close(by_lists["energies_spread"], expected["energies_spread"], ENGINE)
        return
    with pytest.raises(Refused, match=f"{kind} has the capability '(molecular|global)'") as refusal:
        Model(file).compute_neighbors(Host(Atoms("H", [[0, 0, 0]]), 3.0, ("H",)), ("forces",))
    assert refusal.value.status == "unsupported"
    for name in ("virials", "member_forces", "excess"):
        with pytest.raises(Refused) as refusal:
            Model(file).compute(atoms, (name,))
        assert refusal.value.status == "unsupported"
