"""Kernel machines as ``atomcore train`` configures them. Nothing here needs torch."""

import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

KERNEL_MACHINES = ("KernelRidge", "GaussianProcess", "GDML")
_KERNELS = {
    "rbf": "RBF",
    "exponential": "Exponential",
    "laplacian": "Laplacian",
    "matern": "Matern",
    "rational_quadratic": "RationalQuadratic",
    "polynomial": "Polynomial",
    "linear": "Linear",
}
_LOSSES = {"forces_rmse": "force RMSE, eV/Å", "forces_mse": "force MSE, (eV/Å)$^2$"}
_OF_MANY_BODIES = ("components", "lower", "labels", "criterion")
OF_MOLECULES = ("atomcore.features.CoulombMatrix", "atomcore.features.InverseDistances")
# Sections that mean something to one sort of model only.
_OF_NETWORKS = ("training", "loss", "optimizer", "schedule", "ensemble", "transfer", "reference_energies")
_OF_NETWORK_RUNS = ("run.resume", "run.processes", "run.tensorboard")
_OF_FEATURES = ("features", "functions_per_element")
_OF_KERNELS = ("search",)


def is_kernel_machine(model: Mapping[str, Any]) -> bool:
    """Whether this section of the configuration is a kernel machine, not a network."""
    return _name(model) in KERNEL_MACHINES


def _name(model: Mapping[str, Any]) -> str:
    return str(model.get("_target_", "")).rpartition(".")[2]


def meaningless(model: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the sections and keys of the configuration that such a model does not look at."""
    if not is_kernel_machine(model):
        return _OF_KERNELS
    if _name(model) == "GDML":
        return (*_OF_NETWORKS, *_OF_NETWORK_RUNS, *_OF_FEATURES)
    return (*_OF_NETWORKS, *_OF_NETWORK_RUNS, *_OF_KERNELS)


def train(model: Any, plain: dict[str, Any], split: Any, config: str, progress: bool) -> Any:
    """Train ``model`` as the configuration ``plain`` says, whose text is ``config``, and return the report."""
    from atomcore.train.kernel_fit import fit_kernel_machine

    section = plain["model"]
    options: dict[str, Any] = {"run_dir": Path(plain["run"]["dir"]), "config": config, "progress": progress}
    options |= {name: plain["run"][name] for name in ("overwrite", "threads")}
    if _name(section) == "GDML":
        options["search"] = _search(plain["search"], model)
        if "components" in section:
            from atomcore.cli.many_body_term import prepare

            term, options["complete"] = prepare(section, split, plain["data"]["path"])
            report = fit_kernel_machine(model, term, **options)
            split.save(options["run_dir"] / "split.json")  # of the data as they are, not of what the term is trained on
            return report
    return fit_kernel_machine(model, split, **options)


def make(plain: Mapping[str, Any], split: Any) -> Any:
    """Return the machine of the configuration ``plain``, which is not trained yet."""
    section = plain["model"]
    of_gdml = _name(section) == "GDML"
    apart = ("_target_", *(_OF_MANY_BODIES if of_gdml else ("kernel", "kernel_options")))
    arguments = {name: value for name, value in section.items() if name not in apart}
    if not of_gdml:
        arguments |= {"kernel": _kernel(section), "features": _features(plain, split)}
    return _class(section["_target_"])(**arguments)


def _class(target: str) -> Any:
    from hydra.utils import get_class

    return get_class(target)


def _kernel(section: Mapping[str, Any]) -> Any:
    """Return the kernel; None, for one whose length fits the data, where nothing but the usual one is asked for."""
    from atomcore import kernels

    name, options = section["kernel"], section["kernel_options"] or {}
    if name not in _KERNELS:
        raise ValueError(f"model.kernel is {name!r}; accepted: {', '.join(_KERNELS)}")
    if not isinstance(options, Mapping):
        raise ValueError(f"model.kernel_options is {options!r}; accepted: arguments by name, such as {{length: 2.0}}")
    kind = getattr(kernels, _KERNELS[name])
    known = [key for key in inspect.signature(kind).parameters if key != "self"]
    for key in options:
        if key not in known:
            raise ValueError(f"model.kernel_options has {key!r}; {name} accepts: {', '.join(known)}")
    if name == "rbf" and not options:
        return None
    if section["search"] is None and "length" not in options:
        raise ValueError(
            "model.kernel_options has no length, and model.search=null looks for none; accepted: "
            "model.kernel_options={length: 2.0}, or a search"
        )
    return kind(**options)


def _features(plain: Mapping[str, Any], split: Any) -> Any:
    from hydra.utils import get_method

    section = {name: value for name, value in plain["features"].items() if name != "_target_"}
    target = plain["features"]["_target_"]
    try:
        kind: Any = _class(target)
    except ValueError:  # a preset is a method
        kind = get_method(target)
    if "elements" in inspect.signature(kind).parameters:
        kind = partial(kind, elements=list(split.elements))
    if "n_atoms_max" in section and section["n_atoms_max"] is None:
        section["n_atoms_max"] = int(split.dataset.n_atoms.max())
    features = kind(**section)
    if plain["functions_per_element"] is not None:
        from atomcore.features import select

        return select(features, split.train, plain["functions_per_element"], threads=plain["run"]["threads"])
    return features


def loss_in_words(config: Mapping[str, Any]) -> str:
    """Return what a search of this configuration made small."""
    return _LOSSES.get(config.get("search", {}).get("loss"), "loss")


def _search(section: Mapping[str, Any], model: Any) -> dict[str, Any] | None:
    """Return what to try, None where there is nothing to search for."""
    if section["sigma"] is None and section["lam"] is None:
        if section["n_iter"] is not None:
            raise ValueError("search.n_iter is given, but neither search.sigma nor search.lam: what to search between")
        return None
    tried = {name: _values(f"search.{name}", section[name], getattr(model, name)) for name in ("sigma", "lam")}
    found: dict[str, Any] = {"sigmas": tried["sigma"], "lams": tried["lam"], "loss": section["loss"]}
    if section["n_iter"] is not None:
        found = {name: (min(v), max(v)) if isinstance(v, list) else v for name, v in found.items()}
        found |= {"n_iter": section["n_iter"], "init_points": section["init_points"], "seed": model.seed}
    return found


def _values(name: str, given: Any, otherwise: float) -> list[float]:
    values = [otherwise] if given is None else given if isinstance(given, list) else [given]
    if not values or not all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in values):
        raise ValueError(f"{name} is {given!r}; accepted: numbers above 0, such as [5, 10, 20]")
    return [float(v) for v in values]
