"""Units of data files."""

import pytest

from atomcore.units import energy_factors, length_factors, parse_units
from tolerances import REFERENCE, assert_close

# CODATA 2014, as ASE has them.
HARTREE, BOHR, KCAL_MOL = 27.211386024367243, 0.5291772105638411, 0.043364104241800934


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eV, Angstrom", (1.0, 1.0, 1.0)),
        ("kcal/mol, Angstrom", (KCAL_MOL, 1.0, KCAL_MOL)),
        ("KCAL/MOL,ANGSTROM,eV/Angstrom", (KCAL_MOL, 1.0, 1.0)),
        ("hartree, Angstrom, hartree/bohr", (HARTREE, 1.0, HARTREE / BOHR)),
        ("Ha, bohr", (HARTREE, BOHR, HARTREE / BOHR)),
        ("kJ/mol, nm", (KCAL_MOL / 4.184, 10.0, KCAL_MOL / 41.84)),
        ("rydberg, Å, kcal/mol/Angstrom", (HARTREE / 2, 1.0, KCAL_MOL)),
        ("meV, Angstrom", (1e-3, 1.0, 1e-3)),
    ],
)
def test_factors(text, expected):
    assert_close(parse_units(text), expected, REFERENCE)


@pytest.mark.parametrize(
    "text",
    ["", "eV", "eV, furlong", "calories, Angstrom", "eV, Angstrom, eV", "eV, Angstrom, eV/A, eV/A^3", "Angstrom, eV"],
)
def test_unknown_units_are_named(text):
    with pytest.raises(ValueError, match=r"data\.units.*accepted.*kcal/mol, kJ/mol; lengths: Angstrom, bohr, nm"):
        parse_units(text)


def test_units_must_be_a_string():
    with pytest.raises(TypeError, match=r"data\.units must be a string, not tuple"):
        parse_units(("eV", "Angstrom"))


def test_every_unit_can_be_named():
    for energy in energy_factors():
        for length in length_factors():
            units = parse_units(f"{energy}, {length}")
            assert units == (energy_factors()[energy], length_factors()[length], units.energy / units.length)
