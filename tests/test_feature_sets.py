"""Sets of functions: the tutorial's, grids, what a selection keeps; and models with functions of every family."""

import itertools
import json

import numpy as np
import pytest
from ase import Atoms

import atomcore
from atomcore import AtomcoreError, model_file
from atomcore.features import ANI, Compact, SymmetryFunctions, imbalzano, preset, select, uniform
from engine_oracle import reference
from feature_cases import families
from helpers import shared_data, slope
from model_builder import random_model
from structures import family, water_cluster, water_crystal
from tolerances import ENGINE, EXACT, FEATURES, FLOAT32_ENERGY, FORCES_FD, INVARIANT, assert_close

# The tutorial's sets


def as_the_tutorial(positions: np.ndarray, exchange: bool, truncate: bool) -> np.ndarray:
    """Return the tutorial's ANI functions of a molecule, written from its formulas: all pairs, no elements."""
    shifts, angles = [0.9, 1.55, 2.2, 2.85], [np.pi / 16 * (2 * i + 1) for i in range(8)]
    if exchange:
        shifts, angles = angles, shifts
    rows = []
    for i, centre in enumerate(positions):
        D = np.delete(positions, i, axis=0) - centre
        r = np.linalg.norm(D, axis=1)
        fc = 0.5 * (1 + np.cos(np.pi * r / 5.2)) * (r < 5.2)
        row = [(np.exp(-16 * (r - 0.9 - 0.26875 * k) ** 2) * fc).sum() for k in range(16)]
        fc = 0.5 * (1 + np.cos(np.pi * r / 3.5)) * ((r < 3.5) if truncate else 1)
        pairs = list(itertools.combinations(range(len(r)), 2))
        for shift, angle in itertools.product(shifts, angles):
            terms = 0.0
            for j, k in pairs:
                theta = np.arccos(D[j] @ D[k] / (r[j] * r[k]))
                shell = np.exp(-8 * (0.5 * (r[j] + r[k]) - shift) ** 2)
                terms += 2 ** (1 - 32) * (1 + np.cos(theta - angle)) ** 32 * shell * fc[j] * fc[k]
            row.append(terms)
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("truncate", [True, False])
def test_the_ani_set_of_the_tutorial(exchange, truncate):
    with np.load(shared_data("claisen") / "claisen.npz") as data:
        atoms = Atoms(data["Z"], data["R"][700])
    f = preset("tutorial_ani", ["H", "C", "O"], exchange_grids=exchange, truncate_angular=truncate)
    assert f.n_features == 48
    expected = as_the_tutorial(atoms.positions, exchange, truncate)
    assert_close(f.compute(atoms), expected, FEATURES, scale=10)
    if (exchange, truncate) == (True, False):
        default = preset("tutorial_ani", ["H", "C", "O"])
        assert default.table == f.table
        assert f.cutoff == 10.5


def test_the_tutorial_sets_with_elements_resolved():
    f = preset("tutorial_ani", ["H", "C"], resolve_elements=True, exchange_grids=False, truncate_angular=True)
    plain = ANI(["H", "C"], radial_prefactor=1.0, cos_scale=1.0)
    assert f.table == plain.table
    assert preset("tutorial_bp", ["H", "C"]).n_features == 18
    resolved = preset("tutorial_bp", ["H", "C"], resolve_elements=True)
    assert resolved.n_features == 6 * 2 + 12 * 3
    row = resolved.table[6 * 2 + 3 * 3]
    assert (row["eta"], row["zeta"], row["lambda"]) == (0.32, 8.0, 1.0)
    assert {row["cutoff"] for row in resolved.table} == {6.0}


# The compact set


def test_the_compact_set_follows_its_cutoff():
    f = Compact(["Cu"], cutoff=6.4)
    radial = [row for row in f.table if row["type"] == "radial"]
    assert_close([row["shift"] for row in radial], 0.8 + 0.4 * np.arange(14), INVARIANT)
    assert_close([row["eta"] for row in radial], [0.5 / 0.4**2] * 14, INVARIANT)
    wide = [row for row in f.table if row["type"] == "wide"]
    assert_close([row["eta"] * 6.4**2 for row in wide], np.repeat([0.75, 2.5, 7.5, 22.5], 5), INVARIANT)
    assert {row["cutoff"] for row in f.table} == {6.4}


def test_the_angles_of_the_compact_set_say_five_different_things():
    """Powers of the cosine from 0 to 4: none of the five functions of a shell is a sum of the others."""
    cosine = np.linspace(-1, 1, 50)
    angles = [(row["zeta"], row["lambda"]) for row in Compact(["Cu"]).table if row["type"] == "wide"][:5]
    values = [(0.5 * (1 + sign * cosine)) ** zeta for zeta, sign in angles]
    assert np.linalg.matrix_rank(np.array(values)) == 5


def test_the_compact_set_takes_the_options_of_sets():
    f = Compact(["H", "O"], weights="Z", cutoff_function="poly2", inner=0.1)
    assert f.n_features == 14 + 20
    assert {(row["elements"], row["cutoff_function"], row["inner"]) for row in f.table} == {("all", "poly2", 0.1)}


@pytest.mark.parametrize("cutoff", [0.8, 0.0, -1.0, np.nan, np.inf, "6"])
def test_the_compact_set_needs_a_cutoff_beyond_its_first_shell(cutoff):
    with pytest.raises(ValueError, match=r"(first|cutoff) is .*accepted"):
        Compact(["H"], cutoff=cutoff)


# Grids


def test_the_uniform_grid():
    f = uniform(["Cu"], cutoff=5.0, n_radial=4, n_angular=2, first=1.0, zetas=[1.0, 2.0])
    radial = [row for row in f.table if row["type"] == "radial"]
    assert_close([row["shift"] for row in radial], [1.0, 2.0, 3.0, 4.0], INVARIANT)
    assert_close([row["eta"] for row in radial], [0.5] * 4, INVARIANT)
    narrow = [row for row in f.table if row["type"] == "narrow"]
    assert [(row["zeta"], row["lambda"]) for row in narrow] == [(1.0, 1.0), (1.0, -1.0), (2.0, 1.0), (2.0, -1.0)] * 2
    assert_close([row["eta"] for row in narrow], [0.5] * 4 + [0.5 / 9] * 4, INVARIANT)
    assert uniform(["Cu"], n_angular=0).n_features == 12


def test_the_grid_of_imbalzano():
    """The shifted functions are those that n2p2's generator gives for the same rule."""
    f = imbalzano(["Cu"], cutoff=2.0, n=2, zetas=[1.0])
    radial = [row for row in f.table if row["type"] == "radial"]
    assert_close([row["shift"] for row in radial], [0, 0, 0, 1.0, np.sqrt(2)], INVARIANT)
    expected = [0.25, 0.5, 1.0, 3 + 2**1.5, 1.5 + 2**0.5]
    assert_close([row["eta"] for row in radial], expected, INVARIANT)
    angular = [row for row in f.table if row["type"] == "narrow"]
    assert_close([row["eta"] for row in angular], np.repeat([0.25, 0.5, 1.0], 2), INVARIANT)


def test_grids_take_the_options_of_sets():
    f = imbalzano(["H", "O"], n=3, angular="wide", weights="Z", cutoff_function="poly2", inner=0.1)
    assert {row["elements"] for row in f.table} == {"all"}
    assert {row["type"] for row in f.table} == {"radial", "wide"}
    assert {row["cutoff_function"] for row in f.table} == {"poly2"}


# Selection


def cur(X: np.ndarray, n: int) -> list[int]:
    """Return the columns that CUR chooses, by singular value decomposition of the matrix itself."""
    X, chosen = (X - X.mean(axis=0)) / X.std(axis=0), []
    for _ in range(n):
        best = int(np.argmax(np.abs(np.linalg.svd(X)[2][0])))
        chosen.append(best)
        q = X[:, best] / np.linalg.norm(X[:, best])
        X = X - np.outer(q, q @ X)
    return chosen


def test_selection_is_cur_of_the_features_of_each_element():
    structures, f = family(), uniform(["C", "H", "O"], n_radial=5, n_angular=1)
    kept = select(f, structures, 3)
    expected = set()
    for number in f.numbers:
        G = np.concatenate([f.compute(atoms)[atoms.numbers == number] for atoms in structures])
        varies = np.flatnonzero(G.std(axis=0) > 1e-5 * np.abs(G.mean(axis=0)))
        expected |= {int(varies[c]) for c in cur(G[:, varies], 3)}
    assert kept.table == [f.table[k] for k in sorted(expected)]
    assert select(f, structures, 3, threads=2).table == kept.table


def test_selection_keeps_no_function_that_others_make_up():
    """Among hydrogen atoms alone, a function of every element is that of hydrogen, and that of oxygen is 0."""
    options = {"radial": [{"eta": 0.1}, {"eta": 1.0}, {"eta": 3.0}], "cutoff": 4.0}
    resolved, summed = SymmetryFunctions(["H", "O"], **options), SymmetryFunctions(["H", "O"], **options, weights="Z")
    both = SymmetryFunctions.from_table(["H", "O"], resolved.table + summed.table)
    assert both.n_features == 9
    atoms = Atoms("H9", np.random.default_rng(97).uniform(0, 4, (9, 3)))
    assert select(both, [atoms], 9).n_features == 3


def test_selection_takes_a_data_set():
    data = atomcore.data.load(atomcore.data.sample("glycol"), index="::100")
    f = imbalzano(data.elements, n=2)
    kept = select(f, data, 10)
    assert 10 <= kept.n_features <= 30
    assert all(row in f.table for row in kept.table)


# Models


def family_model(**options):
    """Return a random model that reads functions of every family."""
    return random_model(("H", "O"), reference=(-13.6, -2041.8), table=families(["poly1", "poly3"], **options).table)


@pytest.mark.parametrize("options", [{}, {"weights": "Z"}, {"resolve_elements": False}], ids=["resolved", "Z", "all"])
def test_the_engine_evaluates_model_files_with_every_family(tmp_path, options):
    pytest.importorskip("torch", reason="the oracle is written in torch")
    model = family_model(**options)
    potential = atomcore.Potential.load(model.write(tmp_path / "model.atomcore"))
    for atoms in (water_cluster(), water_crystal()):
        energies, forces = reference(model, atoms)
        found = potential.compute(atoms, ["energies", "forces"])
        assert_close(found["energies"], energies, ENGINE)
        assert_close(found["forces"], forces, ENGINE)
    assert potential.feature_labels == families(["poly1", "poly3"], **options).labels


def test_forces_of_every_family_are_slopes_of_the_energy(tmp_path):
    model = family_model(weights="Z")
    table = model.metadata["features"]
    smooth = [i for i, row in enumerate(table) if row["cutoff_function"] not in ("hard", "tanh3_normalized", "tanh3")]
    for x in "HO":  # the others enter no network
        columns = model.tensors[f"features.{x}.columns"]
        model.tensors[f"features.{x}.scale"][~np.isin(columns, smooth)] = 0.0
    potential, atoms = atomcore.Potential.load(model.write(tmp_path / "model.atomcore")), water_cluster()

    def energy(positions: np.ndarray) -> float:
        copy = atoms.copy()
        copy.positions = positions
        return potential.energy_forces(copy)[0]

    V = np.random.default_rng(96).normal(size=(len(atoms), 3))
    forces = potential.energy_forces(atoms)[1]
    assert_close(-(forces * V).sum(), slope(energy, atoms.positions, V), FORCES_FD)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {"H": 1.0}}, "'weights' of feature 0 has no entry 'O'"),
        ({"weights": {"H": 1.0, "O": "8"}}, "entry 'O' of 'weights' of feature 0"),
        ({"weights": [1.0, 8.0]}, "'weights' of feature 0 is not an object"),
        ({"elements": "every"}, "entry 'elements' of feature 0"),
        ({"inner": 1.0}, "inner = 1"),
        ({"inner": "half"}, "entry 'inner' of feature 0"),
        ({"cutoff_function": "poly5"}, "cutoff function 'poly5' is unknown"),
        ({"type": "radial_cosine"}, "feature 0 has no entry 'kappa'"),
        ({"type": "compact_radial"}, "feature 0 has no entry 'low'"),
        ({"type": "compact_radial", "low": 9.0}, "low = 9"),
        ({"type": "compact_wide", "low": 0.0, "theta_low": 1.0, "theta_high": 0.5}, "theta_high = 0.5"),
    ],
)
def test_bad_rows_are_refused_by_name(tmp_path, changes, message):
    model = family_model(weights="Z")
    model.metadata["features"][0] |= changes
    with pytest.raises(AtomcoreError, match=message):
        model.write(tmp_path / "model.atomcore")


def test_a_model_says_what_its_reader_must_know(tmp_path):
    pytest.importorskip("lightning", reason="training needs the extra atomcore[train]")
    from training_sets import molecules, small_features

    data = molecules(12).split(valid=2, seed=0)
    for features, needed in ((small_features(), False), (families(["poly2"], weights="Z"), True)):
        model = atomcore.models.BehlerParrinello(features, hidden=(4,))
        atomcore.train.fit(model, data, max_epochs=2, progress=False)
        path = tmp_path / "model.atomcore"
        model.save(path)
        metadata = model_file.read_metadata(path)
        assert ("function_families" in metadata["requires"]) is needed
        assert metadata["features"] == json.loads(json.dumps(features.table))
        again = atomcore.models.BehlerParrinello.load(path)
        atoms = data.dataset[0]
        energy = model.energy_forces(atoms)[0]
        assert_close(again.energy_forces(atoms)[0], energy, EXACT)
        assert_close(atomcore.Potential.load(path).energy_forces(atoms)[0], energy, FLOAT32_ENERGY, scale=len(atoms))


def test_a_training_run_keeps_the_best_functions(tmp_path):
    pytest.importorskip("lightning", reason="training needs the extra atomcore[train]")
    from atomcore.cli.main import main
    from training_sets import molecules

    path = tmp_path / "set.extxyz"
    molecules(20).save(path)
    settings = ["features=imbalzano", "features.n=3", "features.zetas=[1.0]", "features.weights=Z"]
    quick = ["model.hidden=[4]", "training.max_epochs=1", "run.threads=1", f"run.dir={tmp_path / 'run'}"]
    assert main(["train", f"data.path={path}", "functions_per_element=3", *settings, *quick]) == 0
    info = model_file.read_metadata(tmp_path / "run" / "model.atomcore")
    assert 3 <= len(info["features"]) <= 6
    assert {row["elements"] for row in info["features"]} == {"all"}
    assert "function_families" in info["requires"]
