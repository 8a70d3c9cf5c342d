"""Stress, charges, uncertainties and differences to a second level of theory: reading, keeping, refusing."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

from atomcore.data import Dataset, from_atoms, load
from atomcore.units import stress_factors
from data_helpers import assert_same, crystals, frames, saved, water_and_ammonia
from helpers import shared_data
from tolerances import EXACT, PRINTED, REFERENCE, assert_close

KBAR = stress_factors()["kbar"]  # eV/A^3
ALL = "stress charges uncertainty baseline"


def everything() -> Dataset:
    return replace(from_atoms(crystals()), baseline="E_low")


# what a dataset does with them


def test_fields_are_checked():
    dataset = everything()
    assert dataset.labels == ("energy", "forces", "stress", "charges", "uncertainty")
    assert "energy and forces and stress and charges and uncertainty less E_low" in repr(dataset)
    for name in ("stress", "charges", "uncertainty"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(dataset, name)[0] = 1
        with pytest.raises(ValueError, match=f"{name} must have shape"):
            replace(dataset, **{name: getattr(dataset, name)[:-1]})
        bad = getattr(dataset, name).copy()
        bad.flat[-1] = np.nan
        with pytest.raises(ValueError, match=f"{name} of structure 3(, atom 1)? is not finite"):
            replace(dataset, **{name: bad})
    for wrong in (0.0, -1.0):
        with pytest.raises(ValueError, match=r"uncertainty of structure 2 is .*; accepted: numbers above 0"):
            replace(dataset, uncertainty=[1.0, 1.0, wrong, 1.0])
    for pbc in ([True, True, False], [False] * 3):
        flags = dataset.pbc.copy()
        flags[1] = pbc
        with pytest.raises(ValueError, match=r"stress is given, but structure 1 has pbc .* \(1 of 4"):
            replace(dataset, pbc=flags)
    with pytest.raises(TypeError, match="baseline is None; accepted"):
        replace(dataset, baseline=None)


def test_checksum_covers_them():
    dataset = everything()
    bare = replace(dataset, stress=None, charges=None, uncertainty=None, baseline="")
    changed = [
        *(replace(dataset, **{name: None}) for name in ("stress", "charges", "uncertainty")),
        *(replace(dataset, **{name: getattr(dataset, name) + 1e-9}) for name in ("stress", "charges", "uncertainty")),
        replace(dataset, baseline=""),
        replace(dataset, baseline="E_other"),
        replace(bare, charges=dataset.charges),
        bare,
    ]
    assert len({dataset.sha256, *(other.sha256 for other in changed)}) == len(changed) + 1


def test_subset_and_atoms():
    dataset = everything()
    chosen = dataset.subset([3, 1])
    assert_close(chosen.stress, dataset.stress[[3, 1]], EXACT)
    assert_close(chosen.uncertainty, [3.5, 1.5], EXACT)
    assert_close(chosen.charges, dataset.charges[[6, 7, 2, 3]], EXACT)
    assert chosen.baseline == "E_low"
    atoms = dataset[1]
    assert_close(atoms.get_stress(), dataset.stress[1], EXACT)
    assert_close(atoms.get_charges(), dataset.charges[2:4], EXACT)
    assert (atoms.info["uncertainty"], atoms.info["baseline"]) == (1.5, "E_low")
    assert replace(dataset, uncertainty=None, baseline="")[1].info == {}


@pytest.mark.parametrize("left_out", ["", *ALL.split()])
def test_saving(tmp_path, left_out):
    dataset = everything()
    if left_out:
        dataset = replace(dataset, **{left_out: "" if left_out == "baseline" else None})
    dataset.save(tmp_path / "again.npz")
    again = load(tmp_path / "again.npz")
    assert again.sha256 == dataset.sha256
    assert (again.labels, again.baseline) == (dataset.labels, dataset.baseline)
    dataset.save(tmp_path / "again.extxyz")
    again = load(tmp_path / "again.extxyz")
    assert_same(again, dataset, PRINTED)
    assert (again.labels, again.baseline) == (dataset.labels, dataset.baseline)
    for name in dataset.labels:
        assert_close(getattr(again, name), getattr(dataset, name), PRINTED)


# stress


def test_stress_of_a_calculator():
    atoms = bulk("Cu", cubic=True)
    atoms.set_cell(atoms.cell.array * 0.97, scale_atoms=True)
    atoms.calc = EMT()
    atoms.get_stress()
    dataset = from_atoms([atoms])
    assert_close(dataset.stress, [atoms.get_stress()], EXACT)
    assert dataset.stress[0, :3].sum() < 0  # compressed


def test_units_of_stress_in_npz(tmp_path, caplog):
    rng = np.random.default_rng(32)
    stress = rng.normal(size=(3, 6))
    assert abs(KBAR / 6.2415e-4 - 1) < 1e-5
    arrays = {"Z": [29], "R": np.zeros((3, 1, 3)), "E": np.arange(3.0), "pbc": [True] * 3, "stress": stress}
    arrays["cell"] = np.eye(3) * np.array([3.0, 3.1, 3.2])[:, None, None]
    file = saved(tmp_path, arrays)
    assert_close(load(file, units="eV, Angstrom").stress, stress, EXACT)
    assert_close(load(file, units="hartree, bohr").stress, stress * stress_factors()["Hartree/Bohr^3"], REFERENCE)
    xx, yy, zz, yz, xz, xy = stress.T
    matrix = np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=1).reshape(3, 3, 3)
    file = saved(tmp_path, arrays | {"matrix": matrix, "vasp": np.stack([xx, yy, zz, xy, yz, xz], axis=1)}, "b.npz")
    assert_close(load(file, units="eV, nm", stress_key="matrix").stress, stress / 1000, REFERENCE)
    # kbar is kbar, whatever else is in hartree.
    vasp = load(file, units="hartree, Angstrom", stress_key="vasp", stress_convention="vasp")
    assert_close(vasp.stress, -KBAR * stress, REFERENCE)
    assert_close(load(file, units="eV, Angstrom", stress_key="none").energy, [0, 1, 2], EXACT)
    assert load(file, units="eV, Angstrom", stress_key="none").stress is None
    with caplog.at_level(logging.INFO, logger="atomcore"):
        del arrays["stress"]
        assert load(saved(tmp_path, arrays | {"virials": stress}, "v.npz"), units="eV, Angstrom").stress is None
    assert "v.npz: no stress read, but there is 'virials': name it by stress_key" in caplog.text
    matrix[1, 0, 2] += 0.1
    file = saved(tmp_path, arrays | {"matrix": matrix}, "c.npz")
    with pytest.raises(ValueError, match="matrix of structure 1 is not symmetric"):
        load(file, units="eV, Angstrom", stress_key="matrix")


def test_stress_under_other_keys(tmp_path, caplog):
    images = crystals()
    expected = from_atoms(images)
    for atoms in images:
        xx, yy, zz, yz, xz, xy = atoms.calc.results.pop("stress")
        atoms.info["virial_stress"] = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        atoms.info["six"] = " ".join(str(x / -KBAR) for x in (xx, yy, zz, xy, yz, xz))
    write(tmp_path / "w.extxyz", images)
    for key, convention in (("virial_stress", "ase"), ("six", "vasp")):
        dataset = load(tmp_path / "w.extxyz", stress_key=key, stress_convention=convention)
        assert_close(dataset.stress, expected.stress, REFERENCE)
    with caplog.at_level(logging.INFO, logger="atomcore"):
        assert load(tmp_path / "w.extxyz").stress is None
    assert "no stress read, but there is 'virial_stress': name it by stress_key" in caplog.text
    with pytest.raises(ValueError, match="stress_convention is 'vasp', but no stress was read; name it by stress_key"):
        load(tmp_path / "w.extxyz", stress_convention="vasp")
    with pytest.raises(ValueError, match="the stress that ASE has read or computed is in ASE's convention"):
        from_atoms(crystals(), stress_convention="vasp")
    copied = from_atoms(crystals(), stress_key="stress", stress_convention="vasp")
    assert_close(copied.stress, -KBAR * expected.stress[:, [0, 1, 2, 4, 5, 3]], REFERENCE)
    with pytest.raises(ValueError, match="stress_convention is 'VASP'; accepted: 'ase', 'vasp'"):
        load(tmp_path / "w.extxyz", stress_convention="VASP")


@pytest.mark.parametrize("value", ["1 2 3", "a b c d e f", [1.0, 2.0], np.eye(2), 1.0, [[1], [2, 3]]])
def test_stress_that_is_none(value):
    images = crystals()
    for atoms in images:
        atoms.info["s"] = value
    with pytest.raises(ValueError, match=r"stress of structure 0 is .*; accepted: six numbers or a 3 x 3 matrix"):
        from_atoms(images, stress_key="s")


def test_stress_in_only_some_structures():
    images = crystals()
    del images[2].calc.results["stress"]
    with pytest.raises(
        ValueError, match=r"stress is missing in structure 2 \(1 of 4 .*do without by stress_key='none'"
    ):
        from_atoms(images)
    assert from_atoms(images, stress_key="none").stress is None
    # Beside molecules, whose calculators may give a stress of an open cell, crystals do not lose theirs in silence.
    molecule = frames(1)[0]
    molecule.calc.results |= {"stress": np.zeros(6), "charges": np.zeros(3)}
    assert from_atoms([molecule]).stress is None
    with pytest.raises(ValueError, match="stress is given, but structure 0 has pbc"):
        from_atoms([molecule], stress_key="stress")
    for atoms in (molecule, *images):
        atoms.info.pop("uncertainty", None)
    with pytest.raises(ValueError, match="stress is missing in structure 0"):
        from_atoms([molecule, *images[:2]])
    assert from_atoms([molecule, *images], stress_key="none").labels == ("energy", "forces", "charges")


def test_zeros_beside_molecules_in_npz(tmp_path):
    file = saved(tmp_path, water_and_ammonia() | {"stress": np.zeros((6, 6))})
    assert load(file, units="eV, Angstrom").stress is None
    with pytest.raises(ValueError, match=r"stress is given, but structure 0 .*do without by stress_key='none'"):
        load(file, units="eV, Angstrom", stress_key="stress")


def test_vasp_numbers_of_silicon():
    key = "vasp_stress_kbar_xx_yy_zz_xy_yz_xz"
    file = shared_data("si_mlearn/Si_training.extxyz")
    # Surfaces have it, too: the set is periodic throughout.
    dataset = load(file, stress_key=key, stress_convention="vasp")
    xx, yy, zz, xy, yz, xz = np.array([atoms.info[key] for atoms in read(file, ":")]).T
    assert_close(dataset.stress, -KBAR * np.stack([xx, yy, zz, yz, xz, xy], axis=1), REFERENCE)


# charges and uncertainties


def test_charges(tmp_path):
    arrays = water_and_ammonia()
    charges = np.where(arrays["Z"] > 0, np.arange(24.0).reshape(6, 4), np.nan)
    dataset = load(saved(tmp_path, arrays | {"charges": charges, "q": 2 * charges}), units="kcal/mol, bohr")
    assert_close(dataset.charges, charges[arrays["Z"] > 0], EXACT)
    twice = load(saved(tmp_path, arrays | {"charges": charges, "q": 2 * charges}), units="eV, nm", charges_key="q")
    assert_close(twice.charges, 2 * dataset.charges, EXACT)
    images = frames()
    for i, atoms in enumerate(images):
        atoms.arrays["hirshfeld"] = np.full(3, 0.1 * i)
        atoms.set_initial_charges([1.0, 2.0, 3.0])  # what a calculation starts from is no result
    write(tmp_path / "w.extxyz", images)
    assert load(tmp_path / "w.extxyz").charges is None
    assert_close(load(tmp_path / "w.extxyz", charges_key="hirshfeld").charges[3:9:3], [0.1, 0.2], EXACT)
    alone = load(tmp_path / "w.extxyz", energy_key="none", forces_key="none", charges_key="hirshfeld")
    assert alone.labels == ("charges",)
    assert alone[2].get_charges().tolist() == [0.2] * 3


def test_uncertainty(tmp_path):
    arrays = water_and_ammonia()
    file = saved(tmp_path, arrays | {"uncertainty": np.arange(1.0, 7.0), "sigma": np.full(6, 2)})
    assert load(file, units="kcal/mol, Angstrom").uncertainty.tolist() == [1, 2, 3, 4, 5, 6]
    assert load(file, units="kcal/mol, Angstrom", uncertainty_key="sigma").uncertainty.tolist() == [2] * 6
    assert load(file, units="kcal/mol, Angstrom", uncertainty_key="none").uncertainty is None
    images = frames()
    images[1].info["uncertainty"] = 0.1
    with pytest.raises(ValueError, match="uncertainty is missing in structure 0"):
        from_atoms(images)


def test_usual_names_for_something_else(tmp_path):
    """Such a file can still be read, and the message says how."""
    arrays = water_and_ammonia() | {"charges": np.zeros(6), "uncertainty": np.zeros((6, 4))}
    file = saved(tmp_path, arrays)
    with pytest.raises(
        ValueError, match=r"charges must have shape \(6, 4\), got \(6,\); do without by charges_key='none'"
    ):
        load(file, units="eV, Angstrom")
    with pytest.raises(ValueError, match=r"uncertainty must have .*; do without by uncertainty_key='none'"):
        load(file, units="eV, Angstrom", charges_key="none")
    assert len(load(file, units="eV, Angstrom", charges_key="none", uncertainty_key="none")) == 6
    images = frames()
    for i, atoms in enumerate(images):
        atoms.info |= {"uncertainty": "low", "baseline": 0.5 * i}
    with pytest.raises(
        TypeError, match=r"uncertainty of structure 0 must hold .*; do without by uncertainty_key='none'"
    ):
        from_atoms(images)
    assert from_atoms(images, uncertainty_key="none").baseline == ""


# differences to a second level of theory


def test_differences_in_npz(tmp_path):
    arrays = water_and_ammonia()
    arrays |= {"E_low": 0.75 * arrays["E"], "F_low": 0.75 * arrays["F"]}
    file, units = saved(tmp_path, arrays), "kcal/mol, Angstrom"
    total = load(file, units=units)
    dataset = load(file, units=units, baseline_energy_key="E_low", baseline_forces_key="F_low")
    assert dataset.baseline == "E_low"
    assert_close(dataset.energy, 0.25 * total.energy, REFERENCE)
    assert_close(dataset.forces, 0.25 * total.forces, REFERENCE)
    with pytest.raises(
        ValueError, match=r"baseline_energy_key is given, but forces would stay total.*forces_key='none"
    ):
        load(file, units=units, baseline_energy_key="E_low")
    alone = load(file, units=units, baseline_energy_key="E_low", forces_key="none")
    assert_close(alone.energy, dataset.energy, EXACT)
    with pytest.raises(ValueError, match="baseline_forces_key is 'F_low', but there is no forces to subtract from"):
        load(file, units=units, baseline_energy_key="E_low", baseline_forces_key="F_low", forces_key="none")
    with pytest.raises(ValueError, match="has no array 'E_lower'"):
        load(file, units=units, baseline_energy_key="E_lower", forces_key="none")
    # A set of differences says so, and nothing is subtracted twice.
    replace(dataset, source="").save(tmp_path / "d.npz")
    assert load(tmp_path / "d.npz").baseline == "E_low"
    with pytest.raises(ValueError, match="baseline_energy_key is given, but the labels are differences to E_low"):
        load(tmp_path / "d.npz", baseline_energy_key="E")


def test_numbers_under_the_name_of_the_baseline_are_labels_like_others(tmp_path):
    energy, low = np.arange(3.0), np.array([0.5, 0.25, 0.0])
    file = saved(tmp_path, {"Z": [1, 1], "R": np.random.default_rng(35).normal(size=(3, 2, 3)), "E": energy,
                            "baseline": low})  # fmt: skip
    assert load(file, units="eV, Angstrom").baseline == ""
    difference = load(file, units="eV, Angstrom", baseline_energy_key="baseline")
    assert_close(difference.energy, energy - low, EXACT)
    assert difference.baseline == "baseline"


def test_differences_of_structures():
    images = crystals()
    expected = from_atoms(images)
    for atoms in images:
        atoms.info["low"] = 0.5 * atoms.get_potential_energy()
        atoms.arrays["low_forces"] = 0.5 * atoms.get_forces()
        atoms.info["low_stress"] = 0.5 * atoms.get_stress()
    keys = {"baseline_energy_key": "low", "baseline_forces_key": "low_forces"}
    with pytest.raises(ValueError, match="stress would stay total: name what is subtracted by baseline_stress_key"):
        from_atoms(images, **keys)
    dataset = from_atoms(images, **keys, baseline_stress_key="low_stress")
    assert dataset.baseline == "low"
    for name in ("energy", "forces", "stress"):
        assert_close(getattr(dataset, name), 0.5 * getattr(expected, name), REFERENCE)
    assert_close(dataset.charges, expected.charges, EXACT)
    del images[1].info["low"]
    with pytest.raises(ValueError, match=r"baseline_energy is missing in structure 1 .*looked for 'low'"):
        from_atoms(images, **keys, baseline_stress_key="low_stress")
    images[0].info["baseline"] = "PM3"
    with pytest.raises(ValueError, match=r"'baseline' is not the same in all structures: \['', 'PM3'\]"):
        from_atoms(images)


def test_differences_of_the_claisen_set():
    file = shared_data("claisen/claisen.npz")
    dataset = load(file, units="eV, Angstrom", baseline_energy_key="E_sqm", baseline_forces_key="F_sqm")
    arrays = np.load(file)
    assert dataset.baseline == "E_sqm"
    assert_close(dataset.energy, arrays["E"] - arrays["E_sqm"], REFERENCE)
    assert_close(dataset.forces.reshape(2100, 14, 3), arrays["F"] - arrays["F_sqm"], REFERENCE)
    assert dataset.energy.std() < 0.5 * arrays["E"].std()
