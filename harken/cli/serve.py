"""``harken serve``: models answer over HTTP, for a page in the browser and for programs."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import click

from harken.cli.console import backbone_option, engine_options, tell_unneeded_backbones
from harken.cli.stop import stop
from harken.confidence import KEPT
from harken.decoders import shown
from harken.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harken.serve import Settings
    from harken.serve.models import Served


@click.command("serve")
@click.argument("models", nargs=-1, required=True, type=click.Path(), metavar="MODEL...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others than this machine need a token.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--token-file", type=click.Path(), metavar="FILE", help="Who asks must show the token that FILE holds.")
@click.option("--no-token", is_flag=True, help="Let everybody ask who reaches --host.")
@click.option("--cors", multiple=True, metavar="ORIGIN", help="Pages of this origin may ask too (repeatable).")
@click.option("--allow-host", multiple=True, metavar="NAME", help="The service may be called by this name too (repeatable).")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Processes.")
@click.option("--queue", type=click.IntRange(0, 10_000), metavar="N", help="Requests that may wait in a process (default: 64).")
@click.option("--max-upload", default="200MB", show_default=True, metavar="SIZE", help="The largest file that is taken.")
@click.option("--max-duration", default="20min", show_default=True, metavar="TIME", help="The longest sound that is heard.")
@click.option("--patience", default="10s", show_default=True, metavar="TIME", help="How long a sender may be silent.")
@click.option("--unknown", is_flag=True, help="Answer 'unknown' where a file is unlike what the model was trained on.")
@click.option(
    "--unknown-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help=f"With --unknown: the share of known music that is kept (default: {KEPT}).",
)
@backbone_option
@engine_options
def command(models: tuple[str, ...], token_file: str | None, no_token: bool, **options: object) -> None:
    """Answer over HTTP with MODELs: a page for the browser at /, an API for programs at /v1, its description at /docs.

    Ctrl-C ends it, and so does SIGTERM: what is in flight is answered.
    """
    _refuse_without_extra()
    from harken.serve.metrics import answered
    from harken.serve.models import load_models
    from harken.serve.running import bound, run

    with tempfile.TemporaryDirectory(prefix="harken-serve-", ignore_cleanup_errors=True) as folder:
        settings = _settings(models, folder, token_file, no_token, **options)  # type: ignore[arg-type]
        loaded = load_models(settings)
        tell_unneeded_backbones()
        settings = _with_share(settings, loaded, **options)  # type: ignore[arg-type]
        listening = bound(settings)
        port = listening.getsockname()[1]
        stop.hand_over()
        run(settings, listening, loaded, lambda: click.echo(_begun(settings, loaded, port), err=True))
        done = answered(folder)
    click.echo(f"harken: stopped; {done:,} request{'' if done == 1 else 's'} answered", err=True)


def _settings(
    models: tuple[str, ...],
    folder: str,
    token_file: str | None,
    no_token: bool,
    *,
    host: str,
    port: int,
    cors: tuple[str, ...],
    allow_host: tuple[str, ...],
    workers: int,
    queue: int | None,
    max_upload: str,
    max_duration: str,
    patience: str,
    engine: str | None,
    device: str,
    **_: object,
) -> Settings:
    """Return what the options say."""
    from harken.durations import seconds_of
    from harken.engines import check
    from harken.serve.settings import (
        LOOPBACK,
        QUEUE,
        Settings,
        is_loopback,
        names_of,
        read_origin,
        read_size,
        read_token,
    )
    from harken.threads import usable_cores

    check(engine or "numpy", device)
    models = _each_once(models)
    if token_file is not None and no_token:
        raise click.UsageError("--token-file and --no-token exclude each other")
    near = is_loopback(host)
    if not near and token_file is None and not no_token:
        raise click.UsageError(
            f"--host {shown(host)}: others than this machine reach it; give --token-file FILE, so that who asks must show a "
            "token, or --no-token, so that everybody may"
        )
    return Settings(
        models=tuple(zip(names_of(models), models, strict=True)),
        folder=folder,
        host=host,
        port=port,
        engine=engine or "numpy",
        device=device,
        workers=workers,
        threads=max(1, usable_cores() // workers),
        queue=QUEUE if queue is None else queue,
        max_upload=read_size(max_upload),
        max_duration=seconds_of(max_duration, "--max-duration", bare=True),
        patience=seconds_of(patience, "--patience", bare=True),
        token=None if token_file is None else read_token(token_file),
        cors=tuple(map(read_origin, cors)),
        hosts=(*LOOPBACK, host, *allow_host) if near else allow_host,
    )


def _each_once(models: tuple[str, ...]) -> tuple[str, ...]:
    """Return the models, each file once, and say which stood there again."""
    found: dict[str, str] = {}
    for model in models:
        if (place := os.path.realpath(model)) in found:
            click.echo(f"harken: {shown(model)} is the file {shown(found[place])} again; it is served once", err=True)
        else:
            found[place] = model
    return tuple(found.values())


def _with_share(
    settings: Settings, loaded: Mapping[str, Served], *, unknown: bool, unknown_share: float | None, **_: object
) -> Settings:
    """Return the settings with what --unknown asks for, as harken predict understands it."""
    from dataclasses import replace

    from harken.cli.unfamiliar import Manner

    classifiers = {name: served.classifier for name, served in loaded.items()}
    return replace(settings, share=Manner.asked(classifiers, raw=False, unknown=unknown, share=unknown_share).share)


def _begun(settings: Settings, loaded: Mapping[str, Served], port: int) -> str:
    """Say what is served where."""
    names = ", ".join(f"{shown(name)} ({len(served.model.classes)} classes)" for name, served in loaded.items())
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    how = "; a token is wanted" if settings.token is not None else ""
    return f"harken: serving {names} at http://{host}:{port}/{how}; Ctrl-C ends it"


def _refuse_without_extra() -> None:
    try:
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import swagger_ui_bundle  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"harken serve needs {error.name}, which is not installed; install it: pip install 'harken[serve]'"
        ) from error
