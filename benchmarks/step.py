"""How long a training step and a prediction take, in milliseconds: Harken's engines, and PyTorch as its users write it.

    python benchmarks/step.py [--threads 1,2] [--nets …] [--rounds 3] [--seconds 1] > benchmarks/results/step.txt

Every engine and net runs in a process of its own, bound to as many cores as it has threads; the engines take turns, round by
round, and the median of the rounds' medians counts. "torch" is plain eager PyTorch, "torch channels_last" the same in that
layout of memory; "harken …" are Harken's engines on these frameworks. The floor is the time that the step's matrix products
would take at the rate of a large one of NumPy's, measured in the same process on as many threads. Other programs should be
quiet.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from common import machine, print_table
from nets import NETS, declared, sgemm_rate, step_flop

ENGINES = ("numpy", "torch", "torch channels_last", "harken torch", "harken keras")
CHANNELS_LAST = "conv2d"
"""The layer that this layout is for: PyTorch has it for four axes alone."""
LARGE = 256
FIGURES = ("step", "predict", "many", "floor", "peak_mb")


def harken_engine(engine: str, name: str, threads: int):
    """Return a training step and a prediction, on one of Harken's engines; it may take ``threads``."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from harken.engines import engine as load

    threadpool_limits(threads)
    net, loss, optimizer, batch = declared(name)
    model = load(engine).EngineNet(net, loss=loss, optimizer=optimizer, device="cpu")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((max(batch, LARGE), *net.input_shape), dtype=np.float32)
    targets = np.eye(net.output_shape[0], dtype=np.float32)[rng.integers(0, net.output_shape[0], batch)]
    model.working().__enter__()
    return lambda: model.train_step(x[:batch], targets), lambda count: model.forward(x[:count])


def median(call: Callable[[], object], seconds: float) -> float:
    """Return the median of a call's milliseconds, over some seconds and at least three calls."""
    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def peak_memory() -> float:
    """Return the most memory that this process held, in MiB."""
    from harken.jobs import peak_memory as measured

    return measured() or float("nan")


def one(engine: str, name: str, threads: int, seconds: float) -> None:
    """Measure in this process, and print the figures as JSON."""
    if engine.startswith("torch"):
        from plain_torch import torch_engine

        step, predict = torch_engine(name, threads, engine.endswith("channels_last"))
    else:
        step, predict = harken_engine(engine.removeprefix("harken "), name, threads)
    figures = {
        "step": median(step, seconds),
        "predict": median(lambda: predict(1), seconds / 3),
        "peak_mb": peak_memory(),
        "many": median(lambda: predict(LARGE), seconds / 3),
    }
    net, _, _, batch = declared(name)
    print(json.dumps(figures | {"floor": 1e3 * step_flop(net, batch) / sgemm_rate()}))


def available(engine: str) -> bool:
    """Return whether what an engine needs is installed."""
    return all(importlib.util.find_spec(name) for name in ("numpy", "torch", "keras") if name in engine)


def engines_for(name: str, installed: list[str]) -> list[str]:
    """Return the engines that a net can be measured with."""
    images = any(layer.kind == CHANNELS_LAST for layer in declared(name)[0].layers)
    return [engine for engine in installed if images or not engine.endswith("channels_last")]


def measure(engine: str, name: str, threads: int, seconds: float) -> dict[str, float]:
    """Run :func:`one` in a process of its own."""
    cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0), reverse=True)[:threads])
    command = ["taskset", "-c", cores, sys.executable, __file__, "--one", engine, name, str(threads), str(seconds)]
    settings = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], given.one[1], int(given.one[2]), float(given.one[3]))
        return
    engines = [name for name in given.engines.split(",") if available(name)]
    print(machine(*[name for name in ("torch", "keras") if importlib.util.find_spec(name)]))
    print(f"load {os.getloadavg()[0]:.1f} before; medians in ms, of rounds in turns; ratios are to torch as it comes\n")
    rows = []
    for name in given.nets.split(","):
        for threads in map(int, given.threads.split(",")):
            rows += rows_of(name, threads, engines_for(name, engines), given.rounds, given.seconds)
    heads = ["net", "engine", "threads", "step", "ratio", "of floor", "predict 1", "ratio", f"of {LARGE}", "ratio", "peak MB"]
    print_table(heads, rows)


def rows_of(name: str, threads: int, engines: list[str], rounds: int, seconds: float) -> list[list[str]]:
    """Measure one net, the engines in turns, and return its lines of the table."""
    measured = [{engine: measure(engine, name, threads, seconds) for engine in engines} for _ in range(rounds)]
    found = {
        engine: {figure: statistics.median(each[engine][figure] for each in measured) for figure in FIGURES}
        for engine in engines
    }

    def with_ratio(engine: str, figure: str, digits: int) -> list[str]:
        value = found[engine][figure]
        return [f"{value:.{digits}f}", f"{value / found['torch'][figure]:.2f}" if "torch" in found else "–"]

    return [
        [
            name,
            engine,
            str(threads),
            *with_ratio(engine, "step", 2),
            f"{figures['step'] / figures['floor']:.1f}",
            *with_ratio(engine, "predict", 3),
            *with_ratio(engine, "many", 1),
            f"{figures['peak_mb']:.0f}",
        ]
        for engine, figures in found.items()
    ]


if __name__ == "__main__":
    main()
