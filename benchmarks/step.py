"""How long a training step and a prediction take, in milliseconds: our NumPy engine, and PyTorch beside it where installed.

    python benchmarks/step.py [--threads 1,2] [--rounds 5] [--seconds 1.5]

Every engine and net runs in a process of its own, bound to as many cores as it has threads; the engines take turns, round by
round, and the median of the rounds' medians counts. One core is the plainest comparison; other programs should be quiet.
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

NETS = ("wave-mlp", "wave-conv", "dance-cnn-small", "dance-cnn", "note-lstm", "note-blstm")
ENGINES = ("numpy", "torch", "torch channels_last")
CHANNELS_LAST = "conv2d"
"""The layer that the last of these engines is for: PyTorch has this layout of memory for four axes alone."""


def declared(name: str):
    """Return a recipe's net, loss, optimizer and batch, for as many classes as its parameters were counted for."""
    from harken.recipes import load_recipe

    recipe = load_recipe(name)
    training = recipe.training
    return recipe.bind(recipe.parameters_classes), training.loss, training.optimizer, training.batch


def numpy_engine(name: str, threads: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a training step and a prediction of one example."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from harken.engines import engine

    threadpool_limits(threads)
    net, loss, optimizer, batch = declared(name)
    model = engine("numpy").EngineNet(net, loss=loss, optimizer=optimizer)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, *net.input_shape), dtype=np.float32)
    targets = np.eye(net.output_shape[0], dtype=np.float32)[rng.integers(0, net.output_shape[0], batch)]
    return lambda: model.train_step(x, targets), lambda: model.forward(x[:1])


def torch_engine(name: str, threads: int, channels_last: bool) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the same of PyTorch, written plainly."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    net, loss_name, optimizer, batch = declared(name)
    model = torch.nn.Sequential(*torch_layers(net))
    as_it_is = net.layers[0].kind in ("flatten", "lstm")
    shape = net.input_shape if as_it_is else (net.input_shape[-1], *net.input_shape[:-1])
    x, targets = torch.randn(batch, *shape), torch.eye(net.output_shape[0])[torch.randint(net.output_shape[0], (batch,))]
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    steps = kinds[optimizer.kind](model.parameters(), lr=optimizer.learning_rate)
    criterion = torch.nn.CrossEntropyLoss() if loss_name == "cross_entropy" else torch.nn.MSELoss()
    kernels = [m.weight for m, l2 in zip(model, [getattr(m, "l2", 0) for m in model], strict=True) if l2]

    def step() -> None:
        model.train()
        steps.zero_grad()
        loss = criterion(model(x), targets) + sum(0.04 * (kernel * kernel).sum() for kernel in kernels)
        loss.backward()
        steps.step()

    def predict() -> None:
        model.eval()
        with torch.no_grad():
            model(x[:1])

    return step, predict


def torch_layers(net):
    """Yield the modules of a declared net, for inputs with the channels first (an LSTM's last); softmax is left to the loss."""
    from torch import nn

    shape = net.input_shape
    for layer in net.layers:
        *before, module = _torch_modules(layer, shape)
        yield from before
        module.l2 = getattr(layer, "l2", 0)
        yield module
        if getattr(layer, "activation", "") in ("relu", "sigmoid"):
            yield nn.ReLU() if layer.activation == "relu" else nn.Sigmoid()
        shape = layer.output_shape(shape)


def _torch_modules(layer, shape):
    """Return the modules of one layer; the last of them is the one whose weight L2 is for."""
    from torch import nn

    if layer.kind == "lstm":
        both = layer.bidirectional
        return nn.LSTM(shape[-1], layer.units, batch_first=True, bidirectional=both), _seen_of_lstm(layer.output)
    if layer.kind == "conv1d":
        padding = nn.ConstantPad1d(_same(shape[0], layer.kernel, layer.stride), 0.0)
        return padding, nn.Conv1d(shape[-1], layer.filters, layer.kernel, stride=layer.stride)
    modules = {
        "dense": lambda: nn.Linear(shape[0], layer.units),
        "conv2d": lambda: nn.Conv2d(shape[-1], layer.filters, layer.kernel),
        "batch_norm": lambda: nn.BatchNorm2d(shape[-1]),
        "max_pool": lambda: nn.MaxPool2d(layer.size),
        "dropout": lambda: nn.Dropout(layer.rate),
        "flatten": nn.Flatten,
    }
    return (modules[layer.kind](),)


def _seen_of_lstm(output: str):
    """Return the module that takes, of what PyTorch's LSTM gives, every step or the last one."""
    from torch import nn

    class Seen(nn.Module):
        def forward(self, given):
            return given[0] if output == "all" else given[0][:, -1]

    if output not in ("all", "last_step"):
        raise ValueError(f"no module is written here for an LSTM's output {output!r}")
    return Seen()


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    from harken.nets.layers import same_padding

    return same_padding(size, window, stride)


def median(call: Callable[[], object], seconds: float) -> float:
    """Return the median of a call's milliseconds, over some seconds and at least five calls."""
    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def one(engine: str, name: str, threads: int, seconds: float) -> None:
    """Measure in this process, and print the figures as JSON."""
    step, predict = (
        numpy_engine(name, threads) if engine == "numpy" else torch_engine(name, threads, engine.endswith("channels_last"))
    )
    import resource

    figures = {"step": median(step, seconds), "predict": median(predict, seconds / 3)}
    print(json.dumps(figures | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], given.one[1], int(given.one[2]), float(given.one[3]))
        return
    engines = [name for name in ENGINES if importlib.util.find_spec(name.split()[0])]
    print(machine(*[name for name in ("torch",) if name in engines]))
    print(f"load {os.getloadavg()[0]:.1f} before; medians in ms, of rounds in turns; the ratio is to torch as it comes\n")
    rows = []
    for name in given.nets.split(","):
        for threads in map(int, given.threads.split(",")):
            rounds = [
                {engine: measure(engine, name, threads, given.seconds) for engine in engines_for(name, engines)}
                for _ in range(given.rounds)
            ]
            found = {
                engine: {key: statistics.median(r[engine][key] for r in rounds) for key in ("step", "predict", "peak_mb")}
                for engine in rounds[0]
            }
            for engine, figures in found.items():
                step, predict, peak = figures.values()
                ratio = f"{step / found['torch']['step']:.2f}" if "torch" in found else "–"
                rows.append([name, engine, threads, f"{step:.2f}", ratio, f"{predict:.3f}", f"{peak:.0f}"])
    print_table(["net", "engine", "threads", "step", "ratio", "predict 1", "peak MB"], rows)


if __name__ == "__main__":
    main()
