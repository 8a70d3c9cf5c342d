"""``atomcore train``: configuration by Hydra, everything else by ``atomcore.train``."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atomcore._files import check_folder, remove_leftovers
from atomcore.cli import kernel_models
from atomcore.cli.kernel_models import is_kernel_machine, loss_in_words, meaningless
from atomcore.cli.overrides import check_overrides, flags_first, literal, parse, restated
from atomcore.cli.processes import INTERRUPTED, launch, launched, speaks
from atomcore.cli.sweep import Run, summarise

_log = logging.getLogger("atomcore")
_HELP = """\
usage: atomcore train data.path=FILE [key=value ...]

Train a potential on the energies and forces in FILE (npz, or anything ASE reads). In run.dir:
model.atomcore, metrics.json, parity.png, learning_curve.png, log.csv, config.yaml, ...

the keys that matter most ('atomcore train --cfg job' prints all)
  data.path=FILE data.units="kcal/mol, Angstrom"   npz files must declare units
  run.dir=run run.resume=true run.overwrite=true   where to; continue there; start anew there
  split=random|block|kfold split.test=0.1          fraction or count, as split.valid; split.fold=0
  model=bpnn model.hidden=[64,64]                  networks; ensemble.members=4 of them
  features=behler|ani|gaussian|compact|ani1x|...   what they see; functions_per_element=30
  training.max_epochs=200 training.batch_size=32   also training.early_stopping=50 run.processes=2
  loss.energy_weight=30 loss.forces_weight=1       of mean((dE/n)^2), mean(dF^2); stress_weight
  optimizer=adamw|adam|amsgrad|adagrad|lbfgs       optimizer.learning_rate=5e-3
  schedule=cosine|plateau|exponential|step|multistep|none
  model=gdml model.sigma=10 model.lam=1e-10        one molecule, from a few hundred structures
  search.sigma=[5,10,20] search.lam=[1e-12,1e-10]  of GDML: all pairs; with search.n_iter=15 ranges
  model=mbgdml model.components={h2o:OHH}          GDML of clusters, a term of a many-body expansion
  model=krr|gpr model.kernel=rbf                   kernels of features; gpr knows its error
  features=coulomb|inverse_distances               of whole molecules; model.inducing=500 for many
  transfer.path=run/model.atomcore                 start from a trained network
  seed=0                                           of split, starting weights and batches
  -m KEY=1,2,3                                     one run a value, in run.dir/0, run.dir/1, ...
"""

_SWEEP = {"-m", "--multirun"}


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(_HELP, end="")
        return 0
    import hydra

    register_resolvers()
    flags, overrides = flags_first(arguments)
    sweep = bool(_SWEEP & set(flags))
    overrides = [literal(override, sweep=sweep) for override in overrides]
    swept = check_overrides(overrides, sweep=sweep)
    kept = [flag for flag in flags if flag not in _SWEEP]
    if sweep and not kept:
        _make_folder(overrides)
    runs: list[Run] = []
    before = sys.argv
    sys.argv = ["atomcore train", *flags, *overrides]
    try:
        job = hydra.main(version_base="1.3", config_path="pkg://atomcore.conf", config_name="train")
        job(lambda config: runs.append(_job(config, kept)))()
    finally:
        sys.argv = before
    if sweep and runs and speaks():
        print(summarise(runs, swept, runs[0].folder.parent))
    return max((run.code for run in runs), default=0)


def _make_folder(overrides: Sequence[str]) -> None:
    """Make the folder of a sweep: where that fails in Hydra's hands there is a traceback."""
    name = "run"
    for override in map(parse, overrides):
        if override.key_or_group == "run.dir":
            name = str(override.value())
    if "${" not in name:
        check_folder("run.dir", name)
        Path(name).mkdir(parents=True, exist_ok=True)


def register_resolvers() -> None:
    """Make ``${atomcore.sample:NAME}`` stand for the path of shipped data."""
    from omegaconf import OmegaConf

    from atomcore.data import sample

    OmegaConf.register_new_resolver("atomcore.sample", lambda name: str(sample(name)), replace=True)


def _job(config: Any, flags: Sequence[str]) -> Run:
    """Run one training inside Hydra, whose own error reports would be tracebacks; ``flags`` are Hydra's options."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from atomcore.cli.main import run_command

    command, number = "train", 0
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        number = int(HydraConfig.get().job.num)
        config.run.dir = str(Path(str(config.run.dir)) / str(number))
        command = f"train, run {number}"
    overrides = list(HydraConfig.get().overrides.task)

    def body() -> int:
        processes = _processes(config)
        if processes != launched():
            kept = [restated(override) for override in overrides if not override.startswith("run.dir=")]
            return launch(["train", *flags, *kept, literal(f"run.dir={config.run.dir}", sweep=False)], processes)
        report = run(config)
        if speaks():
            print(report)
        return 0

    code = run_command(command, body)
    if code == INTERRUPTED:  # ends a sweep; after any other error the next run follows
        sys.exit(code)
    values = {}
    for override in overrides:
        parsed = parse(override)
        plain = parsed.value()  # without what Hydra escapes
        values[parsed.key_or_group] = plain if isinstance(plain, str) else override.partition("=")[2]
    return Run(number, values, Path(str(config.run.dir)), code)


def _processes(config: Any) -> int:
    """How many processes the run is to have; raise ValueError where the launcher has started another number."""
    from atomcore._arrays import whole_number

    processes = whole_number("run.processes", config.run.processes, 1)
    if launched() > 1 and processes not in (1, launched()):
        raise ValueError(f"run.processes is {processes}, but {launched()} were started; accepted: {launched()}")
    return launched() if launched() > 1 else processes


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
    ignored = [name for name in meaningless(plain["model"]) if name in plain]
    text = OmegaConf.to_yaml(OmegaConf.create({k: v for k, v in plain.items() if k not in ignored}))
    with speaking(speaks()):
        split = data.load(**plain["data"]).split(**plain["split"])
        try:
            model = make(config, plain, split)
        except InstantiationException as error:
            raise ValueError(str(error.__cause__ or error)) from error
        if is_kernel_machine(plain["model"]):
            report = kernel_models.train(model, plain, split, text, speaks())
        else:
            from atomcore.train.network_fit import fit  # after the data has been read: this takes seconds

            report = fit(model, split, run_dir=Path(config.run.dir), config=text, **_options(plain))
        if speaks():
            draw(report, Path(config.run.dir), loss_in_words(plain))
    return report


def make(config: Any, plain: dict[str, Any], split: Any) -> Any:
    """Return the model to train: a new one, several like it, or the one in a file."""
    if is_kernel_machine(plain["model"]):
        return kernel_models.make(plain, split)
    from hydra.utils import instantiate

    from atomcore._arrays import whole_number
    from atomcore.features import select
    from atomcore.models import BehlerParrinello, Ensemble
    from atomcore.potential import Potential

    members, path = whole_number("ensemble.members", plain["ensemble"]["members"], 1), plain["transfer"]["path"]
    if path is None:
        if plain["features"]["_target_"] in kernel_models.OF_MOLECULES:
            raise ValueError(
                f"features are {plain['features']['_target_']}, of whole molecules; accepted for networks: features of "
                "atoms, and these with model=krr or model=gpr"
            )
        features = instantiate(config.features, elements=list(split.elements), _convert_="all")
        if plain["functions_per_element"] is not None:
            features = select(features, split.train, plain["functions_per_element"], threads=plain["run"]["threads"])
        model = instantiate(config.model, features=features, _convert_="all")
        return model if members == 1 else Ensemble(model, members)
    held = Potential.load(path).members
    if plain["functions_per_element"] is not None:
        given = plain["functions_per_element"]
        raise ValueError(f"functions_per_element is {given}; accepted: null, since {path} has its features already")
    if members not in (1, held):
        raise ValueError(f"ensemble.members is {members}, but {path} holds {held}; accepted: {held}, or leave it out")
    return BehlerParrinello.load(path) if held == 1 else Ensemble.load(path)


def draw(report: Any, folder: Path, loss: str = "loss") -> None:
    """Write the pictures of a training run, or say why there are none; ``loss`` is what a search made small."""
    from atomcore import plot

    parity, curve, landscape = (folder / f"{name}.png" for name in ("parity", "learning_curve", "landscape"))
    for picture in (parity, curve, landscape):
        remove_leftovers(picture)
    try:
        plot.parity(report.predictions, parity)
        if hasattr(report, "histories"):
            plot.learning_curves(report.histories, curve)
        elif report.search is not None:
            plot.landscape([vars(trial) for trial in report.search.trials], landscape, what=loss)
    except ModuleNotFoundError as error:
        _log.warning('No pictures: %s; pip install "atomcore[plot]"', error)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """Keywords of `fit` from the sections of the configuration."""
    sections = (config["training"], config["loss"], config["optimizer"], config["schedule"])
    options = {name: value for section in sections for name, value in section.items()}
    options |= {name: config["run"][name] for name in ("resume", "overwrite", "threads", "tensorboard")}
    options |= {"transfer": config["transfer"]["path"] is not None, "freeze": config["transfer"]["freeze"]}
    return {**options, "bagging": config["ensemble"]["bagging"], "reference_energies": config["reference_energies"]}
