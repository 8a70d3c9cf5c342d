"""What is set on the command line of ``atomcore train``, checked before Hydra sees it."""

import difflib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomcore.cli.kernel_models import meaningless

_WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
               "--info", "-i", "--experimental-rerun")  # fmt: skip
_LABELS = ("energy", "forces", "stress", "charges", "uncertainty")
_BASELINES = ("baseline_energy", "baseline_forces", "baseline_stress")
_TEXTS = ("data.path", "data.units", *(f"data.{name}_key" for name in (*_LABELS, *_BASELINES)), "data.index", "run.dir",
          "transfer.path", "model.lower")  # fmt: skip
_ALWAYS_TEXTS = ("data.units",)  # in a sweep too, where a comma elsewhere means several values


def flags_first(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate Hydra's own options from the settings: it takes settings in one piece only."""
    flags: list[str] = []
    overrides: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        (flags if argument.startswith("-") or before in _WITH_VALUE else overrides).append(argument)
    return flags, overrides


def literal(argument: str, *, sweep: bool) -> str:
    """Quote the value of a key that holds text: what a shell leaves of data.units="eV, Angstrom" is a list to Hydra."""
    key, equals, value = argument.partition("=")
    texts = _ALWAYS_TEXTS if sweep else _TEXTS
    if not equals or key not in texts or value in ("", "null") or value[0] in "'\"" or value.startswith("${"):
        return argument
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"{key}='{escaped}'"


def restated(override: str) -> str:
    """Return a setting as a command line takes it: in a sweep Hydra escapes colons and other signs of its grammar."""
    parsed = parse(override)
    key, value = parsed.key_or_group, parsed.value()
    if key not in _TEXTS or not isinstance(value, str) or not override.startswith(f"{key}="):
        return override
    return literal(f"{key}={value}", sweep=False)


def check_overrides(overrides: Sequence[str], *, sweep: bool) -> list[str]:
    """Return the keys with several values; raise ValueError naming the nearest key or choice where nothing fits."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    parsed = [parse(override) for override in overrides]
    conf = Path(__file__).parents[1] / "conf"
    groups = {path.name: sorted(p.stem for p in path.glob("*.yaml")) for path in conf.iterdir() if path.is_dir()}
    choices: dict[str, list[str]] = {}
    for override in parsed:
        key, several = override.key_or_group, override.is_sweep_override()
        if several and not sweep:
            raise ValueError(f"{override.input_line}: several values need -m, one run a value; a list is [1,2]")
        if sweep and key == "run.dir" and (several or override.value() in (None, "")):
            raise ValueError(
                f"{override.input_line}: accepted for a sweep is one folder; its runs go to 0, 1, ... there"
            )
        if key in groups and not override.is_delete() and not override.is_add():
            choices[key] = _names(override) if several else [str(override.value())]
            if not set(choices[key]) <= set(groups[key]):
                raise ValueError(f"{override.input_line}: accepted are {', '.join(groups[key])}")
    with initialize_config_module("atomcore.conf", version_base="1.3"):
        for values in itertools.product(*choices.values()):
            chosen = [f"{key}={value}" for key, value in zip(choices, values, strict=True)]
            config = OmegaConf.to_container(compose("train", chosen), resolve=False)
            swept = [choice for choice, key in zip(chosen, choices, strict=True) if len(choices[key]) > 1]
            _check_keys(parsed, config, list(groups), f" with {' '.join(swept)}" if swept else "")
            _check_meaning(parsed, config)
    return [override.key_or_group for override in parsed if override.is_sweep_override()]


def _names(override: Any) -> list[str]:
    from hydra.errors import HydraException

    try:
        return list(override.sweep_string_iterator())
    except HydraException as error:  # glob(*), which needs the configuration
        raise ValueError(f"{override.input_line}: accepted are names with commas between them") from error


def parse(override: str) -> Any:
    """Return what Hydra makes of ``key=value``; raise ValueError where it makes nothing of it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override)
    except HydraException as error:
        raise ValueError(
            f"cannot read {override!r}; accepted: key=value, with lists as [1,2] and text with special characters in "
            "quotes ('atomcore train --help' shows the keys)"
        ) from error


def _check_keys(parsed: Sequence[Any], config: Any, groups: list[str], where: str) -> None:
    """Raise ValueError when an override sets what ``config`` does not have, or replaces a section by a value."""
    known = [*groups, *_flat_keys(config)]
    for override in parsed:
        key = override.key_or_group
        if override.is_add() or override.is_delete() or key.startswith("hydra"):
            continue
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.0)[0]
            raise ValueError(
                f"unknown key {key!r}{where}; did you mean {near!r}? ('atomcore train --cfg job' lists all)"
            )
        if key not in groups and isinstance(config.get(key), dict) and not isinstance(override.value(), dict):
            keys = ", ".join(f"{key}.{name}" for name in config[key])
            raise ValueError(f"{override.input_line}: {key} is a section; accepted are values of {keys}")


def _check_meaning(parsed: Sequence[Any], config: Any) -> None:
    """Raise ValueError when an override sets what the chosen model does not look at."""
    without = meaningless(config["model"])
    for override in parsed:
        key = override.key_or_group
        if any(key == name or key.startswith(f"{name}.") for name in without):
            name = config["model"]["_target_"].rpartition(".")[2]
            raise ValueError(f"{override.input_line}: means nothing to a {name}, the model of this run")


def _flat_keys(config: Any, prefix: str = "") -> list[str]:
    keys = []
    for name, value in config.items():
        keys.append(prefix + name)
        if isinstance(value, dict):
            keys += _flat_keys(value, f"{prefix}{name}.")
    return keys
