"""``harken convert``: a model in another program's format."""

from __future__ import annotations

import click

from harken.cli.console import json_option, model_argument, print_json


@click.command("convert")
@model_argument
@click.argument("out", type=click.Path())
@click.option("--audio-in", is_flag=True, help="ONNX: the graph reads samples; the frontend is part of it.")
@json_option
def command(model: str, out: str, audio_in: bool, as_json: bool) -> None:
    """Write MODEL as OUT.onnx, OUT.pt (a PyTorch state dict; its class is printed) or OUT.keras, checked against the model."""
    from harken.archive import load_model
    from harken.exchange import convert

    loaded = load_model(model)
    done = convert(loaded, out, audio_in=audio_in)
    if as_json:
        print_json({"model": model, "out": str(done.path), "summary": done.summary, "source": done.source})
        return
    click.echo(done.source, nl=False)
    reads = f"{loaded.recipe.frontend.clip_samples} samples a clip" if audio_in else f"(batch, {_sizes(loaded.input_shape)})"
    click.echo(f"{click.format_filename(done.path)}: {done.summary}. Reads {reads}.", err=True)


def _sizes(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
