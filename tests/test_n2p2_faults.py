"""Folders of n2p2 that are damaged, contradict themselves or hold what is not supported: refused by file and line."""

import os

import pytest

from atomcore import AtomcoreError
from atomcore.interop.n2p2 import read_model
from n2p2_folders import write_folder

UNITS = "eV, Angstrom"
INPUT = """# Length unit : Angstrom, Energy unit : eV
number_of_elements 2
elements O H
atom_energy O -3.0
mean_energy -1.0
conv_energy 2.0
conv_length 1.5
cutoff_type 1 0.1
scale_symmetry_functions
scale_min_short 0.0
scale_max_short 1.0
global_hidden_layers_short 2
global_nodes_short 3 2
global_activation_short t t l
epochs 10
symfunction_short H 2 H 0.1 0.0 4.0
symfunction_short H 3 O H 0.1 1.0 2.0 4.0
symfunction_short O 2 H 0.1 0.0 4.0
symfunction_short O 20 H -4.0 4.0 p2
symfunction_short O 22 H H 0.0 4.0 20.0 160.0 e
"""
FILES = ("input.nn", "scaling.data", "weights.001.data", "weights.008.data")


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "folder", INPUT, 0)
    read_model(tmp_path / "folder", UNITS)
    return tmp_path / "folder"


def refused(folder, words):
    with pytest.raises(AtomcoreError, match=words) as info:
        read_model(folder, UNITS)
    assert str(folder) not in str(info.value)  # names of files say enough


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))


LATER = "symfunction_short H 2 H 0.1 0.0 4.0"
SPARE = "epochs 10"
FIRST = "line 16: the symmetry function has"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "number_of_elements 2",
            "number_of_elements 3",
            "line 2: number_of_elements is 3, but elements in line 3 has 2",
        ),
        ("number_of_elements 2", "", "input.nn has no number_of_elements"),
        ("elements O H", "elements O Xx", "line 3: 'Xx' is no chemical symbol"),
        ("elements O H", "elements O O", "line 3: an element stands there twice"),
        ("elements O H", "elements O H O", "line 3: an element stands there twice"),
        ("atom_energy O -3.0", "atom_energy C -3.0", "line 4: atom_energy of 'C'; accepted: once for each of H, O"),
        ("atom_energy O -3.0", "atom_energy O nan", "line 4: atom_energy is 'nan'; accepted: a finite number"),
        ("atom_energy O -3.0", "atom_energy O 1e999", "line 4: atom_energy is '1e999'"),
        ("atom_energy O -3.0", "atom_energy O -3.0d0", "line 4: atom_energy is '-3.0d0'"),
        ("atom_energy O -3.0", "atom_energy O", "line 4: atom_energy has 1 values; accepted: 2"),
        ("conv_length 1.5", "", "line 5: mean_energy, conv_energy, conv_length go together; here is only mean_energy"),
        ("conv_energy 2.0", "conv_energy 0.0", "line 6: conv_energy is 0.0; accepted: a number > 0"),
        ("cutoff_type 1 0.1", "", "input.nn has no cutoff_type"),
        ("cutoff_type 1 0.1", "cutoff_type 9", "line 8: cutoff_type is 9; accepted: 0 to 8"),
        ("cutoff_type 1 0.1", "cutoff_type 1.0", "line 8: cutoff_type is '1.0'; accepted: a whole number"),
        (
            "cutoff_type 1 0.1",
            "cutoff_type 1 1.0",
            "line 8: the second value of cutoff_type is 1.0; accepted: at least 0",
        ),
        ("scale_symmetry_functions", "scale_symmetry_functions no", "has the value 'no'; accepted: no value"),
        ("scale_max_short 1.0", "scale_max_short 0.0", "line 10: scale_max_short is not above scale_min_short"),
        ("scale_max_short 1.0", "elements O H", "line 11: elements stands in line 3 already; accepted: once"),
        ("layers_short 2", "layers_short 0", "line 12: there are 0 hidden layers; accepted: 1 or more"),
        ("layers_short 2", "layers_short 3", "line 13: global_nodes_short has 2 values; accepted: 3"),
        ("nodes_short 3 2", "nodes_short 3 0", "line 13: a layer has 0 nodes"),
        ("nodes_short 3 2", "nodes_short 999999999 2", r"weights.001.data has 20 numbers; 2 functions .* make it \d+"),
        ("nodes_short 3 2", "nodes_short 3 -2", "line 13: the number of nodes is '-2'; accepted: a whole number"),
        ("activation_short t t l", "activation_short t t q", "line 14: the activation is 'q'; accepted: t, l, s"),
        (
            "activation_short t t l",
            "activation_short t l",
            "line 14: global_activation_short has 2 values; accepted: 3",
        ),
        (LATER, "", "scaling.data, line 6: there are more lines than functions, of which input.nn has 4"),
        (LATER, LATER + "\n" + LATER, "scaling.data has 5 lines; accepted: one for each of 6 functions"),
        (LATER, "symfunction_short C 2 H 0.1 0.0 4.0", "line 16: the element is 'C'; accepted: H, O"),
        (LATER, "symfunction_short H 2 h 0.1 0.0 4.0", "line 16: the element is 'h'; accepted: H, O"),
        (
            LATER,
            "symfunction_short H 4 H 0.1 0.0 4.0",
            "line 16: the type of the symmetry function is 4; accepted: 2, 3,",
        ),
        (LATER, "symfunction_short H 2 H 0.1 0.0", "line 16: symfunction_short has 5 values; accepted: 6"),
        (LATER, "symfunction_short H 2 H 0.1 0.0 4.0 1.0", "line 16: symfunction_short has 7 values; accepted: 6"),
        (LATER, "symfunction_short H", "line 16: symfunction_short has 1 values"),
        (LATER, "symfunction_short H 2 H 0.1 x 4.0", "line 16: shift is 'x'; accepted: a finite number"),
        (LATER, "symfunction_short H 2 H -0.1 0.0 4.0", f"{FIRST} eta = -0.1; accepted"),
        (LATER, "symfunction_short H 2 H 0.1 0.0 0.0", f"{FIRST} cutoff = 0; accepted"),
        (LATER, "symfunction_short H 3 H H 0.1 1.5 1.0 4.0", f"{FIRST} lambda = 1.5; accepted"),
        (LATER, "symfunction_short H 3 H H 0.1 1.0 0.0 4.0", f"{FIRST} zeta = 0; accepted"),
        (LATER, "symfunction_short H 20 H 4.0 4.0 p2", f"{FIRST} low = 4; accepted"),
        (LATER, "symfunction_short H 20 H 0.0 4.0 p0", "line 16: the function of the window is 'p0'; accepted: p1, p2"),
        (LATER, "symfunction_short H 22 H H 0.0 4.0 -10.0 20.0 p2", f"{FIRST} theta_low = -0.17"),
        (LATER, "symfunction_short H 25 0.0 4.0 90.0 80.0 p2", f"{FIRST} theta_high = 1.39"),
        (SPARE, "nnp_type 4G-HDNNP", "line 15: nnp_type is '4G-HDNNP', another kind of network; accepted: 2G-HDNNP"),
        (SPARE, "nnp_gen 3", "line 15: nnp_gen is '3', another kind of network"),
        (SPARE, "nn_type_short 2", "line 15: nn_type_short is 2, a pair network; accepted: 1"),
        (SPARE, "cutoff_alpha 0.2", "line 15: cutoff_alpha is RuNNer's"),
        (SPARE, "global_symfunction_short 2 0.1 0.0 4.0", "line 15: global_symfunction_short is not supported: RuNNer"),
        (SPARE, "element_symfunction_short H 2 0.1 0.0 4.0", "line 15: element_symfunction_short is not supported"),
        (SPARE, "use_electrostatics", "line 15: use_electrostatics is not supported: charges"),
        (SPARE, "initial_hardness H 1.0", "line 15: initial_hardness is not supported: charges"),
        (SPARE, "use_vdw", "line 15: use_vdw is not supported: dispersion"),
        (SPARE, "normalise_nodes", "line 15: the keyword normalise_nodes is unknown, and could change predictions"),
        (SPARE, "element_hidden_layers_short H 1", "line 15: H has another number of hidden layers than 2"),
        (
            SPARE,
            "element_nodes_short H 3",
            "line 15: element_nodes_short makes no sense; accepted: an element and 2 sizes",
        ),
        (SPARE, "element_nodes_short H 4 2", "weights.001.data has"),
        (SPARE, "element_nodes_short C 3 2", "line 15: the element is 'C'; accepted: H, O"),
        (SPARE, "element_activation_short H t t", "line 15: element_activation_short has 3 values; accepted: 4"),
    ],
)
def test_input_files_are_refused_by_line(folder, old, new, words):
    edit(folder, "input.nn", old, new)
    refused(folder, words)


def cells(folder, line, **values):
    """Replace columns of a line of ``scaling.data``, counted from 1 behind the comment."""
    lines = (folder / "scaling.data").read_text().splitlines()
    words = lines[line].split()
    for name, value in values.items():
        words[("element", "function", "low", "high", "mean", "sigma").index(name)] = value
    lines[line] = " ".join(word for word in words if word)
    (folder / "scaling.data").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"low": "1.0", "high": "1.0"},
            "line 3: max - min is 0.0, by which features are divided; accepted: a number > 0",
        ),
        ({"low": "1.0", "high": "0.5"}, "line 3: min is 1.0 and max 0.5; accepted: min at most max"),
        ({"low": "0.0", "high": "1e-310"}, "line 3: max - min is 1e-310, by which features are divided"),
        ({"low": "-1e308", "high": "1e308"}, "line 3: max - min is inf, by which features are divided"),
        ({"mean": "nan"}, "line 3: mean is 'nan'; accepted: a finite number"),
        ({"high": "inf"}, "line 3: max is 'inf'; accepted: a finite number"),
        ({"mean": "", "sigma": ""}, "line 3: there are 4 values; accepted: element, function, min, max, mean, sigma"),
        ({"function": "1"}, r"line 3: element and function are \(1, 1\); accepted here: \(1, 2\)"),
        ({"element": "two"}, "line 3: the element is 'two'; accepted: a whole number"),
    ],
)
def test_scaling_files_are_refused_by_line(folder, values, words):
    cells(folder, 2, **values)
    refused(folder, f"scaling.data, {words}")


def test_scaling_by_sigma_needs_sigma(folder):
    edit(folder, "input.nn", "scale_symmetry_functions", "scale_symmetry_functions_sigma")
    cells(folder, 1, sigma="0.0")
    refused(folder, "scaling.data, line 2: sigma is 0.0, by which features are divided")
    cells(folder, 1, sigma="")
    refused(folder, "scaling.data, line 2: there is no sigma, which scale_symmetry_functions_sigma needs")


def test_scaling_files_of_runner_end_with_energies(folder):
    with (folder / "scaling.data").open("a") as file:
        file.write("  -3.1  2.2\n")
    read_model(folder, UNITS)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            " a\n",
            " b\n",
            r"weights.008.data holds weights \(a\) and biases \(b\) in an order that does not fit \(3, 2\)",
        ),
        (" a\n", " a\n0.5 a\n", "weights.008.data has 24 numbers; 3 functions and .* make it 23"),
        (" a\n", "\n# 1.0\n\n", None),
        ("# ", "nan a\n# ", "weights.008.data has 24 numbers"),
    ],
)
def test_weight_files_are_refused(folder, old, new, words):
    edit(folder, "weights.008.data", old, new)
    if words:
        refused(folder, words)
    else:
        read_model(folder, UNITS)


def test_weights_that_are_no_numbers_are_refused(folder):
    lines = (folder / "weights.008.data").read_text().splitlines()
    for word in ("nan", "inf", "1e999", "0x1", "1_0", "--1"):
        lines[5] = f"{word} a"
        (folder / "weights.008.data").write_text("\n".join(lines))
        refused(folder, f"weights.008.data, line 6: the weight is '{word}'; accepted: a finite number")


@pytest.mark.parametrize("name", FILES)
def test_truncated_files_are_refused(folder, name):
    content = (folder / name).read_text()
    lines = content.splitlines(keepends=True)
    for n in range(len(lines)):
        (folder / name).write_text("".join(lines[:n]))
        if "".join(lines[n:]).strip():
            refused(folder, "^(input.nn|scaling.data|weights)")
    (folder / name).write_text(content)
    read_model(folder, UNITS)
    (folder / name).unlink()
    with pytest.raises(OSError, match=name):
        read_model(folder, UNITS)


def test_bytes_that_are_no_text_are_refused_or_comments(folder):
    content = (folder / "input.nn").read_bytes()
    (folder / "input.nn").write_bytes(b"# J\xf6rg\r\n" + content.replace(b"\n", b"\r\n"))
    read_model(folder, UNITS)
    (folder / "input.nn").write_bytes(b"\xef\xbb\xbf" + content)  # what some editors begin a text with
    read_model(folder, UNITS)
    (folder / "input.nn").write_bytes(content.replace(b"elements O", b"elements \xff"))
    refused(folder, "line 3: '\ufffd' is no chemical symbol")
    (folder / "weights.001.data").write_bytes(bytes(range(256)) * 20)
    (folder / "input.nn").write_bytes(content)
    refused(folder, "weights.001.data")


def test_files_are_never_too_long_to_be_read(folder):
    os.truncate(folder / "weights.001.data", 1 << 40)  # takes no room
    refused(folder, r"weights\.001\.data has 1099511627776 bytes; accepted: at most 67108864")


def test_units_must_be_given(folder):
    with pytest.raises(ValueError, match=r"units is missing: .* \(a comment there says Length unit : Angstrom"):
        read_model(folder)
    with pytest.raises(ValueError, match="unknown unit 'furlong'"):
        read_model(folder, "eV, furlong")
    with pytest.raises(ValueError, match="forces in units of energy over length"):
        read_model(folder, "eV, Angstrom, hartree/bohr")


def test_paths_that_hold_no_potential(folder, tmp_path):
    with pytest.raises(NotADirectoryError, match=r"accepted: a folder with input\.nn"):
        read_model(folder / "scaling.data", UNITS)
    assert read_model(folder / "input.nn", UNITS).elements == ("H", "O")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"there is no input\.nn, nor in folders within"):
        read_model(tmp_path / "empty", UNITS)


def test_repeated_functions_with_different_scaling_are_refused(tmp_path):
    write_folder(tmp_path / "folder", INPUT.replace(LATER, LATER + "\n" + LATER), 0)
    read_model(tmp_path / "folder", UNITS)
    cells(tmp_path / "folder", 2, low="-1.0")
    refused(
        tmp_path / "folder", "input.nn, line 17: this repeats the function of line 16, and scaling.data has another"
    )


def test_sizes_that_a_file_leaves_open_are_refused(tmp_path):
    """Layers of 2 and 1 nodes have as many numbers as those of 1 and 2: the letters tell, where there are any."""
    text = "number_of_elements 1\nelements H\ncutoff_type 1\nglobal_hidden_layers_short 2\nglobal_nodes_short 1 1\n"
    text += "global_activation_short t t l\nsymfunction_short H 2 H 0.1 0.0 4.0\nelement_nodes_short H 2 2\n"
    write_folder(tmp_path / "folder", text, 0)
    model = read_model(tmp_path / "folder", UNITS)
    assert [len(bias) for _, bias in model.networks[0]["H"]] == [2, 1, 1]
    weights = tmp_path / "folder" / "weights.001.data"
    weights.write_text(weights.read_text().replace(" a", "").replace(" b", ""))
    refused(
        tmp_path / "folder", r"weights.001.data .* in an order that fits \(1, 2\) and \(2, 1\) nodes; accepted: one"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.1 0.0 4.0", "0.2 0.0 4.0", "b and a have different symmetry functions"),
        ("t t l", "t g l", "b and a have different activations"),
        ("elements O H", "elements N H", "b and a have different elements"),
        ("O -3.0", "O -2.0", "b has another atom_energy, mean_energy or conv_energy than the first member"),
    ],
)
def test_members_of_a_committee_must_go_together(tmp_path, old, new, words):
    base = INPUT.replace("t t l", "t t t") if "O -" in old else INPUT
    (tmp_path / "all").mkdir()
    write_folder(tmp_path / "all" / "a", base, 0)
    text = base.replace(old, new)
    write_folder(tmp_path / "all" / "b", text.replace(" O ", " N ") if "N H" in text else text, 0)
    refused(tmp_path / "all", words)


def test_members_of_which_the_scales_cannot_be_joined_are_refused(tmp_path):
    (tmp_path / "all").mkdir()
    for name, high in (("a", "1e300"), ("b", "1e-300")):
        write_folder(tmp_path / "all" / name, INPUT, 0)
        cells(tmp_path / "all" / name, 1, low="0.0", high=high)
    refused(tmp_path / "all", "b and a scale features of H too differently for one model")
