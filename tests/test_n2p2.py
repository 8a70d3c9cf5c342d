"""Folders of n2p2, read and written: against its own stored predictions and an evaluator of its files."""

import warnings

import numpy as np
import pytest
from ase.units import Bohr, Hartree

from atomcore import AtomcoreError
from atomcore.features import SymmetryFunctions
from atomcore.interop.n2p2 import read_model, write_model
from atomcore.potential import Potential
from helpers import shared_data, slope
from n2p2_folders import SCALINGS, in_unit, settings, structures, write_folder
from tolerances import FORCES_FD, REFERENCE, assert_close

BOHR = "hartree, bohr"
UNITS = {BOHR: (Hartree, Bohr), "eV, Angstrom": (1.0, 1.0)}
LEAST = 1e-6  # of a range, what the engine overlooks and n2p2 does not
ELEMENTS = [("O", "H"), ("Cu", "S"), ("N", "C", "H"), ("Si",)]
ACTIVATIONS = ["ttl", "spl", "rgl", "cSl", "ehl", "tps", "shS", "gee", "pcgt", "rlh"]


def saved(model, path):
    """Return the potential of a model."""
    model.save(path)
    return Potential.load(path, threads=1)


def random_folder(path, seed, **more):
    """Return a folder as the oracle has it, its units and their sizes; settings change with the seed."""
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
    letters, rng = ACTIVATIONS[seed % 10], np.random.default_rng(seed)
    text = settings(rng, elements, letters, UNITS[units][1], **{key: line for key, line in given.items() if line})
    return write_folder(path, text, seed, UNITS[units][1]), units


@pytest.mark.parametrize("seed", range(12))
def test_random_folders_are_what_their_files_say(tmp_path, seed):
    """Every type and cutoff, ways of scaling, activations, units: energies, inputs and ranges of each atom, forces."""
    folder, units = random_folder(tmp_path / "folder", seed)
    energy, length = UNITS[units]
    model = read_model(tmp_path / "folder", units)
    potential = saved(model, tmp_path / "model.atomcore")
    functions = SymmetryFunctions.from_table(model.elements, model.table)
    for atoms in structures(tuple(folder.elements), seed + 100)[2:4]:
        found = potential.compute(atoms, ["energies", "forces", "extrapolation"])
        given = in_unit(atoms, length)
        assert_close(found["energies"], folder.energies(*given) * energy, REFERENCE)
        np.testing.assert_array_equal(found["extrapolation"], folder.warnings(*given, LEAST))
        for x, ours, theirs in zip(atoms.symbols, functions.compute(atoms), folder.features(*given), strict=True):
            inputs = (ours[model.columns[x]] - model.mean[x]) * model.scale[x]
            expected = folder.scaled(folder.elements.index(x), theirs)
            assert_close(np.sort(inputs), np.sort(expected), REFERENCE)
        direction = np.random.default_rng(seed).normal(size=atoms.positions.shape)

        def total(positions, given=given):
            return folder.energies(given[0], positions / length, given[2]).sum() * energy

        assert_close(-np.sum(found["forces"] * direction), slope(total, atoms.positions, direction), FORCES_FD)
