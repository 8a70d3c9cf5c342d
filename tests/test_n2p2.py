"""Folders of n2p2, read and written: against its own stored predictions and an evaluator of its files."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ase.units import Bohr, Hartree

import n2p2_folder as water
from atomcore.features import SymmetryFunctions
from atomcore.interop.n2p2 import read_model, write_model
from atomcore.interop.networks import UNBOUNDED, NetworkModel
from atomcore.potential import Potential
from helpers import shared_data, slope
from model_builder import feature_table, random_model
from n2p2_folders import SCALINGS, in_unit, settings, structures, write_folder
from n2p2_oracle import Folder
from structures import family
from tolerances import ENGINE, FORCES_FD, HARTREE, HARTREE_BOHR, REFERENCE, assert_close

BOHR = "hartree, bohr"
UNITS = {BOHR: (Hartree, Bohr), "eV, Angstrom": (1.0, 1.0)}
LEAST = 1e-6  # of a range, what the engine overlooks and n2p2 does not
ELEMENTS = [("O", "H"), ("Cu", "S"), ("N", "C", "H"), ("Si",)]
ACTIVATIONS = ["ttl", "spl", "rgl", "cSl", "ehl", "tps", "shS", "gee", "pcgt", "rlh"]


def saved(model, path):
    """Return the potential of a model."""
    model.save(path)
    return Potential.load(path, threads=1)


def random_folder(path, seed, letters="", **more):
    """Return a folder as the oracle has it and its units; settings change with the seed, and ``more`` replaces some."""
    units = list(UNITS)[seed % 2]
    elements, alpha = ELEMENTS[seed % 4], ["", " 0.3"][seed // 2 % 2]
    given = {
        "cutoff": f"cutoff_type {seed % 9}{alpha}",
        "scaling": list(SCALINGS.values())[seed % 6],
        "bounds": ["", "scale_min_short -1.0\nscale_max_short 2.0"][seed // 3 % 2],
        "nodes": ["", "normalize_nodes"][seed // 5 % 2],
        "offsets": ["", f"atom_energy {elements[0]} -3.25"][seed // 2 % 2],
        "energies": ["mean_energy -0.7\nconv_energy 12.5\nconv_length 1.9", ""][seed % 2],
    } | more
    letters, rng = letters or ACTIVATIONS[seed % 10], np.random.default_rng(seed)
    text = settings(rng, elements, letters, UNITS[units][1], **{key: line for key, line in given.items() if line})
    return write_folder(path, text, seed, UNITS[units][1]), units


def check(potential, folder, units, seed):
    """Compare a potential with what the files of a folder say, on a cluster and on a crystal; return the structures."""
    energy, length = UNITS[units]
    chosen = structures(tuple(folder.elements), seed + 100)[2:4]
    for atoms in chosen:
        found = potential.compute(atoms, ["energies", "extrapolation"])
        given = in_unit(atoms, length)
        assert_close(found["energies"], folder.energies(*given) * energy, REFERENCE)
        np.testing.assert_array_equal(found["extrapolation"], folder.warnings(*given, LEAST))
    return chosen


# Where the cutoff is hard, differences step over it now and then.
MORE = [pytest.param(seed, marks=pytest.mark.long) for seed in range(12, 150) if seed % 9]


@pytest.mark.parametrize("seed", [*range(12), *MORE])
def test_random_folders_are_what_their_files_say(tmp_path, seed):
    """Every type and cutoff, ways of scaling, activations, units: energies, inputs and ranges of each atom, forces."""
    folder, units = random_folder(tmp_path / "folder", seed)
    energy, length = UNITS[units]
    model = read_model(tmp_path / "folder", units)
    potential = saved(model, tmp_path / "model.atomcore")
    functions = SymmetryFunctions.from_table(model.elements, model.table)
    for atoms in check(potential, folder, units, seed):
        given = in_unit(atoms, length)
        for x, ours, theirs in zip(atoms.symbols, functions.compute(atoms), folder.features(*given), strict=True):
            inputs = (ours[model.columns[x]] - model.mean[x]) * model.scale[x]
            expected = folder.scaled(folder.elements.index(x), theirs)
            assert_close(np.sort(inputs), np.sort(expected), REFERENCE)
        direction = np.random.default_rng(seed).normal(size=atoms.positions.shape)

        def total(positions, given=given):
            return folder.energies(given[0], positions / length, given[2]).sum() * energy

        forces = potential.energy_forces(atoms)[1]
        assert_close(-np.sum(forces * direction), slope(total, atoms.positions, direction), FORCES_FD)


# n2p2's own numbers


@pytest.fixture(scope="module")
def stored():
    with np.load(shared_data("n2p2_h2o_rpbe_d3") / "n2p2_reference.npz") as arrays:
        return dict(arrays)


def test_water_is_that_of_n2p2(stored, tmp_path):
    """Energies within 1e-9 Ha and forces within 1e-8 Ha/bohr for all of its structures."""
    potential = saved(read_model(shared_data("n2p2_h2o_rpbe_d3"), BOHR), tmp_path / "water.atomcore")
    assert potential.info["provenance"]["converted"] == "n2p2"
    for key in (f"{i:03d}" for i in range(20)):
        energy, forces = potential.energy_forces(water.structure(stored, key))
        assert_close(energy / Hartree, stored[f"{key}/E"], HARTREE)
        assert_close(forces / (Hartree / Bohr), stored[f"{key}/F"], HARTREE_BOHR)


def test_scaled_features_and_their_derivatives_are_those_of_n2p2(stored):
    folder = shared_data("n2p2_h2o_rpbe_d3")
    model = read_model(folder, BOHR)
    functions = SymmetryFunctions.from_table(model.elements, model.table)
    columns = {x: water.sorted_columns(folder, x, model.table) for x in "HO"}
    for key in ("000", "001", "002"):
        atoms = water.structure(stored, key)
        for x, G, expected in zip(atoms.symbols, functions.compute(atoms), stored[f"{key}/G_scaled"], strict=True):
            place = np.searchsorted(model.columns[x], columns[x])
            assert_close(
                (G[columns[x]] - model.mean[x][place]) * model.scale[x][place], expected[: len(place)], REFERENCE
            )
    atoms = water.structure(stored, "000")
    jacobian = functions.compute(atoms, jacobian=True)[1].to_scipy().tocsr()
    for x, centre in (("O", 0), ("H", 1)):
        place = np.searchsorted(model.columns[x], columns[x])
        rows = jacobian[centre * len(model.table) : (centre + 1) * len(model.table)].toarray()[columns[x]]
        ours = (rows * model.scale[x][place, None] * Bohr).reshape(len(place), len(atoms), 3)
        theirs, of_centre = np.zeros_like(ours), stored["000/dG_idx"][:, 0] == centre
        _, functions_moved, moved = stored["000/dG_idx"][of_centre].T
        theirs[functions_moved, moved] = stored["000/dG_val"][of_centre]
        assert_close(ours, theirs, REFERENCE)


# Special cases


def test_elements_may_have_their_own_nodes_and_activations(tmp_path):
    """As n2p2 executes them: the last hidden layer and the output stay those of all elements."""
    more = {"own": "element_nodes_short S 6 4\nelement_activation_short Cu g p t", "scaling": SCALINGS["sigma"]}
    folder, units = random_folder(tmp_path / "folder", 1, **more)
    text = (tmp_path / "folder" / "input.nn").read_text()
    with pytest.warns(
        UserWarning, match="the output of Cu has the activation t, but n2p2 takes that of all elements, l"
    ):
        model = read_model(tmp_path / "folder", units)
    check(saved(model, tmp_path / "model.atomcore"), folder, units, 1)
    assert [len(bias) for _, bias in model.networks[0]["S"]] == [6, int(folder.first("global_nodes_short")[1]), 1]

    # other readings of the keyword are settled by what the weight files hold
    by_layer = text.replace("element_nodes_short S 6 4", "element_nodes_short S 1 6")
    (tmp_path / "folder" / "input.nn").write_text(by_layer.replace("g p t", "g p l"))
    again = saved(read_model(tmp_path / "folder", units), tmp_path / "again.atomcore")
    check(again, folder, units, 1)


def test_repeated_functions_become_one_column(tmp_path):
    more = {"copies": "symfunction_short Si 2 Si 0.3 0.5 4.0\nsymfunction_short Si 2 Si 0.300 .5 4.0 # again"}
    folder, units = random_folder(tmp_path / "folder", 3, scaling=SCALINGS["scale"], **more)
    model = read_model(tmp_path / "folder", units)
    assert len(model.table) == len(folder.functions[0]) - 1
    chosen = structures(("Si",), 103)[2]
    found = saved(model, tmp_path / "model.atomcore").compute(chosen, ["energies"])["energies"]
    assert_close(found, folder.energies(*in_unit(chosen, 1.0)), REFERENCE)


def test_functions_of_other_elements_are_never_outside(tmp_path):
    random_folder(tmp_path / "folder", 4)
    model = read_model(tmp_path / "folder", BOHR)
    for x in model.elements:
        others = np.setdiff1d(np.arange(len(model.table)), model.columns[x])
        assert len(others)
        assert (model.minimum[x][others] == -UNBOUNDED).all()
        assert (model.maximum[x][others] == UNBOUNDED).all()


def test_ranges_of_next_to_nothing_are_exact(tmp_path):
    """A function of which only the tail occurs, 1e-245: its scale is beyond single precision, its share is not."""
    tail = {"tail": "symfunction_short Si 2 Si 250.0 0.0 4.0"}
    _, units = random_folder(tmp_path / "folder", 3, scaling=SCALINGS["scale and center"], **tail)
    own = Folder(tmp_path / "folder")
    position = next(i for i, f in enumerate(own.functions[0]) if f.eta == 250.0)
    atoms = structures(("Si",), 103)[2]
    values = np.array(own.features(*in_unit(atoms, 1.0)))[:, position]
    assert 0 < values.max() < 1e-200
    lines = (tmp_path / "folder" / "scaling.data").read_text().splitlines()
    lines[1 + position] = f"1 {position + 1} {values.min():.16e} {values.max():.16e} {values.mean():.16e} 0.0"
    (tmp_path / "folder" / "scaling.data").write_text("\n".join(lines) + "\n")
    model = read_model(tmp_path / "folder", units)
    assert max(model.scale["Si"]) > 1e200
    found = saved(model, tmp_path / "model.atomcore").compute(atoms, ["energies"])["energies"]
    assert_close(found, Folder(tmp_path / "folder").energies(*in_unit(atoms, 1.0)), REFERENCE)


def test_members_of_a_committee(tmp_path):
    """Folders with their own scaling and energies, or with their own weights only; in the order of their names."""
    folders = []
    (tmp_path / "all").mkdir()
    for i, name in enumerate(("nn-2", "nn-10", "nn-1")):
        own = {"energies": f"mean_energy {0.1 * i}\nconv_energy {3.0 + i}\nconv_length 1.0", "nodes": ""}
        folders.append(random_folder(tmp_path / "all" / name, 2, letters="ttl", **own)[0])
        scaling = tmp_path / "all" / name / "scaling.data"
        rows = np.loadtxt(scaling)
        rows[:, 2:5] += 0.01 * i
        np.savetxt(scaling, rows, fmt=["%d", "%d", *["%.17e"] * 4])
        folders[-1] = Folder(tmp_path / "all" / name)
    model = read_model(tmp_path / "all", BOHR)
    potential = saved(model, tmp_path / "model.atomcore")
    assert potential.members == 3
    atoms = structures(tuple(folders[0].elements), 102)[2]
    totals = np.array([folder.energies(*in_unit(atoms, Bohr)).sum() for folder in folders]) * Hartree
    found = potential.compute(atoms, ["energy", "energy_spread"])
    assert_close(found["energy"], totals.mean(), REFERENCE)
    assert_close(found["energy_spread"], totals.std(ddof=1), REFERENCE)
    first = saved(replace(model, networks=model.networks[:1]), tmp_path / "first.atomcore")
    assert_close(first.energy_forces(atoms)[0], totals[2], REFERENCE)  # nn-1

    listed = read_model([tmp_path / "all" / name for name in ("nn-10", "nn-1")], BOHR)
    found = saved(listed, tmp_path / "listed.atomcore").energy_forces(atoms)[0]
    assert_close(found, totals[1:].mean(), REFERENCE)

    shared = tmp_path / "shared"
    shutil.copytree(tmp_path / "all" / "nn-1", shared / "a")
    shutil.copytree(tmp_path / "all" / "nn-1", shared / "b")
    for name in ("input.nn", "scaling.data"):
        (shared / "a" / name).rename(shared / name)
        (shared / "b" / name).unlink()
    alike = saved(read_model(shared, BOHR), tmp_path / "alike.atomcore").compute(atoms, ["energy", "energy_spread"])
    assert_close(alike["energy"], totals[2], REFERENCE)
    assert alike["energy_spread"] == 0


# Writing


@pytest.mark.parametrize("seed", range(12))
def test_folders_come_back_as_they_were(tmp_path, seed):
    _, units = random_folder(tmp_path / "folder", seed)
    model = read_model(tmp_path / "folder", units)
    model.save(tmp_path / "model.atomcore")
    for other in UNITS:
        written = tmp_path / f"in {other}"
        write_model(tmp_path / "model.atomcore", written, other)
        again = saved(read_model(written, other), tmp_path / "again.atomcore")
        potential = Potential.load(tmp_path / "model.atomcore", threads=1)
        for atoms in check(again, Folder(written), other, seed):
            assert_close(again.energy_forces(atoms)[1], potential.energy_forces(atoms)[1], ENGINE)


def own_model(folder, **given):
    """Return a model that never was a folder: prefactors, a scale for each element, elements in another order."""
    elements, random = ("O", "H", "C"), np.random.default_rng(0)
    table = [
        row | {"prefactor": random.choice([-0.7, 1.0, 2.5])} for row in feature_table(elements) if row["type"] != "ani"
    ]
    table += [
        {"type": "compact_wide", "elements": "all", "weights": {"H": 1.0, "C": 6.0, "O": 8.0}, "prefactor": 1.0}
        | {"cutoff": 3.1, "low": -3.1, "theta_low": 1.0, "theta_high": 2 * np.pi - 1.0, "cutoff_function": "poly2"}
    ]
    model = random_model(elements, table=table, requires=("function_families",), **{"activation": "tanh"} | given)
    return NetworkModel.read(model.write(folder / "own.atomcore"))


@pytest.mark.parametrize("members", [1, 2])
def test_models_of_ours_are_written_as_n2p2_would_run_them(tmp_path, members):
    model = own_model(tmp_path, members=members)
    write_model(model, tmp_path / "folder", BOHR)
    potential = Potential.load(tmp_path / "own.atomcore", threads=1)
    folders = [tmp_path / "folder" / name for name in (["1", "2"] if members > 1 else [""])]
    for atoms in family(3):
        given = in_unit(atoms, Bohr)
        found = np.mean([Folder(folder).energies(*given) for folder in folders], axis=0) * Hartree
        assert_close(found, potential.compute(atoms, ["energies"])["energies"], REFERENCE)
    again = read_model(tmp_path / "folder", BOHR)
    assert (len(again.networks), again.elements) == (members, ("H", "C", "O"))
    outside = saved(again, tmp_path / "again.atomcore").compute(atoms, ["extrapolation"])["extrapolation"]
    np.testing.assert_array_equal(outside, Folder(folders[0]).warnings(*given, LEAST))


def changed(model, **rows):
    """Return a model with other entries in the first row of its table."""
    return replace(model, table=[model.table[0] | rows, *model.table[1:]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: changed(m, type="ani"), "feature 0 has type 'ani'"),
        (lambda m: changed(m, type="radial_cosine"), "feature 0 has type 'radial_cosine'"),
        (lambda m: changed(m, cutoff_function="polynomial"), r"cutoff functions cosine \(inner 0.0\), polynomial"),
        (lambda m: changed(m, inner=0.2), r"cutoff functions cosine \(inner 0.0\), cosine \(inner 0.2\)"),
        (lambda m: changed(m, prefactor=0.0), "feature 0 of [OHC] is multiplied by 0.0"),
        (lambda m: replace(m, table=[*m.table[:-1], m.table[-1] | {"weights": dict.fromkeys("OHC", 1.0)}]), "weights"),
        (
            lambda m: replace(m, table=[*m.table[:-1], m.table[-1] | {"cutoff_function": "cosine"}]),
            "'cosine'; accepted",
        ),
        (lambda m: replace(m, activations=m.activations | {"H": ("silu", "tanh", "identity")}), "activation 'silu'"),
        (lambda m: replace(m, activations=m.activations | {"H": ("tanh", "tanh", "tanh")}), "all outputs"),
        (lambda m: replace(m, activations=dict.fromkeys("OHC", ("tanh",) * 3)), "outputs are not linear: the same one"),
        (lambda m: replace(m, target="charges"), "target of the model is 'charges'"),
        (lambda m: replace(m, normalized_inputs=True), "divides its inputs by their length"),
        (lambda m: replace(m, minimum=None, maximum=None), "does not know the ranges"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path, change, words):
    model = own_model(tmp_path)
    with pytest.raises(ValueError, match=words):
        write_model(change(model), tmp_path / "folder")
    assert not list(tmp_path.glob("*folder*"))


def test_networks_of_elements_may_differ_as_far_as_n2p2_allows(tmp_path):
    model = own_model(tmp_path)
    random = np.random.default_rng(1)

    def layers(x, *widths):
        pairs = pairwise((len(model.columns[x]), *widths, 1))
        return [(random.normal(size=(b, a)), random.normal(size=b)) for a, b in pairs]

    other = replace(
        model,
        networks=[{"O": layers("O", 5, 4), "H": layers("H", 3, 4), "C": layers("C", 5, 4)}],
        activations=model.activations | {"C": ("gaussian", "relu", "identity")},
    )
    write_model(other, tmp_path / "folder", "eV, Angstrom")
    found = Folder(tmp_path / "folder").energies(*in_unit(family(1)[0], 1.0))
    potential = saved(other, tmp_path / "other.atomcore")
    assert_close(found, potential.compute(family(1)[0], ["energies"])["energies"], REFERENCE)
    with pytest.raises(ValueError, match="as many layers of all elements"):
        write_model(replace(other, networks=[{x: layers(x, 5, 4 + (x == "H")) for x in "OHC"}]), tmp_path / "again")


def test_folders_are_written_into_new_ones_only(tmp_path):
    model = own_model(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("mine")
    with pytest.raises(ValueError, match="which is not empty; accepted: a new or empty one"):
        write_model(model, tmp_path / "folder")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["kept"]
    with pytest.raises(ValueError, match="units is 'hartree, bohr, eV/bohr'"):
        write_model(model, tmp_path / "new", "hartree, bohr, eV/bohr")
