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
    frontend, sizes = loaded.recipe.frontend, list(loaded.input_shape)
    reads = {"name": "samples", "shape": ["clips", frontend.clip_samples]} if audio_in else {"shape": ["clips", *sizes]}
    if as_json:
        print_json(
            {
                "model": model,
                "out": str(done.path),
                "holds": done.holds,
                "difference": done.difference,
                "input": {**reads, **({"rate": frontend.to_table()["rate"]} if audio_in else {})},
                "classes": loaded.classes,
                "source": done.source,
            }
        )
        return
    click.echo(done.source, nl=False)
    shape = ", ".join(map(str, reads["shape"]))
    said = f"samples at {frontend.to_table()['rate']} Hz, ({shape})" if audio_in else f"what the frontend gives, ({shape})"
    click.echo(
        f"{click.format_filename(done.path)}: {done.holds}; reads {said}; its probabilities are within {done.difference:.1g} "
        "of the model's",
        err=True,
    )
