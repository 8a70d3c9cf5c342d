"""Units of data files and their conversion to the package's own: Angstrom, eV and eV/Angstrom."""

from typing import NamedTuple

_ENERGY_NAMES = {
    "ev": "eV",
    "mev": "meV",
    "hartree": "Hartree",
    "ha": "Hartree",
    "rydberg": "Rydberg",
    "ry": "Rydberg",
    "kcal/mol": "kcal/mol",
    "kj/mol": "kJ/mol",
}
_LENGTH_NAMES = {
    **dict.fromkeys(("angstrom", "ang", "å", "a"), "Angstrom"),
    "bohr": "Bohr",
    "nm": "nm",
}
ACCEPTED = (
    '"ENERGY, LENGTH" or "ENERGY, LENGTH, FORCE", such as "kcal/mol, Angstrom" or "hartree, Angstrom, hartree/bohr"; '
    "energies: eV, meV, hartree, rydberg, kcal/mol, kJ/mol; lengths: Angstrom, bohr, nm"
)


class Units(NamedTuple):
    """Factors that turn the numbers of a file into eV, Angstrom and eV/Angstrom."""

    energy: float
    length: float
    force: float

    @property
    def stress(self) -> float:
        """Factor from energy/length^3 to eV/Angstrom^3."""
        return self.energy / self.length**3


def energy_factors() -> dict[str, float]:
    """Return the size of every known energy unit in eV, by name."""
    from ase import units

    return {
        "eV": 1.0,
        "meV": 1e-3,
        "Hartree": units.Hartree,
        "Rydberg": units.Rydberg,
        "kcal/mol": units.kcal / units.mol,
        "kJ/mol": units.kJ / units.mol,
    }


def length_factors() -> dict[str, float]:
    """Return the size of every known unit of length in Angstrom, by name."""
    from ase import units

    return {"Angstrom": 1.0, "Bohr": units.Bohr, "nm": units.nm}


def stress_factors() -> dict[str, float]:
    """Return the size of the usual units of stress in eV/Angstrom^3, by name."""
    from ase import units

    return {
        "eV/Angstrom^3": 1.0,
        "GPa": units.GPa,
        "kbar": 0.1 * units.GPa,
        "Hartree/Bohr^3": units.Hartree / units.Bohr**3,
        "Rydberg/Bohr^3": units.Rydberg / units.Bohr**3,
    }


def parse_units(text: str) -> Units:
    """Read a declaration of units.

    Parameters
    ----------
    text : str
        ``"ENERGY, LENGTH"`` or ``"ENERGY, LENGTH, FORCE"``; without FORCE, forces are in ENERGY/LENGTH. Upper and lower
        case are the same.

    Returns
    -------
    Units
        The factors to eV, Angstrom and eV/Angstrom, with the constants of :mod:`ase.units`.

    Raises
    ------
    TypeError, ValueError
        When ``text`` is no string or names an unknown unit.
    """
    if not isinstance(text, str):
        raise TypeError(f"data.units must be a string, not {type(text).__name__}; accepted: {ACCEPTED}")
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (2, 3):
        raise ValueError(f"data.units has {len(parts)} parts in {text!r}; accepted: {ACCEPTED}")
    energy = _factor(parts[0], _ENERGY_NAMES, energy_factors(), text)
    length = _factor(parts[1], _LENGTH_NAMES, length_factors(), text)
    if len(parts) == 2:
        return Units(energy, length, energy / length)
    # The last slash divides: kcal/mol/Angstrom.
    force_energy, _, force_length = parts[2].rpartition("/")
    force = _factor(force_energy, _ENERGY_NAMES, energy_factors(), text)
    return Units(energy, length, force / _factor(force_length, _LENGTH_NAMES, length_factors(), text))


def _factor(name: str, names: dict[str, str], factors: dict[str, float], text: str) -> float:
    key = names.get(name.strip().lower())
    if key is None:
        raise ValueError(f"data.units: unknown unit {name.strip()!r} in {text!r}; accepted: {ACCEPTED}")
    return factors[key]
