"""``harken backbone``: what a pretrained network in an ONNX file reads and gives, and whether its declaration fits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from harken.cli.console import json_option, print_json
from harken.errors import DeclarationError, ModelError, brief

if TYPE_CHECKING:
    from harken.frontends import Backbone
    from harken.frontends.backbone.network import Network

TRIES = 3
"""Windows that are timed."""


@click.command("backbone")
@click.argument("file", type=click.Path(), metavar="FILE.onnx")
@click.option("--write", is_flag=True, help="Write a first declaration, FILE.toml, to be completed; none is written over.")
@json_option
@click.pass_context
def command(ctx: click.Context, file: str, write: bool, as_json: bool) -> None:
    """Show what a pretrained network reads and gives, and try it as FILE.toml beside it declares.

    Without a declaration, a first one is shown: its gaps are for what only the network's makers know.
    """
    from pathlib import Path

    from harken.files import atomic_write
    from harken.frontends.backbone import backbone_of, declaration_beside, misfits
    from harken.frontends.backbone.draft import draft
    from harken.frontends.backbone.network import opened
    from harken.frontends.backbone.places import hash_of
    from harken.recipes.backbones import ENDING, other_ending

    place = Path(file).absolute()
    network = opened(place, hash_of(place))
    declaration = declaration_beside(place)
    if write and declaration.exists():
        raise DeclarationError(brief(declaration, 300), ["is there already, and is not written over; change it by hand"])
    if not declaration.exists() and (wrong := misfits(network)):
        _show_ports(file, network, as_json)
        raise ModelError(f"{brief(file, 300)}: cannot be a backbone as it is: {'; '.join(wrong)}")
    if write:
        with atomic_write(declaration) as target:
            target.write(draft(network).encode())
    found = backbone_of(place) if declaration.exists() and not write else None
    took = _milliseconds(found) if found is not None else None
    if as_json:
        print_json(_document(network, found, took))
        return
    _show_ports(file, network)
    if found is not None and took is not None:
        click.echo(f"\n{declaration.name} fits: {in_words(found)}; a window took {took:.3g} ms on one core")
        named = file.lower().endswith(ENDING)
        click.echo(f"harken train DATA --backbone {brief(file, 300)}" if named else other_ending(file))
    elif write:
        click.echo(f"\nwritten: {brief(declaration, 300)}; fill in what stands at 0, and call this again")
    else:
        click.echo(
            f"\nthere is no {declaration.name} yet. With --write this one is written, to be completed:\n\n{draft(network)}",
            nl=False,
        )


def _show_ports(file: str, network: Network, quiet: bool = False) -> None:
    """Print what a network reads and gives."""
    if quiet:
        return
    click.echo(f"{brief(file, 300)}: hash {network.hash}")
    for what, ports in (("reads", network.inputs), ("gives", network.outputs)):
        for port in ports:
            click.echo(f"{what}: {port}")


def in_words(found: Backbone) -> str:
    """Say what a declared backbone hears and gives."""
    step = found.window if found.window_hop is None else found.window_hop
    return (
        f"windows of {found.window:g} s, {step:g} s apart, at {found.rate} Hz; {found.shape[0]} numbers "
        f"({found.pool} over the windows of a clip of {found.clip:g} s)"
    )


def _milliseconds(found: Backbone) -> float:
    """Return how long a window takes: the fastest of a few."""
    import numpy as np

    window = np.random.default_rng(0).normal(0, 0.1, found.window_samples).astype(np.float32)
    took = []
    for _ in range(TRIES):
        began = time.perf_counter()
        found(window)
        took.append(time.perf_counter() - began)
    return 1000 * min(took)


def _document(network: Network, found: Backbone | None, took: float | None) -> dict[str, Any]:
    ports = {
        key: [{"name": port.name, "shape": list(port.shape), "type": port.type} for port in group]
        for key, group in (("inputs", network.inputs), ("outputs", network.outputs))
    }
    return {
        "file": str(network.path),
        "hash": network.hash,
        **ports,
        "declaration": None if found is None else found.to_table(),
        "window_ms": took,
    }
