"""Models of other codes to model files of this package, and back."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atomcore import model_file
from atomcore._core import AtomcoreError
from atomcore._files import replacing
from atomcore.data.readers.archive import read_archive
from atomcore.data.readers.sgdml import declared_units
from atomcore.export.shared import symbols_of
from atomcore.interop.networks import KIND, NetworkModel
from atomcore.interop.parity import check_networks
from atomcore.interop.recognize import FORMATS, gdml_files, is_gdml_file, is_model_file, recognize
from atomcore.potential import Potential

Lines = list[tuple[str, str]]

WRITTEN = ("n2p2", "sgdml", "mbgdml")
_OPTIONS = {  # what each format takes besides `units`
    "neurochem": ("networks", "constants", "self_energies", "single_precision_constants", "hartree"),
    "torchani": ("model", "cutoffs", "hartree"),
}
_WITH_UNITS = ("n2p2", "sgdml", "mbgdml")
_SEVERAL = ("n2p2", "mbgdml")  # that may have more than one source
_NAMES = {"n2p2": "n2p2", "neurochem": "NeuroChem", "torchani": "TorchANI", "sgdml": "sGDML", "mbgdml": "mbGDML"}
_SELF_ENERGIES = "total energies: self energies of the atoms are part of the model"
_ENERGIES = {
    "n2p2": "as the potential was trained; offsets of atoms (atom_energy) and mean_energy are part of the model",
    "neurochem": _SELF_ENERGIES,
    "torchani": _SELF_ENERGIES,
    "sgdml": "as the labels it was trained on; its constant is part of the model",
    "mbgdml": "as the labels it was trained on; a sum over sets of molecules",
}
_CITATIONS = {
    "sgdml": "Chmiela et al., Nat. Commun. 9, 3887 (2018), and the paper of this model",
    "mbgdml": "Maldonado et al., Digital Discovery 2, 871 (2023), and the paper of these models",
}
_NOT_THERE = {  # what the formats do not have, and what of them is left behind
    "n2p2": "settings of training",
    "neurochem": "ranges of the features, so that extrapolation is not noticed; settings of training",
    "torchani": "ranges of the features, so that extrapolation is not noticed; cutoff function and activation, which "
    "are taken to be those of ANI-1x and 2x",
    "sgdml": "training indices, fingerprints and errors",
    "mbgdml": "training indices, fingerprints and errors",
}


@dataclass(frozen=True)
class Conversion:
    """What was read and written; its text is a summary for people.

    Parameters
    ----------
    format
        Of the other code: a key of `atomcore.interop.recognize.FORMATS`.
    output
        What was written.
    lines
        What the summary says, by subject.
    """

    format: str
    output: Path
    lines: Lines

    def __str__(self) -> str:
        return "\n".join(f"{subject:11} {text}" for subject, text in self.lines)


def convert(
    source: str | os.PathLike | Sequence[str | os.PathLike],
    output: str | os.PathLike,
    *,
    format: str | None = None,
    units: str | None = None,
    **options: Any,
) -> Conversion:
    """Convert a model of another code to a model file, or a model file back.

    Parameters
    ----------
    source : path or sequence of path
        The model: see `atomcore.interop.recognize.FORMATS`. Several folders of n2p2 are a committee, several files of
        mbGDML a many-body expansion.
    output : path
        The model file (``.atomcore``), or what to write of the other code: a folder for n2p2, an npz file for sGDML.
        A file that is no model is never replaced.
    format : {"n2p2", "neurochem", "torchani", "sgdml", "mbgdml"}, optional
        Of the other code; needed where `source` is a model file, by default what the files look like.
    units : str, optional
        ``"ENERGY, LENGTH"`` of n2p2, sGDML and mbGDML, where their files do not say them.
    **options
        Of `atomcore.interop.ani.read_neurochem` (``networks``, ``constants``, ``self_energies``,
        ``single_precision_constants``, ``hartree``) and `atomcore.interop.ani.read_torchani` (``model``, ``cutoffs``,
        ``hartree``).

    Returns
    -------
    Conversion

    Raises
    ------
    FileNotFoundError, OSError
        A file is not there, or cannot be written.
    ValueError, TypeError
        The format is not recognized, an option is not one of the format, units are missing, or `output` is a file that
        is no model.
    AtomcoreError
        A file is damaged or has something that is not supported, by its name; or the engine does not give the numbers
        that plain formulas give. Nothing is written.
    """
    given = [source] if isinstance(source, str | os.PathLike) else source
    sources = [Path(os.path.abspath(path)) for path in given]  # "." has a name, too
    if not sources:
        raise ValueError("source is empty; accepted: a path, or several")
    if format is not None and format not in FORMATS:
        raise ValueError(f"format is {format!r}; accepted: {', '.join(FORMATS)}")
    options = {name: value for name, value in options.items() if value is not None and value is not False}
    if len(sources) == 1 and is_model_file(sources[0]):
        return _to_other(sources[0], Path(output), format, units, options)
    name = format or recognize(sources)
    _check_options(name, units, options)
    if len(sources) > 1 and name not in _SEVERAL:
        raise ValueError(f"source has {len(sources)} paths; accepted for {name}: one")
    _check_output(Path(output))
    return _from_other(name, sources, Path(output), units, options)


def _check_options(name: str, units: str | None, options: Mapping[str, Any]) -> None:
    """Raise where an option is none of the format."""
    accepted = (*_OPTIONS.get(name, ()), *(("units",) if name in _WITH_UNITS else ()))
    given = (*options, *(("units",) if units is not None else ()))
    unknown = [option for option in given if option not in accepted]
    if unknown:
        raise ValueError(f"{unknown[0]} is no option of the format {name}; accepted: {', '.join(accepted)}")


def _check_output(output: Path) -> None:
    """Raise where a model file would replace anything but a model file, such as a part of its source."""
    if output.exists() and not is_model_file(output):
        raise ValueError(f"output is {str(output)!r}, which is there and no model file; accepted: another name")


def _from_other(
    name: str, sources: Sequence[Path], output: Path, units: str | None, options: Mapping[str, Any]
) -> Conversion:
    try:
        if name in ("sgdml", "mbgdml"):
            lines = _from_gdml(name, sources, output, units)
        else:
            lines = _from_networks(name, sources, output, units, options)
    except (ValueError, AtomcoreError) as error:
        kind = AtomcoreError if isinstance(error, AtomcoreError) else ValueError
        raise kind(f"{', '.join(path.name for path in sources)} cannot be converted: {error}") from error
    lines += [
        ("written", str(output)),
        ("energies", _ENERGIES[name]),
        ("not there", _NOT_THERE[name]),
        ("next", f"compare with energies and forces that {_NAMES[name]} gives: atomcore evaluate {output.name} FILE"),
    ]
    return Conversion(name, output, lines)


def _from_networks(
    name: str, sources: Sequence[Path], output: Path, units: str | None, options: Mapping[str, Any]
) -> Lines:
    model = _read_networks(name, sources, units, options)
    with replacing(output) as temporary:
        model.save(temporary)
        apart = check_networks(model, Potential.load(temporary))
    provenance = model.provenance
    each = "one network" if len(model.networks) == 1 else f"{len(model.networks)} networks"
    return [
        ("read", f"{provenance['source']} ({_NAMES[name]})"),
        ("elements", " ".join(model.elements)),
        ("functions", f"{len(model.table)}, cutoff {model.cutoff:g} A"),
        ("networks", f"{each} an element"),
        ("units", provenance["units"]),
        ("checked", f"engine and plain formulas agree to {apart:.1g} eV an atom"),
        ("cite", provenance["citation"]),
    ]


def _read_networks(name: str, sources: Sequence[Path], units: str | None, options: Mapping[str, Any]) -> NetworkModel:
    if name == "n2p2":
        from atomcore.interop import n2p2

        return n2p2.read_model(sources, units=units)
    from atomcore.interop import ani

    return (ani.read_neurochem if name == "neurochem" else ani.read_torchani)(sources[0], **options)


def _from_gdml(name: str, sources: Sequence[Path], output: Path, units: str | None) -> Lines:
    """Save a GDML model or an expansion; saving compares the engine with it."""
    from atomcore.interop import sgdml
    from atomcore.interop.sgdml.gdml import model_in

    files = [file for path in sources for file in (gdml_files(path) if path.is_dir() else [path])]
    if not files or (name == "sgdml" and len(files) > 1):
        raise ValueError(f"there are {len(files)} models; accepted: one{' or more' if name == 'mbgdml' else ''}")
    provenance = {
        "converted": _NAMES[name],
        "source": ", ".join(file.name for file in files),
        "citation": _CITATIONS[name],
    }
    model: Any
    if name == "mbgdml":
        model = sgdml.read_many_body(files, units=units)
        about = [("terms", ", ".join("+".join(term.components) for term in model.terms))]
    else:
        held = sgdml.read_model_file(files[0], units=units)
        model = model_in(files[0], held)
        provenance |= {key: value for key, value in (("name", held.name), ("theory", held.theory)) if value}
        lattice = "" if held.lattice is None else ", in one cell"
        about = [
            ("atoms", f"{' '.join(symbols_of(held.numbers))}, in this order{lattice}"),
            ("model", f"{len(held.descriptors)} points, {len(held.permutations)} permutations"),
        ]
    provenance["units"] = units or "; ".join(dict.fromkeys(map(_declared_units, files)))
    model.provenance = provenance
    try:
        model.save(output)
    except (ValueError, AtomcoreError) as error:
        raise AtomcoreError(f"{provenance['source']} has numbers that make no model: {error}") from error
    return [
        ("read", f"{provenance['source']} ({_NAMES[name]})"),
        *about,
        ("units", provenance["units"]),
        ("checked", "engine and model agree in energy and forces"),
        ("cite", provenance["citation"]),
    ]


def _declared_units(file: Path) -> str:
    arrays, _ = read_archive(file, keys=("e_unit", "r_unit"))
    return str(declared_units(arrays))


def _to_other(
    source: Path, output: Path, name: str | None, units: str | None, options: Mapping[str, Any]
) -> Conversion:
    """Write a model file as what another code reads."""
    if name not in WRITTEN:
        raise ValueError(f"format is {name!r} and {source.name} a model file; accepted formats: {', '.join(WRITTEN)}")
    if options:
        raise ValueError(f"{next(iter(options))} is no option to write {name} with; accepted: units")
    metadata = model_file.read_metadata(source)
    kind = metadata["kind"]
    needed = KIND if name == "n2p2" else "gdml"
    if kind != needed:
        raise ValueError(f"{source.name} holds a model of kind {kind!r}; accepted for {name}: {needed!r}")
    if name == "n2p2":
        from atomcore.interop import n2p2

        used = units or "hartree, bohr"
        n2p2.write_model(source, output, used)
    else:
        from atomcore.export import load_gdml
        from atomcore.interop import sgdml

        if output.exists() and not is_gdml_file(output):
            raise ValueError(f"output is {str(output)!r}, which is there and no file of sGDML; accepted: another name")
        used = units or "kcal/mol, Angstrom"
        sgdml.write_model(load_gdml(source), output, dialect=name, units=used)
    lines = [("read", source.name), ("written", f"{output} ({_NAMES[name]})"), ("units", used)]
    baseline = metadata.get("provenance", {}).get("baseline")
    if baseline:
        lines.append(("energies", f"differences to {baseline}, which must be added; the format cannot say so"))
    return Conversion(name, output, [*lines, ("next", f"compare with what {_NAMES[name]} gives of it")])
