"""What features do with unusual and with wrong input."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from atomcore.features import ANI, Gaussian, SymmetryFunctions, imbalzano, preset, select, uniform
from feature_cases import every_function
from structures import water_cluster, water_crystal
from tolerances import EXACT, assert_close

ROW = {
    "radial": {"eta": 0.5, "shift": 0.0},
    "narrow": {"eta": 0.5, "shift": 0.0, "zeta": 2.0, "lambda": 1.0},
    "wide": {"eta": 0.5, "shift": 0.0, "zeta": 2.0, "lambda": 1.0},
    "ani": {"eta": 4.0, "shift": 1.0, "zeta": 8.0, "theta": 0.3, "cos_scale": 0.95},
    "radial_cosine": {"kappa": 1.5},
    "compact_radial": {"low": 0.5},
    "compact_narrow": {"low": 0.5, "theta_low": 0.4, "theta_high": 2.0},
    "compact_wide": {"low": 0.5, "theta_low": 0.4, "theta_high": 2.0},
}


def row(kind: str, **changes) -> dict:
    elements = ["H"] if "radial" in kind else ["H", "O"]
    fixed = {"type": kind, "elements": elements, "prefactor": 1.0, "cutoff": 5.0, "cutoff_function": "cosine"}
    return {**fixed, **ROW[kind], **changes}


def look_alike(atoms: Atoms, **changes) -> SimpleNamespace:
    given = {"numbers": atoms.numbers, "positions": atoms.positions, "cell": np.asarray(atoms.cell), "pbc": atoms.pbc}
    return SimpleNamespace(**{**given, **changes})


# Few atoms


def test_no_atoms():
    f = every_function()
    G, J = f.compute(Atoms(), jacobian=True)
    assert G.shape == (0, f.n_features)
    assert G.dtype == np.float64
    assert J.shape == (0, f.n_features, 0, 3)
    assert J.to_scipy().shape == (0, 0)
    assert J.to_numpy().shape == J.shape
    assert J.vjp(np.zeros((0, f.n_features))).shape == (0, 3)
    assert J.jvp(np.zeros((0, 3))).shape == (0, f.n_features)


@pytest.mark.parametrize("atoms", [Atoms("O"), Atoms("OH", [[0, 0, 0], [0, 0, 9.0]])], ids=["one", "far apart"])
def test_atoms_without_neighbours(atoms):
    f = every_function()
    G, J = f.compute(atoms, jacobian=True)
    assert_close(G, np.zeros((len(atoms), f.n_features)), EXACT)
    assert J.to_scipy().nnz == 0
    assert_close(J.to_numpy(), np.zeros(J.shape), EXACT)
    assert_close(J.vjp(np.ones(G.shape)), np.zeros((len(atoms), 3)), EXACT)
    assert_close(J.jvp(np.ones((len(atoms), 3))), np.zeros(G.shape), EXACT)


# Kinds of arrays


@pytest.mark.parametrize(
    "change",
    [
        lambda R: R.T.copy().T,
        lambda R: R[::-1].copy()[::-1],
        lambda R: np.repeat(R, 2, axis=0)[::2],
        lambda R: R.astype(">f8"),
        lambda R: R.tolist(),
        lambda R: R.astype(np.longdouble),
    ],
    ids=["transposed", "negative stride", "stepped", "big-endian", "list", "long double"],
)
def test_other_layouts_give_the_same_bits(change):
    f, atoms = every_function(), water_crystal()
    expected = f.compute(atoms)
    changed = {"positions": change(atoms.positions), "cell": change(np.asarray(atoms.cell))}
    assert_close(f.compute(look_alike(atoms, **changed)), expected, EXACT)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64, np.int8, np.uint16])
def test_other_types_are_converted_exactly(dtype):
    f = every_function()
    positions = np.array([[0, 0, 1], [0, 1, 0], [1, 1, 2]]).astype(dtype)
    if np.dtype(dtype).kind == "f":
        positions = (positions + 0.1).astype(dtype)
    given = look_alike(Atoms("OHH"), positions=positions)
    G = f.compute(given)
    assert G.dtype == np.float64
    assert_close(G, f.compute(look_alike(Atoms("OHH"), positions=positions.astype(np.float64))), EXACT)


@pytest.mark.parametrize("numbers", [np.array([8, 1, 1], np.uint8), np.array([8, 1, 1], ">i8"), [8, 1, 1], (8, 1, 1)])
def test_any_integers_serve_as_atomic_numbers(numbers):
    f, water = every_function(), molecule("H2O")
    assert_close(f.compute(look_alike(water, numbers=numbers)), f.compute(water), EXACT)


def test_input_is_never_changed():
    f, atoms = every_function(), water_crystal()
    given = look_alike(atoms)
    kept = {name: np.copy(getattr(given, name)) for name in vars(given)}
    for name in kept:
        getattr(given, name).flags.writeable = False
    G, J = f.compute(given, jacobian=True)
    V, W = np.ones((len(G), 3)), np.ones(G.shape)
    V.flags.writeable = W.flags.writeable = False
    J.vjp(W)
    J.jvp(V)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(given, name), value)


def test_results_are_not_shared():
    f, atoms = every_function(), water_cluster()
    first = f.compute(atoms)
    kept = first.copy()
    second = f.compute(atoms)
    second[:] = 0
    assert_close(first, kept, EXACT)


# Wrong structures


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"positions": np.zeros((3, 2))}, ValueError, "positions"),
        ({"positions": np.zeros((2, 3))}, ValueError, "numbers"),
        ({"positions": np.zeros(9)}, ValueError, "positions"),
        ({"positions": [[0, 0, 0], [1, 0], [0, 1, 0]]}, ValueError, "positions"),
        ({"positions": np.zeros((3, 3), object)}, TypeError, "positions"),
        ({"positions": np.zeros((3, 3), complex)}, TypeError, "positions"),
        ({"positions": [["0", "0", "0"]] * 3}, TypeError, "positions"),
        ({"positions": [[0, 0, 0], [1, 0, np.nan], [0, 1, 0]]}, ValueError, "positions"),
        ({"positions": [[0, 0, 0], [1, 0, np.inf], [0, 1, 0]]}, ValueError, "positions"),
        ({"cell": np.zeros(3)}, ValueError, "cell"),
        ({"cell": np.zeros(9)}, ValueError, "cell"),
        ({"cell": np.full((3, 3), np.nan), "pbc": [True] * 3}, ValueError, "cell"),
        ({"cell": np.zeros((3, 3)), "pbc": [True] * 3}, ValueError, "cell"),
        ({"cell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]], "pbc": [True] * 3}, ValueError, "cell"),
        ({"pbc": [True, False]}, ValueError, "pbc"),
        ({"pbc": [2, 0, 0]}, ValueError, "pbc"),
        ({"numbers": [8, 1]}, ValueError, "numbers"),
        ({"numbers": [8.0, 1.0, 1.0]}, TypeError, "numbers"),
        ({"numbers": ["O", "H", "H"]}, TypeError, "numbers"),
        ({"numbers": [8, 1, 6]}, ValueError, r"6.*accepted"),
        ({"numbers": [8, 1, 0]}, ValueError, "numbers.*0"),
        ({"numbers": [8, 1, -1]}, ValueError, "numbers.*-1"),
        ({"numbers": [8, 1, 119]}, ValueError, "numbers.*119"),
        ({"numbers": [8, 1, 2**40]}, ValueError, "numbers"),
    ],
)
def test_wrong_structures_are_refused_by_name(changes, error, words):
    with pytest.raises(error, match=words):
        every_function().compute(look_alike(molecule("H2O"), **changes))


def test_something_that_is_no_structure_is_refused():
    with pytest.raises(TypeError, match="positions"):
        every_function().compute("water.xyz")


def test_coincident_atoms_are_refused_by_index():
    atoms = Atoms("OHH", [[0, 0, 0], [0.9, 0, 0], [0.9, 0, 0]])
    with pytest.raises(ValueError, match="atoms 1 and 2"):
        every_function().compute(atoms)
    image = Atoms("OH", [[0, 0, 0], [3, 0, 0]], cell=[3, 3, 3], pbc=True)
    with pytest.raises(ValueError, match="atoms 0 and 1"):
        every_function().compute(image)


def test_barely_distinct_atoms_give_finite_features():
    for gap in (1e-3, 2e-6):
        G, J = every_function().compute(Atoms("OHH", [[0, 0, 0], [gap, 0, 0], [0.3, 1.0, 0]]), jacobian=True)
        assert np.isfinite(G).all()
        assert np.isfinite(J.to_scipy().toarray()).all()
    for gap in (9e-7, 1e-17, 1e-150):  # seen from a third atom they coincide: no finite derivative
        with pytest.raises(ValueError, match="atoms 0 and 1"):
            every_function().compute(Atoms("OHH", [[0, 0, 0], [gap, 0, 0], [0.3, 1.0, 0]]))


@pytest.mark.parametrize("threads", [0, -1, 2.5, "2", True])
def test_wrong_thread_counts_are_refused(threads):
    with pytest.raises((TypeError, ValueError), match="threads"):
        every_function().compute(molecule("H2O"), threads=threads)


@pytest.mark.parametrize("product", ["vjp", "jvp"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (3, 2), (4, 3)])
def test_products_with_a_jacobian_check_shapes(product, shape):
    _, J = every_function().compute(molecule("H2O"), jacobian=True)
    with pytest.raises(ValueError, match=rf"(V|W).*{shape[0]}"):
        getattr(J, product)(np.zeros(shape))


# Wrong parameters


NARROW = {"type": "narrow", "eta": 1.0, "zeta": 2.0}
NUMBERS = [(kind, key) for kind in ROW for key in [*ROW[kind], "prefactor", "cutoff"]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "key"), NUMBERS)
def test_numbers_that_are_not_finite_are_refused(kind, key, value):
    with pytest.raises(ValueError, match=rf"row 1 .*{key}"):
        SymmetryFunctions.from_table(["H", "O"], [row("radial", eta=9.0), row(kind, **{key: value})])


@pytest.mark.parametrize("value", [None, "0.5", [0.5], 1j])
@pytest.mark.parametrize(("kind", "key"), NUMBERS)
def test_parameters_that_are_no_numbers_are_refused(kind, key, value):
    with pytest.raises((TypeError, ValueError), match=rf"row 1 .*{key}"):
        SymmetryFunctions.from_table(["H", "O"], [row("radial", eta=9.0), row(kind, **{key: value})])


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("radial", {"eta": -1e-3}, "eta"),
        ("radial", {"cutoff": 0.0}, "cutoff"),
        ("radial", {"cutoff": -5.0}, "cutoff"),
        ("narrow", {"zeta": 0.0}, "zeta"),
        ("narrow", {"zeta": -1.0}, "zeta"),
        ("wide", {"lambda": 2.0}, "lambda"),
        ("wide", {"lambda": -1.0000001}, "lambda"),
        ("ani", {"cos_scale": 0.0}, "cos_scale"),
        ("ani", {"cos_scale": 1.5}, "cos_scale"),
        ("ani", {"zeta": -0.5}, "zeta"),
        ("radial_cosine", {"kappa": -1.0}, "kappa"),
        ("radial_cosine", {"eta": 1.0}, "eta"),
        ("compact_radial", {"low": 5.0}, "low"),
        ("compact_radial", {"cutoff_function": "tanh3"}, "cutoff_function"),
        ("compact_wide", {"cutoff_function": "hard"}, "cutoff_function"),
        ("compact_wide", {"cutoff_function": "polynomial", "gamma": 4.0}, "cutoff_function"),
        ("compact_wide", {"inner": 0.2}, "inner"),
        ("compact_wide", {"theta_low": -0.1}, "theta_low"),
        ("compact_wide", {"theta_low": 2.0}, "theta_high"),
        ("compact_narrow", {"theta_high": 3.2}, "theta_low"),
        ("radial", {"inner": 1.0}, "inner"),
        ("radial", {"inner": -0.1}, "inner"),
        ("radial", {"inner": np.nan}, "inner"),
        ("radial", {"inner": "half"}, "inner"),
        ("radial", {"inner": 0.1, "cutoff_function": "tanh3"}, "inner"),
        ("radial", {"inner": 0.1, "cutoff_function": "hard"}, "inner"),
        ("radial", {"weights": {"H": 1.0, "O": 1.0}}, "weights"),
        ("radial", {"elements": "all"}, "weights"),
        ("radial", {"elements": "all", "weights": {"H": 1.0}}, "weights"),
        ("radial", {"elements": "all", "weights": {"H": 1.0, "O": 1.0, "C": 1.0}}, "weights"),
        ("narrow", {"elements": "all", "weights": {"H": 1.0, "O": np.nan}}, "weights"),
        ("narrow", {"elements": "all", "weights": {"H": 1.0, "O": "8"}}, "weights"),
        ("narrow", {"elements": "all", "weights": "Z"}, "weights"),
        ("narrow", {"elements": "every"}, "elements"),
        ("radial", {"elements": ["C"]}, "C"),
        ("radial", {"elements": ["H", "H"]}, "elements"),
        ("narrow", {"elements": ["H"]}, "elements"),
        ("narrow", {"elements": ["H", "C"]}, "C"),
        ("narrow", {"elements": "HO"}, "elements"),
        ("radial", {"type": "G2"}, "type"),
        ("radial", {"type": None}, "type"),
        ("radial", {"cutoff_function": "tanh"}, "cutoff_function"),
        ("radial", {"zeta": 1.0}, "zeta"),
    ],
)
def test_wrong_rows_are_refused(kind, changes, words):
    with pytest.raises(ValueError, match=rf"row 1 .*{words}"):
        SymmetryFunctions.from_table(["H", "O"], [row("radial", eta=9.0), row(kind, **changes)])


@pytest.mark.parametrize(("kind", "key"), [(k, key) for k in ROW for key in [*ROW[k], "type", "elements", "cutoff"]])
def test_missing_keys_are_refused(kind, key):
    given = row(kind)
    del given[key]
    with pytest.raises(ValueError, match=rf"row 0 .*{key}"):
        SymmetryFunctions.from_table(["H", "O"], [given])


def test_repeated_functions_are_refused():
    with pytest.raises(ValueError, match="row 2"):
        SymmetryFunctions.from_table(["H", "O"], [row("radial"), row("narrow"), row("radial", prefactor=2.0)])
    with pytest.raises(ValueError, match="row 1"):
        SymmetryFunctions.from_table(["H", "O"], [row("narrow"), row("narrow", elements=["O", "H"])])
    twice = row("wide", elements="all", weights={"H": 2.0, "O": 3})
    with pytest.raises(ValueError, match="row 1"):
        SymmetryFunctions.from_table(["H", "O"], [twice, {**twice, "weights": {"O": 3.0, "H": 2}}])


def test_empty_tables_and_element_lists_are_refused():
    with pytest.raises(ValueError, match="empty"):
        SymmetryFunctions(["H"])
    with pytest.raises(ValueError, match="empty"):
        SymmetryFunctions.from_table(["H"], [])
    with pytest.raises(ValueError, match="elements"):
        Gaussian([])


@pytest.mark.parametrize("elements", [["H", "H"], ["Xx"], ["h"], ["X"], [1], [""], ["H", None]])
def test_wrong_elements_are_refused(elements):
    with pytest.raises(ValueError, match="elements"):
        ANI(elements)
    with pytest.raises(TypeError, match="elements"):
        ANI("HO")


@pytest.mark.parametrize("cutoff", [0, 0.0, -1.0, np.nan, np.inf, None, "6"])
@pytest.mark.parametrize("normalized", [True, False])
def test_wrong_cutoffs_are_refused(cutoff, normalized):
    with pytest.raises((ValueError, TypeError), match="cutoff"):
        Gaussian(["H"], cutoff=cutoff, normalized=normalized)
    with pytest.raises((ValueError, TypeError), match="cutoff"):
        SymmetryFunctions(["H"], radial=[{"eta": 1}], cutoff=cutoff, normalized=normalized)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"radial": [{"eta": 1.0, "zeta": 2.0}]}, r"radial\[0\] has unknown key 'zeta'.*cutoff, .*eta, .*shift$"),
        ({"radial": [{"shift": 1.0}]}, r"radial\[0\] misses eta"),
        ({"radial": [{"eta": 1.0}, {"eta": "wide"}]}, r"radial\[1\] eta is 'wide'"),
        ({"radial": [{"eta": 1.0, "prefactor": 2.0}]}, r"radial\[0\] has unknown key 'prefactor'"),
        ({"angular": [{"eta": 1.0, "zeta": 2.0}]}, r"angular\[0\] has type None; accepted: narrow, wide, ani"),
        ({"radial": [{"type": "narrow", "eta": 1.0}]}, r"radial\[0\] has type 'narrow'; accepted: radial, "),
        ({"radial": [{"type": "radial_cosine"}]}, r"radial\[0\] misses kappa"),
        ({"radial": [{"type": "compact_radial", "eta": 1.0}]}, r"radial\[0\] has unknown key 'eta'"),
        ({"angular": [{"type": "compact_wide", "theta_low": 1.0}]}, r"angular\[0\] .* misses theta_high"),
        ({"radial": [{"eta": 1.0, "cutoff_function": "poly5"}]}, r"cutoff_function is 'poly5'; accepted: 'cosine'"),
        ({"radial": [{"eta": 1.0, "inner": "half"}]}, r"inner is 'half'"),
        ({"radial": [{"eta": 1.0}], "weights": "mass"}, r"weights is 'mass'; accepted: 'Z'"),
        ({"radial": [{"eta": 1.0}], "weights": {"H": 1.0}}, r"weights is .*accepted: a number for each"),
        ({"radial": [{"eta": 1.0}], "weights": {"H": 1.0, "O": np.inf}}, r"weights of O is inf"),
        ({"angular": [{"type": "G4", "eta": 1.0, "zeta": 2.0}]}, r"angular\[0\] has type 'G4'"),
        ({"angular": [{"type": "radial", "eta": 1.0}]}, r"angular\[0\] has type 'radial'"),
        (
            {"angular": [NARROW, {**NARROW, "lamda": 1.0}]},
            r"angular\[1\] \(narrow\) .*'lamda' \(did you mean 'lambda'\?",
        ),
        ({"angular": [{**NARROW, "lambda_": 1.0}]}, r"'lambda_' \(did you mean 'lambda'\?"),
        ({"angular": [{"type": "narrow", "eta": 1.0}]}, r"angular\[0\] \(narrow\) misses zeta"),
        ({"angular": [{"type": "wide", "zeta": 1.0}]}, r"angular\[0\] \(wide\) misses eta"),
        ({"angular": [{**NARROW, "theta": 1.0}]}, r"unknown key 'theta'"),
        ({"angular": [{**NARROW, "prefactor": 1.0}]}, r"unknown key 'prefactor'"),
        ({"angular": [{**NARROW, 3: 1.0}]}, r"unknown key 3"),
        ({"angular": [{"type": "ani", "eta": 1.0, "zeta": 2.0}]}, r"angular\[0\] \(ani\) misses shift, theta"),
        ({"angular": [{"type": "ani", "eta": 1.0, "zeta": 2.0, "theta": 1.0, "shift": 1.0, "lambda": 1}]}, "'lambda'"),
    ],
)
def test_wrong_functions_are_refused_by_place_and_key(given, words):
    with pytest.raises(ValueError, match=words):
        SymmetryFunctions(["H", "O"], **given)


@pytest.mark.parametrize("group", ["radial", "angular"])
def test_functions_that_are_no_mappings_are_refused(group):
    with pytest.raises(TypeError, match=rf"{group}\[0\] is 4.0; accepted: a mapping"):
        SymmetryFunctions(["H", "O"], **{group: [4.0]})


def test_unknown_presets_and_variants_are_refused():
    with pytest.raises(ValueError, match=r"ani3x.*ani2x"):
        preset("ani3x", ["H"])
    with pytest.raises(ValueError, match=r"angular.*narrow"):
        Gaussian(["H"], angular="G4")
    with pytest.raises(ValueError, match=r"'ani1x' has resolve_elements=True; accepted: no switches"):
        preset("ani1x", ["H"], resolve_elements=True)
    with pytest.raises(ValueError, match=r"'tutorial_bp' has exchange_grids=True; accepted: resolve_elements"):
        preset("tutorial_bp", ["H"], exchange_grids=True)
    with pytest.raises(ValueError, match=r"truncate_angular='no'; accepted: .*truncate_angular=True or False"):
        preset("tutorial_ani", ["H"], truncate_angular="no")
    with pytest.raises(TypeError, match="resolve_elements is 'no'"):
        Gaussian(["H"], resolve_elements="no")


@pytest.mark.parametrize(
    ("make", "given", "words"),
    [
        (uniform, {"n_radial": 0}, "n_radial is 0"),
        (uniform, {"n_angular": -1}, "n_angular is -1"),
        (uniform, {"first": 6.0}, "first is 6"),
        (uniform, {"first": "near"}, "first is 'near'"),
        (uniform, {"cutoff": np.inf}, "cutoff is inf"),
        (uniform, {"angular": "ani"}, "angular is 'ani'"),
        (uniform, {"zetas": [0.0]}, "zeta = 0"),
        (imbalzano, {"n": 1}, "n is 1"),
        (imbalzano, {"n": 2.5}, "n is 2.5"),
        (imbalzano, {"cutoff": -1.0}, "cutoff is -1"),
        (imbalzano, {"cutoff": None}, "cutoff is None"),
    ],
)
def test_grids_refuse_wrong_numbers(make, given, words):
    with pytest.raises(ValueError, match=words):
        make(["H", "O"], **given)


def test_selection_refuses_what_it_cannot_choose_from():
    f = uniform(["H", "O"])
    with pytest.raises(ValueError, match="n is 0"):
        select(f, [molecule("H2O")], 0)
    for structures in ([], [Atoms("O")], [molecule("H2O")]):  # both hydrogen atoms look alike
        with pytest.raises(ValueError, match="structures: no function varies"):
            select(f, structures, 3)


@pytest.mark.parametrize("name", ["radial", "angular"])
@pytest.mark.parametrize("value", [4, "eta", {"eta": 1.0}])
def test_functions_come_as_a_sequence(name, value):
    with pytest.raises(TypeError, match=f"{name} is .*accepted: a sequence of mappings"):
        SymmetryFunctions(["H"], **{name: value})
