"""The recipes' nets as PyTorch users write them: what the engines are measured beside."""

from __future__ import annotations

from collections.abc import Callable

from nets import declared

LARGE = 256
"""Examples of the large batch that is predicted."""


def torch_engine(name: str, threads: int, channels_last: bool) -> tuple[Callable[[], object], Callable[[int], object]]:
    """Return the same of PyTorch, written plainly."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    net, loss_name, optimizer, batch = declared(name)
    model = torch.nn.Sequential(*torch_layers(net))
    as_it_is = net.layers[0].kind in ("flatten", "lstm")
    shape = net.input_shape if as_it_is else (net.input_shape[-1], *net.input_shape[:-1])
    x = torch.randn(max(batch, LARGE), *shape)
    targets = torch.eye(net.output_shape[0])[torch.randint(net.output_shape[0], (batch,))]
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    steps = kinds[optimizer.kind](model.parameters(), lr=optimizer.learning_rate)
    criterion = torch.nn.CrossEntropyLoss() if loss_name == "cross_entropy" else torch.nn.MSELoss()
    kernels = [m.weight for m, l2 in zip(model, [getattr(m, "l2", 0) for m in model], strict=True) if l2]

    def step() -> None:
        model.train()
        steps.zero_grad()
        loss = criterion(model(x[:batch]), targets) + sum(0.04 * (kernel * kernel).sum() for kernel in kernels)
        loss.backward()
        steps.step()

    def predict(count: int) -> None:
        model.eval()
        with torch.no_grad():
            model(x[:count])

    return step, predict


def torch_layers(net):
    """Yield the modules of a declared net, for inputs with the channels first (an LSTM's last); softmax is left to the loss."""
    from torch import nn

    shape, as_steps = net.input_shape, any(layer.kind == "lstm" for layer in net.layers)
    for layer in net.layers:
        *before, module = _torch_modules(layer, shape, as_steps)
        yield from before
        module.l2 = getattr(layer, "l2", 0)
        yield module
        if getattr(layer, "activation", "") in ("relu", "sigmoid"):
            yield nn.ReLU() if layer.activation == "relu" else nn.Sigmoid()
        shape = layer.output_shape(shape)


def _torch_modules(layer, shape, as_steps):
    """Return the modules of one layer, the last of them the one whose weight L2 is for (sequences may lie as LSTMs want)."""
    from torch import nn

    if layer.kind == "lstm":
        both = layer.bidirectional
        return nn.LSTM(shape[-1], layer.units, batch_first=True, bidirectional=both), _seen_of_lstm(layer.output)
    if layer.kind == "conv1d":
        padding = nn.ConstantPad1d(_same(shape[0], layer.kernel, layer.stride), 0.0)
        return padding, nn.Conv1d(shape[-1], layer.filters, layer.kernel, stride=layer.stride, bias=layer.bias)
    if layer.kind == "batch_norm" and as_steps:
        return _swapped(), nn.BatchNorm1d(shape[-1]), _swapped()
    flat = len(shape) == 2
    modules = {
        "dense": lambda: nn.Linear(shape[0], layer.units),
        "conv2d": lambda: nn.Conv2d(shape[-1], layer.filters, layer.kernel),
        "batch_norm": lambda: (nn.BatchNorm1d if flat else nn.BatchNorm2d)(shape[-1]),
        "max_pool": lambda: (nn.MaxPool1d if flat else nn.MaxPool2d)(layer.size),
        "global_average_pool": _mean_of_steps,
        "relu": nn.ReLU,
        "permute": nn.Identity,
        "reshape": _frames,
        "dropout": lambda: nn.Dropout(layer.rate),
        "flatten": nn.Flatten,
    }
    return (modules[layer.kind](),)


def _seen_of_lstm(output: str):
    """Return the module that takes, of what PyTorch's LSTM gives, every step or the last one."""
    from torch import nn

    class Seen(nn.Module):
        def forward(self, given):
            if output == "mean":
                return given[0].mean(dim=1)
            return given[0] if output == "all" else given[0][:, -1]

    if output not in ("all", "last_step", "mean"):
        raise ValueError(f"no module is written here for an LSTM's output {output!r}")
    return Seen()


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    from harken.nets.layers import same_padding

    return same_padding(size, window, stride)


def _module(function):
    """Return a module that does what a function does."""
    from torch import nn

    class Module(nn.Module):
        def forward(self, x):
            return function(x)

    return Module()


def _swapped():
    """Return the module that changes (batch, steps, channels) to channels first, or back."""
    return _module(lambda x: x.transpose(1, 2))


def _mean_of_steps():
    """Return the module that takes the mean over all but the channels."""
    return _module(lambda x: x.flatten(2).mean(dim=2))


def _frames():
    """Return the module that reads pictures (batch, 1, mels, frames) as sequences (batch, frames, mels)."""
    return _module(lambda x: x[:, 0].transpose(1, 2))
