"""The crew: a bounded number of places for requests, and the threads that work on them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import ceil
from typing import Any, TypeVar

from harken.serve.problems import Problem
from harken.serve.settings import Settings
from harken.serve.sound import StoppedError
from harken.threads import one_thread

T = TypeVar("T")


class Crew:
    """A bounded number of requests, and the threads that work on them.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self._most = settings.threads + settings.queue
        self._threads = settings.threads
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="harken-serve")
        self._took = 0.5  # s, of a thread: a moving average
        self.inside = 0
        one_thread.__enter__()

    def close(self) -> None:
        """Send the threads home."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        one_thread.__exit__()

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places, from the first byte of the body to the answer.

        Raises
        ------
        Problem
            There is none (503).
        """
        if self.inside >= self._most:
            wait = min(60, max(1, ceil(self._took * self.inside / self._threads)))
            raise Problem(
                503,
                "busy",
                "Too busy",
                f"{self.inside} requests are being worked on or wait; try again in {wait} s (--queue)",
                {"Retry-After": str(wait)},
            )
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1

    def do(self, job: Callable[[threading.Event], T]) -> T:
        """Do a job in a thread, and wait for it."""
        return self._pool.submit(self._job, job, threading.Event()).result()

    async def run(self, job: Callable[[threading.Event], T], gone: Callable[[], Awaitable[None]]) -> T:
        """Do a job in a thread; where the sender goes before it is done, it is told to stop.

        Parameters
        ----------
        job : callable
            Takes the event that tells it to stop.
        gone : callable
            Returns when nobody waits any more.

        Raises
        ------
        StoppedError
            Nobody waits.
        """
        stop = threading.Event()
        future = self._pool.submit(self._job, job, stop)
        work = asyncio.wrap_future(future)
        watch = asyncio.ensure_future(gone())
        try:
            both: set[asyncio.Future[Any]] = {work, watch}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            watch.cancel()
            if not future.cancel():  # begun: its file must stay until it has ended
                await asyncio.wait({work})
        if future.cancelled():
            raise StoppedError("nobody waits for the answer")
        return work.result()

    def _job(self, job: Callable[[threading.Event], T], stop: threading.Event) -> T:
        if stop.is_set():
            raise StoppedError("nobody waits for the answer")
        begin = time.monotonic()
        try:
            return job(stop)
        finally:
            self._took += 0.1 * (time.monotonic() - begin - self._took)
