"""CPU seconds of one epoch of energy-and-force training on the Claisen set, one thread, Lightning included.

Ours keeps features and Jacobian between epochs; the peer is a plain torch re-implementation of the published recipe.
Both run in this process in turn. An epoch of ours is the difference between two runs of different length.
"""

import argparse
import contextlib
import importlib.util
import io
import statistics
import time

import torch

import atomcore as ac
from common import report, shared, spread

REPEATS = 5
CASES = {
    "1680 frames, 160-96": {"train": 1680, "hidden": (160, 96)},
    "2016 frames, 240-240-240": {"train": 2016, "hidden": (240, 240, 240)},
}


def cpu_seconds(data, hidden: tuple[int, ...], train: int, epochs: int) -> float:
    split = data.split(train=train, valid=0, test=len(data) - train)
    model = ac.models.BehlerParrinello(ac.features.ANI.ani1x(data.elements), hidden=hidden)
    start = time.process_time()
    ac.train.fit(model, split, max_epochs=epochs, threads=1, progress=False)
    return time.process_time() - start


def peer_module():
    spec = importlib.util.spec_from_file_location("peer", shared("peers", "claisen_torch_baseline.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peer_epoch(peer, path) -> float:
    options = argparse.Namespace(seed=2, recipe="bpnn", corrected=False, epochs=1, budget=1e9, report=1)
    x, z, energy, gradient = peer.load(path)
    with contextlib.redirect_stdout(io.StringIO()):
        return peer.train_nn(options, x, z, energy, gradient)["s_per_epoch"]


def main() -> None:
    torch.set_num_threads(1)
    path = shared("data", "claisen", "claisen.npz")
    data = ac.data.load(path, units="eV, Angstrom")
    peer = peer_module()
    times = {name: [] for name in CASES}
    peer_times = []
    for repeat in range(REPEATS + 1):
        for name, case in CASES.items():
            short, long = (cpu_seconds(data, case["hidden"], case["train"], epochs) for epochs in (1, 5))
            if repeat:  # the first round warms up
                times[name].append((long - short) / 4)
        if repeat:
            peer_times.append(peer_epoch(peer, path))
    rows = [{"case": name, "CPU s/epoch": spread(values), "ratio": ""} for name, values in times.items()]
    ratio = statistics.median(peer_times) / statistics.median(times["2016 frames, 240-240-240"])
    rows.append({"case": "peer, 2016 frames, 240-240-240", "CPU s/epoch": spread(peer_times), "ratio": f"{ratio:.1f}"})
    report("epoch", rows)


if __name__ == "__main__":
    main()
