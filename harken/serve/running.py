"""Running: the sockets of the service, its processes, and how it ends.

One process answers by itself. Several share a socket, each with models of its own; one that dies is replaced, and all end with
the first process. SIGTERM and Ctrl-C drain: nothing new is taken, what is in flight is answered, for at most
:data:`harken.serve.settings.DRAIN` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from harken.errors import HarkenError
from harken.files import json_bytes
from harken.jobs import signal_name, undisturbed, undisturbed_child
from harken.serve.app import create
from harken.serve.models import Served
from harken.serve.problems import MEDIA_TYPE, not_http
from harken.serve.settings import DRAIN, Settings

if sys.platform == "win32":
    termios = None
else:
    import fcntl
    import termios

FEWEST_SECONDS, MOST_DEATHS = 10.0, 3
"""A process that dies before it answers or within so many seconds, and how many of these in a row end the service."""
logger = logging.getLogger("harken")

STOPPING = (signal.SIGINT, signal.SIGTERM)
LOOK = 0.2
"""Seconds after which the first process looks after the others."""


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
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        raise HarkenError(
            f"{settings.host} port {settings.port}: cannot listen there ({error}); choose another --host or --port (--port 0: "
            "any that is free)"
        ) from error
    return listening


def run(settings: Settings, listening: socket.socket, models: Mapping[str, Served], ready: Callable[[], None]) -> None:
    """Answer until a signal ends it, in this process or in several.

    Parameters
    ----------
    settings : Settings
    listening : socket
        What :func:`bound` returned; closed when the service ends.
    models : mapping of str to Served
        As loaded for these settings; further processes load their own.
    ready : callable
        Called when requests are answered.

    Raises
    ------
    HarkenError
        Processes die as soon as they are made.
    """
    with listening:
        if settings.workers == 1:
            _answer(settings, listening, models, ready)
        else:
            _Processes(settings, listening).run(ready)


def _answer(
    settings: Settings, listening: socket.socket, models: Mapping[str, Served] | None, ready: Callable[[], None]
) -> None:
    """Answer in this process until a signal ends it."""
    server(settings, create(settings, models), ready).run([listening])


def server(settings: Settings, app: ASGIApp, ready: Callable[[], None]) -> uvicorn.Server:
    """Return what speaks HTTP for an application.

    Parameters
    ----------
    settings : Settings
    app : ASGI application
        What :func:`harken.serve.app.create` returned.
    ready : callable
        Called when requests are answered.
    """
    config = uvicorn.Config(
        app,
        http=_patient(settings.patience),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(DRAIN),
    )
    return _Server(config, ready)


class _Server(uvicorn.Server):
    """Tells when it has begun, and ends by a signal as if it were asked to: with no error and no further signal."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        logging.getLogger("uvicorn.error").addFilter(_no_cut)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):  # what has outlasted the drain
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in STOPPING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _no_cut(record: logging.LogRecord) -> bool:
    """Leave out of the log that a request was cut at the end: one line says how many, and a trace of each says no more."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _unread(transport: Any) -> int:
    """Return the bytes that wait to be read: those of the program, and where there are some, those that the kernel holds.

    The kernel may hold megabytes, and takes more only when it has sent a good part of them: who reads slowly would look, to
    the program alone, like one who does not read at all.
    """
    size = int(transport.get_write_buffer_size())
    if size and termios is not None:
        with suppress(OSError):  # not every system tells it
            held = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            size += int.from_bytes(held, sys.byteorder)
    return size


def _patient(patience: float) -> type[H11Protocol]:
    """Return uvicorn's HTTP, that also closes a connection on which no request begins, or none comes to its end.

    One whose answer is not read any further is cut, also while it is being closed. The body of a request that is being read
    has its own limits (:mod:`harken.serve.uploads`).
    """

    class Patient(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._read = 0  # how often the sender has read enough that there was more to write
            self._next = self.loop.call_later(patience, self._look, None, (0, 0))

        def connection_lost(self, exc: Exception | None) -> None:
            self._next.cancel()
            super().connection_lost(exc)

        def resume_writing(self) -> None:
            self._read += 1
            super().resume_writing()

        def _look(self, before: Any, unread_before: tuple[int, int]) -> None:
            unread = _unread(self.transport), self._read
            if unread[0] and unread == unread_before:
                self.transport.abort()
                return
            idle = self.cycle is None or self.cycle.response_complete
            if idle and self.cycle is before and not unread[0]:
                self.transport.close()
            self._next = self.loop.call_later(patience, self._look, self.cycle if idle else _BUSY, unread)

        def send_400_response(self, msg: str) -> None:
            problem = not_http(msg)
            headers = [("content-type", MEDIA_TYPE), ("connection", "close")]
            response = h11.Response(status_code=problem.status, headers=headers, reason=b"Bad Request")
            for event in (response, h11.Data(data=json_bytes(problem.document)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return Patient


_BUSY = object()
"""A connection that was answering when it was looked at."""


@dataclass
class _Worker:
    """A process that answers."""

    process: BaseProcess
    ready: Event
    since: float


class _Processes:
    """Several processes that answer at one socket, and the first that looks after them."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings, self._listening = settings, listening
        self._context = multiprocessing.get_context("spawn")
        self._ending = False
        self._deaths = 0

    def run(self, ready: Callable[[], None]) -> None:
        """Look after them until a signal comes."""
        before = {number: signal.signal(number, self._end) for number in STOPPING}
        workers: list[_Worker] = []
        told = False
        try:
            workers += [self._begin() for _ in range(self._settings.workers)]
            while not self._ending:
                wait([worker.process.sentinel for worker in workers], timeout=LOOK)
                workers = [self._looked_after(worker) for worker in workers]
                if not told and all(worker.ready.is_set() for worker in workers):
                    ready()
                    told = True
        finally:
            self._listening.close()  # before the others end: nobody shall wait at a door that nobody opens
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.process.join(DRAIN + 10)
                worker.process.kill()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ending = True

    def _begin(self) -> _Worker:
        with undisturbed():
            ready = self._context.Event()
            process = self._context.Process(target=_work, args=(self._settings, self._listening, ready), name="harken-serve")
            process.start()
        return _Worker(process, ready, time.monotonic())

    def _looked_after(self, worker: _Worker) -> _Worker:
        """Return a worker, or another one where it has died."""
        if worker.process.is_alive() or self._ending:
            return worker
        code = worker.process.exitcode or 0
        ended = f"ended (exit code {code})" if code >= 0 else f"was killed by {signal_name(-code)}"
        soon = not worker.ready.is_set() or time.monotonic() - worker.since < FEWEST_SECONDS
        self._deaths = self._deaths + 1 if soon else 0
        if self._deaths >= MOST_DEATHS:
            raise HarkenError(
                f"the processes of the service end as soon as they begin (the last one {ended}); what they said stands above. "
                "With --workers 1 there are none beside this one"
            )
        logger.warning("process %s of the service %s; another one takes its place", worker.process.pid, ended)
        return self._begin()


def _work(settings: Settings, listening: socket.socket, ready: Event) -> None:
    """Answer in a further process, which ends with the first one."""
    undisturbed_child()
    first = multiprocessing.parent_process()

    def end_with_it() -> None:
        if first is not None:
            first.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_it, name="first-process", daemon=True).start()
    _answer(settings, listening, None, ready.set)
