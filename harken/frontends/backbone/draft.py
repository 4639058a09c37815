"""A first declaration of a network that has none: what its file shows, and gaps where only its makers know.

Shapes tell the layout; they do not tell the rate, nor how a mel picture was made. What cannot be seen is written so that it is
refused until somebody has filled it in.
"""

from __future__ import annotations

from harken.frontends.backbone.network import TYPES, Network, Port

PICTURE = 400
"""An axis of a fixed size up to this may be of mel bands or of frames; a longer one is of samples."""
INPUTS = {
    False: {1: ["samples"], 2: ["batch", "samples"], 3: ["batch", "channels", "samples"]},
    True: {2: ["frames", "mels"], 3: ["batch", "frames", "mels"], 4: ["batch", "channels", "frames", "mels"]},
}
"""Likely layouts of samples and of pictures, by the number of axes."""
OUTPUTS = {
    1: ["numbers"],
    2: ["batch", "numbers"],
    3: ["batch", "time", "numbers"],
    4: ["batch", "numbers", "frequency", "time"],
}


def draft(network: Network) -> str:
    """Return a first declaration as TOML, with its gaps, of a network that could be a backbone."""
    reads = network.inputs[0]
    gives = next(port for port in network.outputs if port.type in TYPES)
    picture = is_picture(reads)
    likely = INPUTS[picture].get(len(reads.shape), [])
    if likely[-2:] == ["channels", "samples"] and reads.shape[-1] == 1:
        likely = [*likely[:-2], "samples", "channels"]
    lines = [
        f"# What {network.path.name} expects. Fill in what stands at 0, and check the rest: docs/backbones.md has it of",
        "# well-known networks. 'harken backbone FILE.onnx' compares it with the file, and tries it.",
        f"# inputs:  {'; '.join(map(str, network.inputs))}",
        f"# outputs: {'; '.join(map(str, network.outputs))}",
        "",
        'title = ""',
        'source = ""',
        "rate = 0                  # Hz that the network was trained at",
        "window = 0                # seconds that it hears at once",
        f'input = "{"mel" if picture else "waveform"}"',
        f"input_name = {_text(reads.name)}",
        f"input_axes = {_list(likely)}",
        f"output_name = {_text(gives.name)}",
        f"output_axes = {_list(OUTPUTS.get(len(gives.shape), []))}",
        'pool = "mean"             # over time; or "max", "mean_std"',
    ]
    if picture:
        sizes = dict(zip(likely, reads.shape, strict=False))
        bands = sizes.get("mels")
        known = bands if isinstance(bands, int) else 0
        lines += [
            "",
            "[mel]",
            f"n_mels = {known}",
            "n_fft = 0",
            "hop_length = 0",
            'log = "none"              # or "log", "log10", "db"',
        ]
    return "\n".join(lines) + "\n"


def is_picture(port: Port) -> bool:
    """Tell whether an input looks like one of mel pictures, and not of samples."""
    sizes = [size for size in port.shape if isinstance(size, int)]
    middling = [size for size in sizes if 8 <= size <= PICTURE]
    return len(port.shape) >= 4 or (bool(middling) and max(sizes, default=0) <= 10 * PICTURE)


def _text(name: str) -> str:
    return '"' + "".join(f"\\u{ord(sign):04x}" if sign in '"\\' or not sign.isprintable() else sign for sign in name) + '"'


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
