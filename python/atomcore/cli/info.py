"""``atomcore info``: versions, threads, kernels and what a model file holds. Imports none of the packages it names."""

import argparse
import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

_TARGETS = {"energy": "energies and forces", "charges": "charges of atoms"}
_PACKAGES = ("numpy", "scipy", "ase", "torch", "lightning", "hydra-core", "matplotlib")


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="atomcore info", description="Show versions, threads and kernels or, given a model file, what it holds."
    )
    parser.add_argument("model", nargs="?", help="model file (.atomcore)")
    options = parser.parse_args(arguments)
    if options.model is None:
        _print_versions()
        return 0
    from atomcore.model_file import read_metadata
    from atomcore.potential import Potential

    _print_model(read_metadata(options.model), Potential.load(options.model).properties)
    return 0


def _print_versions() -> None:
    from atomcore import __version__, _core, cuda
    from atomcore._threads import default_threads

    print(f"atomcore    {__version__}\nPython      {platform.python_version()}")
    for name in _PACKAGES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = "not installed"
        print(f"{name:11} {version}")
    print(f"threads     {default_threads()} (OMP_NUM_THREADS, or all cores)")
    print(f"processor   {_core.instruction_set()} kernels (ATOMCORE_ISA)")
    if cuda.is_available():
        print(f"CUDA        {cuda.device_count()} device(s), {cuda.versions()}")
    else:
        print(f"CUDA        not available: {cuda.reason()}")


def _cutoff_functions(table: Sequence[dict[str, Any]]) -> list[str]:
    """Return the cutoff functions that occur, with the exponent of those that have one."""
    names = [row["cutoff_function"] + (f" gamma={row['gamma']:g}" if "gamma" in row else "") for row in table]
    return list(dict.fromkeys(names))


def _print_features(info: dict[str, Any]) -> None:
    types = [row["type"] for row in info["features"]]
    counts = ", ".join(f"{types.count(name)} {name}" for name in dict.fromkeys(types))
    print(f"cutoff      {info['cutoff']:g} A, {', '.join(_cutoff_functions(info['features']))}")
    print(f"features    {len(info['features'])}: {counts}")


def _print_networks(networks: dict[str, Any], precision: str) -> None:
    members = "one" if networks["members"] == 1 else f"an ensemble of {networks['members']}"
    elements = "shared by all elements" if networks.get("shared") else "for each element"
    print(f"networks    {members} {elements}, {_activations(networks)}, trained in {precision}")
    print(f"scaling     {networks.get('scaling', 'not recorded')}")


def _activations(networks: dict[str, Any]) -> str:
    """Return the activation between layers, or those of each layer and the elements that have these."""
    if "activations" not in networks:
        return str(networks["activation"])
    elements: dict[str, list[str]] = {}
    for element, names in networks["activations"].items():
        elements.setdefault("-".join(names), []).append(element)
    return ", ".join(f"{names} ({', '.join(of)})" for names, of in elements.items())


def _listed(numbers: dict[str, Any]) -> str:
    """Return what a record says in one line."""
    values = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in numbers.items()}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())


def _print_terms(info: dict[str, Any]) -> None:
    for component in info["components"]:
        print(f"component   {component['name']}, in this order: {' '.join(component['atoms'])}")
    for term in info["terms"]:
        criterion = f"; {_listed(term['criterion'])}" if "criterion" in term else ""
        print(f"term        {' + '.join(term['components'])}: {term['model']['kind']}{criterion}")


def _reliability(properties: Sequence[str]) -> str:
    """Return what the model says about how far it can be trusted, with the limits that there are for it."""
    told = {
        "extrapolation": "ranges of features (extrapolation limit)",
        "extrapolation_grade": "grades (grade limit)",
        "forces_spread": "spreads (spread limit)",
        "charges_spread": "spreads",
    }
    known = [text for name, text in told.items() if name in properties]
    return ", ".join(known) or "unknown: no ranges of features, no grades, no spreads"


def _print_model(info: dict[str, Any], properties: Sequence[str]) -> None:
    provenance = info.get("provenance")
    provenance = provenance if isinstance(provenance, dict) else {}
    target = info.get("target", "energy")
    version = ".".join(map(str, info["format_version"]))
    print(f"kind        {info['kind']} of {_TARGETS.get(target, target)}, format {version}")
    print(f"units       {info['units']['energy']}, {info['units']['length']}; capability {info['capability']}")
    print(f"elements    {' '.join(info['elements'])}")
    if "atoms" in info:
        print(f"atoms       {len(info['atoms'])}, in this order: {' '.join(info['atoms'])}")
    if "features" in info:
        _print_features(info)
    if "networks" in info:
        _print_networks(info["networks"], info["precision"])
    for name in ("kernel", "gdml", "variance"):
        if isinstance(info.get(name), dict):
            print(f"{name:11} {_listed(info[name])}")
    if info["kind"] == "many_body":
        _print_terms(info)
    print(f"reliability {_reliability(properties)}")
    for name in ("atomcore", "torch", "created", "converted", "source", "units", "citation"):
        if name in provenance:  # units are those of the source
            print(f"{'its units' if name == 'units' else name:11} {provenance[name]}")
    if "baseline" in provenance:
        print(f"predicts    differences to {provenance['baseline']}, which must be added")
    if "n_structures" in provenance:
        print("structures  " + ", ".join(f"{n} {part}" for part, n in provenance["n_structures"].items()))
    if provenance.get("errors"):
        from atomcore.evaluation import metrics_table

        print(metrics_table(provenance["errors"]))
