"""Running: the sockets of the service, its processes, and how it ends.

One process answers by itself. Several share a socket, each with models of its own; one that dies is replaced. SIGTERM and
Ctrl-C drain: nothing new is taken, what is in flight is answered, for at most :data:`harken.serve.settings.DRAIN` seconds.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from harken.errors import HarkenError
from harken.serve.app import create
from harken.serve.settings import DRAIN, Settings

FEWEST_SECONDS, MOST_DEATHS = 5.0, 3
"""A process that dies within so many seconds, and how many of these in a row end the service."""
Ready = Callable[[int], None]


def bound(settings: Settings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises
    ------
    HarkenError
        The address is taken, or none.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise HarkenError(
            f"{settings.host} port {settings.port}: cannot listen there ({error}); choose another --port, or --port 0 for any "
            "that is free"
        ) from error
    listening.set_inheritable(True)
    return listening


class _Server(uvicorn.Server):
    """uvicorn's, that tells when it has begun, and ends by a signal as if it were asked to."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()


def run(settings: Settings, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Answer in this process until it is told to end."""
    config = uvicorn.Config(
        create(settings),
        http=H11Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(DRAIN),
    )
    uvicorn.Server(config).run([listening])
