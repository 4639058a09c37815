"""``harken serve``: models answer over HTTP, for a page in the browser and for programs."""

from __future__ import annotations

import click

from harken.cli.console import engine_options


@click.command("serve")
@click.argument("models", nargs=-1, required=True, type=click.Path(), metavar="MODEL...")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@engine_options
def command(models: tuple[str, ...], host: str, port: int, engine: str | None, device: str) -> None:
    """Answer over HTTP with MODELs."""
    import tempfile

    from harken.serve.running import bound, run
    from harken.serve.settings import Settings, names_of
    from harken.threads import usable_cores

    with tempfile.TemporaryDirectory(prefix="harken-serve-") as folder:
        named = tuple(zip(names_of(models), models, strict=True))
        settings = Settings(
            named, folder, host=host, port=port, engine=engine or "numpy", device=device, threads=usable_cores()
        )
        listening = bound(settings)
        click.echo(f"harken: serving at http://{host}:{listening.getsockname()[1]}/", err=True)
        run(settings, listening, lambda: None)
