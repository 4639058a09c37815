"""The crew: a bounded number of senders, a bounded number of places for requests, and the threads that work on them.

A place is taken by a body that has come as a whole: who sends slowly keeps none from others.
"""

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

MOST_SENDERS = 128
"""Bodies that may be on their way to a process, beside those that have a place."""


class Crew:
    """A bounded number of requests, and the threads that work on them.

    Parameters
    ----------
    settings : Settings
    told : callable
        Told how many requests there are, senders too, whenever that changes.
    """

    def __init__(self, settings: Settings, told: Callable[[int], None]) -> None:
        self._told = told
        self._most = settings.threads + settings.queue
        self._threads = settings.threads
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="harken-serve")
        self._took = 0.5  # s, of a thread: a moving average
        self.senders = self.inside = 0
        one_thread.__enter__()

    def close(self) -> None:
        """Send the threads home."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        one_thread.__exit__()

    @contextmanager
    def request(self) -> Iterator[Callable[[], None]]:
        """Let a body come; what is given is called when it has, and takes one of the places until the context is left.

        Raises
        ------
        Problem
            There is no place, at the beginning or when the body has come, or too many bodies are on their way (503).
        """
        self._refuse_without_place()
        if self.senders >= MOST_SENDERS:
            raise _busy(f"{self.senders} uploads are on their way", 5)
        self._count(1, 0)
        has_come = False

        def come() -> None:
            nonlocal has_come
            self._refuse_without_place()
            has_come = True
            self._count(-1, 1)

        try:
            yield come
        finally:
            self._count(*((0, -1) if has_come else (-1, 0)))

    def _refuse_without_place(self) -> None:
        if self.inside >= self._most:
            wait = min(60, max(1, ceil(self._took * self.inside / self._threads)))
            raise _busy(f"{self.inside} requests are being worked on or wait", wait, " (--queue)")

    def _count(self, senders: int, inside: int) -> None:
        self.senders += senders
        self.inside += inside
        self._told(self.senders + self.inside)

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


def _busy(what: str, wait: int, cure: str = "") -> Problem:
    return Problem(503, "busy", "Too busy", f"{what}; try again in {wait} s{cure}", {"Retry-After": str(wait)})
