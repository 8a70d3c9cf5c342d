"""``atomcore train``: configuration by Hydra, everything else by ``atomcore.train.fit``."""

import difflib
import itertools
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomcore._files import remove_leftovers

_log = logging.getLogger("atomcore")
_HELP = """\
usage: atomcore train data.path=FILE [key=value ...]

Train a potential on the energies and forces in FILE (npz, or anything ASE reads). In run.dir:
model.atomcore, metrics.json, parity.png, learning_curve.png, log.csv, config.yaml, ...

the keys that matter most ('atomcore train --cfg job' prints all)
  data.path=FILE data.units="kcal/mol, Angstrom"   npz files must declare units
  run.dir=run run.resume=true run.overwrite=true   where to; continue there; start anew there
  features=behler|gaussian|ani1x|ani2x             what the networks see
  model.hidden=[64,64] model.activation=silu       the networks
  ensemble.members=4 ensemble.bagging=true         several, whose spread tells what not to trust
  split=random split.valid=0.1 split.test=0.1      fractions or counts
  split=block|kfold                                contiguous blocks; -m split.fold=0,1,2,3,4
  training.max_epochs=200 training.batch_size=32 training.early_stopping=50
  loss.energy_weight=30 loss.forces_weight=1       of mean((dE/n)^2) and mean(dF^2); eV, A
  loss.stress_weight=1                             of mean((V dS/n)^2), where the data has stress
  optimizer=adamw|adam|amsgrad|adagrad|lbfgs       optimizer.learning_rate=5e-3
  schedule=cosine|plateau|exponential|step|multistep|none
  seed=0                                           of split, starting weights and batches
  -m KEY=1,2,3                                     one run a value, in run.dir/0, run.dir/1, ...
"""

_WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd",
               "--info", "-i", "--experimental-rerun")  # fmt: skip
_INTERRUPTED = 130
_LABELS = ("energy", "forces", "stress", "charges", "uncertainty")
_BASELINES = ("baseline_energy", "baseline_forces", "baseline_stress")
_TEXTS = ("data.path", "data.units", *(f"data.{name}_key" for name in (*_LABELS, *_BASELINES)), "data.index", "run.dir",
          "transfer.path")  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(_HELP, end="")
        return 0
    import hydra

    register_resolvers()
    flags, overrides = _flags_first(arguments)
    sweep = bool({"-m", "--multirun"} & set(flags))
    if not sweep:  # in a sweep a comma means several values
        overrides = [_literal(override) for override in overrides]
    _check_overrides(overrides, sweep=sweep)
    codes: list[int] = []
    before = sys.argv
    sys.argv = ["atomcore train", *flags, *overrides]
    try:
        job = hydra.main(version_base="1.3", config_path="pkg://atomcore.conf", config_name="train")
        job(lambda config: codes.append(_job(config)))()
    finally:
        sys.argv = before
    return max(codes, default=0)


def _flags_first(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate Hydra's own options from the settings: it takes settings in one piece only."""
    flags: list[str] = []
    overrides: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        (flags if argument.startswith("-") or before in _WITH_VALUE else overrides).append(argument)
    return flags, overrides


def _literal(argument: str) -> str:
    """Quote the value of a key that holds text: what a shell leaves of data.units="eV, Angstrom" is a list to Hydra."""
    key, equals, value = argument.partition("=")
    if not equals or key not in _TEXTS or value in ("", "null") or value[0] in "'\"" or value.startswith("${"):
        return argument
    escaped = value.replace("\\'", "\\\\'").replace("'", "\\'")
    return f"{key}='{escaped}'"


def register_resolvers() -> None:
    """Make ``${atomcore.sample:NAME}`` stand for the path of shipped data."""
    from omegaconf import OmegaConf

    from atomcore.data import sample

    OmegaConf.register_new_resolver("atomcore.sample", lambda name: str(sample(name)), replace=True)


def _check_overrides(overrides: Sequence[str], *, sweep: bool) -> None:
    """Raise ValueError naming the nearest key or choice when an override fits nothing."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    parsed = [_parsed(override) for override in overrides]
    conf = Path(__file__).parents[1] / "conf"
    groups = {path.name: sorted(p.stem for p in path.glob("*.yaml")) for path in conf.iterdir() if path.is_dir()}
    choices: dict[str, list[str]] = {}
    for override in parsed:
        key, several = override.key_or_group, override.is_sweep_override()
        if several and not sweep:
            raise ValueError(f"{override.input_line}: several values need -m, one run a value; a list is [1,2]")
        if key in groups and not override.is_delete() and not override.is_add():
            choices[key] = list(override.sweep_string_iterator()) if several else [str(override.value())]
            if not set(choices[key]) <= set(groups[key]):
                raise ValueError(f"{override.input_line}: accepted are {', '.join(groups[key])}")
    with initialize_config_module("atomcore.conf", version_base="1.3"):
        for values in itertools.product(*choices.values()):
            chosen = [f"{key}={value}" for key, value in zip(choices, values, strict=True)]
            config = OmegaConf.to_container(compose("train", chosen), resolve=False)
            swept = [choice for choice, key in zip(chosen, choices, strict=True) if len(choices[key]) > 1]
            _check_keys(parsed, config, list(groups), f" with {' '.join(swept)}" if swept else "")


def _parsed(override: str) -> Any:
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


def _flat_keys(config: Any, prefix: str = "") -> list[str]:
    keys = []
    for name, value in config.items():
        keys.append(prefix + name)
        if isinstance(value, dict):
            keys += _flat_keys(value, f"{prefix}{name}.")
    return keys


def _job(config: Any) -> int:
    """Run one training inside Hydra, whose own error reports would be tracebacks; return its exit code."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from atomcore.cli.main import run_command

    command = "train"
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        number = str(HydraConfig.get().job.num)
        if config.run.dir:  # `run` refuses an empty one
            config.run.dir = str(Path(str(config.run.dir)) / number)
        command = f"train, run {number}"

    def body() -> int:
        print(run(config))
        return 0

    code = run_command(command, body)
    if code == _INTERRUPTED:  # ends a sweep; after any other error the next run follows
        sys.exit(code)
    return code


def run(config: Any) -> Any:
    """Train as ``config`` says, write everything to ``run.dir`` and return the report."""
    from hydra.errors import InstantiationException
    from omegaconf import OmegaConf

    if OmegaConf.is_missing(config.data, "path"):
        raise ValueError("data.path is missing: which file to train on, e.g. data.path=set.extxyz")
    for key in ("data.path", "run.dir"):
        value = OmegaConf.select(config, key)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{key} is {value!r}; accepted: a path, e.g. {key}=name")
    from atomcore import data
    from atomcore._progress import speaking

    plain: Any = OmegaConf.to_container(config, resolve=True)
    with speaking(True):
        split = data.load(**plain["data"]).split(**plain["split"])
        from atomcore import train  # after the data has been read: this takes seconds

        try:
            model = _model(config, plain, split)
        except InstantiationException as error:
            raise ValueError(str(error.__cause__ or error)) from error
        folder = Path(config.run.dir)
        text = OmegaConf.to_yaml(config, resolve=True)
        report = train.fit(model, split, run_dir=folder, config=text, **_options(plain))
        draw(report, folder)
    return report


def _model(config: Any, plain: dict[str, Any], split: Any) -> Any:
    """Return the model to train: a new one, several like it, or the one in a file."""
    from hydra.utils import instantiate

    from atomcore.data._validate import whole_number
    from atomcore.models import BehlerParrinello, Ensemble
    from atomcore.potential import Potential

    members, path = whole_number("ensemble.members", plain["ensemble"]["members"], 1), plain["transfer"]["path"]
    if path is None:
        features = instantiate(config.features, elements=list(split.elements), _convert_="all")
        model = instantiate(config.model, features=features, _convert_="all")
        return model if members == 1 else Ensemble(model, members)
    held = Potential.load(path).members
    if members not in (1, held):
        raise ValueError(f"ensemble.members is {members}, but {path} holds {held}; accepted: {held}, or leave it out")
    return BehlerParrinello.load(path) if held == 1 else Ensemble.load(path)


def draw(report: Any, folder: Path) -> None:
    """Write the pictures of a training run, or say why there are none."""
    from atomcore import plot
    from atomcore.evaluation import Predictions

    pictures = folder / "parity.png", folder / "learning_curve.png"
    for picture in pictures:
        remove_leftovers(picture)
    try:
        if all(isinstance(part, Predictions) for part in report.predictions.values()):
            plot.parity(report.predictions, pictures[0])
        plot.learning_curve(report.history, pictures[1])
    except ModuleNotFoundError as error:
        _log.warning('No pictures: %s; pip install "atomcore[plot]"', error)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """Keywords of `fit` from the sections of the configuration."""
    sections = (config["training"], config["loss"], config["optimizer"], config["schedule"])
    options = {name: value for section in sections for name, value in section.items()}
    options |= {name: config["run"][name] for name in ("resume", "overwrite", "threads")}
    options |= {"transfer": config["transfer"]["path"] is not None, "freeze": config["transfer"]["freeze"]}
    return {**options, "bagging": config["ensemble"]["bagging"], "reference_energies": config["reference_energies"]}
