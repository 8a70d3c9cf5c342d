"""Stress that does not belong to the energies is noticed: sign, unit, order of the components."""

from dataclasses import replace

import numpy as np
import pytest

from atomcore.data import Dataset, check_consistency, load, sample
from atomcore.units import energy_factors, stress_factors
from helpers import shared_data

KBAR = stress_factors()["kbar"]
TO_VASP = [0, 1, 2, 5, 3, 4]  # where VASP's xx, yy, zz, xy, yz, xz stand in ASE's order
SILICON = {"stress_key": "vasp_stress_kbar_xx_yy_zz_xy_yz_xz", "stress_convention": "vasp"}


@pytest.fixture(scope="module")
def copper() -> Dataset:
    return load(sample("copper"))


def volumes(dataset: Dataset) -> np.ndarray:
    return np.abs(np.linalg.det(dataset.cells))[:, None]


SIGN, UNIT, ORDER = "sign is not ASE's", "unit is not eV/Angstrom^3", "shear components are in VASP's order"
MISTAKES = [
    (lambda d: -d.stress, [SIGN]),
    (lambda d: d.stress[:, TO_VASP], [ORDER]),
    (lambda d: d.stress / KBAR, [f"{UNIT} (as if it were in kbar)"]),
    (lambda d: d.stress / stress_factors()["GPa"], [f"{UNIT} (as if it were in GPa)"]),
    (lambda d: d.stress / stress_factors()["Hartree/Bohr^3"], [f"{UNIT} (as if it were in Hartree/Bohr^3)"]),
    (lambda d: d.stress[:, TO_VASP] / -KBAR, [SIGN, f"{UNIT} (as if it were in kbar)", ORDER]),
    (lambda d: -d.stress * volumes(d), [SIGN, f"{UNIT} (as if it were a virial in eV, stress times volume)"]),
    (lambda d: 7 * d.stress, [f"{UNIT} (no known unit has this ratio)"]),
]


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_mistakes_are_put_in_words(copper, mistake, words):
    warning, *_ = check_consistency(replace(copper, stress=mistake(copper)))
    assert all(word in warning for word in ["energies and stress contradict each other", *words])
    for cause in (SIGN, UNIT, ORDER):
        assert (cause in warning) == any(word.startswith(cause) for word in words)


def test_clean_sets_are_silent(copper):
    assert check_consistency(copper) == []
    assert check_consistency(replace(copper, forces=None)) == []
    shuffled = copper.subset(np.random.default_rng(41).permutation(len(copper)))
    assert check_consistency(shuffled) == []
    assert "sign is not" in check_consistency(replace(shuffled, stress=-shuffled.stress))[0]


@pytest.mark.parametrize(
    "rows", [np.s_[::2], np.s_[::3], np.s_[::7], np.s_[::10], np.s_[::15], np.s_[60:], np.s_[100:]]
)
def test_parts_of_clean_sets_are_silent(copper, rows):
    """Among few structures, hot ones of two densities must not be taken for a measurement."""
    assert check_consistency(copper.subset(np.arange(400)[rows])) == []


def test_without_forces(copper):
    (warning,) = check_consistency(replace(copper, forces=None, stress=-copper.stress))
    assert "sign is not" in warning


def test_choice_of_cell_and_orientation_do_not_matter(copper):
    """Left-handed and turned cells, atoms in other images: the labels stay right, and stay wrong."""
    left = copper.cells[:, [1, 0, 2]]
    assert (np.linalg.det(left) < 0).all()
    rng = np.random.default_rng(42)
    shifts = rng.integers(-50, 50, (len(copper.positions), 3))
    owner = np.repeat(np.arange(len(copper)), copper.n_atoms)
    moved = copper.positions + np.einsum("ax,axy->ay", shifts, left[owner])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    xx, yy, zz, yz, xz, xy = copper.stress.T
    matrix = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=1).reshape(-1, 3, 3)
    turned = np.swapaxes(turn[None], 1, 2) @ matrix @ turn
    clean = replace(
        copper,
        positions=moved @ turn,
        cells=left @ turn,
        forces=copper.forces @ turn,
        stress=turned[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
    )
    assert check_consistency(clean) == []
    assert "sign is not" in check_consistency(replace(clean, stress=-clean.stress))[0]
    assert "in VASP's order" in check_consistency(replace(clean, stress=clean.stress[:, TO_VASP]))[0]


def test_forces_and_energies_of_crystals(copper):
    kcal = 1.0 / energy_factors()["kcal/mol"]
    for wrong, words in (
        (replace(copper, forces=-copper.forces), "the forces have the wrong sign"),
        (replace(copper, energy=kcal * copper.energy), "as if energies were in kcal/mol"),
        (replace(copper, forces=kcal * copper.forces), "forces in kcal/mol/Angstrom"),
    ):
        assert words in check_consistency(wrong)[0]


def test_too_little_to_tell(copper):
    one_volume = copper.subset(np.arange(100, 140))  # no strain, no answer
    for dataset in (one_volume, copper.subset([0, 1]), copper.subset([0]), copper.subset([])):
        assert check_consistency(replace(dataset, stress=-dataset.stress)) == []
    unrelated = np.random.default_rng(43).normal(0.0, 0.05, (len(copper), 6))
    assert check_consistency(replace(copper, stress=unrelated)) == []
    assert check_consistency(replace(copper, stress=0.0 * copper.stress)) == []
    assert check_consistency(replace(copper, energy=None)) == []


def test_numbers_too_large_for_stress(copper):
    # Nothing is strained here, so the size alone must do.
    hot = copper.subset(np.arange(320, 360))
    (warning,) = check_consistency(replace(hot, stress=hot.stress / KBAR))
    assert "is likely in another unit" in warning
    assert "if in kbar" in warning


@pytest.mark.parametrize("name", ["Si_training", "Si_test"])
def test_silicon_is_clean(name):
    assert check_consistency(load(shared_data(f"si_mlearn/{name}.extxyz"), **SILICON)) == []


@pytest.mark.parametrize(("mistake", "words"), MISTAKES)
def test_silicon_turned_round(mistake, words):
    dataset = load(shared_data("si_mlearn/Si_training.extxyz"), **SILICON)
    warning, *_ = check_consistency(replace(dataset, stress=mistake(dataset)))
    assert all(word in warning for word in words)


def test_vasp_numbers_taken_for_ase(caplog):
    load(shared_data("si_mlearn/Si_training.extxyz"), stress_key=SILICON["stress_key"])
    (warning, large) = [record.getMessage() for record in caplog.records]
    assert all(text in warning for text in ("sign is not", "in kbar", "in VASP's order", "stress_convention='vasp'"))
    assert "another unit" in large
