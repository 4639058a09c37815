"""What the benchmarks share: the machine in a few lines, functions timed in turns, processes measured, a table."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLED = 0.002
"""Seconds between two looks at a process' memory."""


def machine(*packages: str) -> str:
    """Describe the machine and the versions that a figure depends on, a line each.

    ``packages`` are named with their versions besides Python's and NumPy's.
    """
    model = platform.processor() or platform.machine()
    details = Path("/proc/cpuinfo")
    if details.exists():
        names = [line.split(":", 1)[1].strip() for line in details.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", *packages))
    return "\n".join(
        [
            f"{model}, {usable} of {os.cpu_count()} cores, {platform.system()} {platform.release()}",
            f"Python {platform.python_version()} · {versions}",
            f"OPENBLAS_CORETYPE={os.environ.get('OPENBLAS_CORETYPE', '')}",
        ]
    )


def interleaved(
    functions: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Return each function's median time in seconds.

    ``clock=time.process_time`` counts the processor's time of this process: for work on one core, a busy machine then
    disturbs less.

    They take turns, so that what else the machine does falls on all of them; the order turns round with each repeat, and
    one round before counts for nothing.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(-1, repeats):
        order = list(functions.items())
        for name, function in order if repeat % 2 else order[::-1]:
            begin = clock()
            function()
            if repeat >= 0:
                times[name].append(clock() - begin)
    return {name: statistics.median(taken) for name, taken in times.items()}


@dataclass(frozen=True)
class Ran:
    """What a process took: ``seconds`` on the clock, ``processor`` seconds of all its threads, ``anonymous`` bytes at its peak.

    Anonymous memory is what the process has for itself; pages of mapped files, which the system takes back when it needs
    them, do not count. It is looked at from outside every 2 ms (``RssAnon`` in ``/proc/PID/status``, on Linux): a peak that
    passes between two looks is missed. 0 where it was not looked at.
    """

    seconds: float
    processor: float
    anonymous: int = 0


def ran(
    command: Sequence[str | Path],
    *,
    memory: bool = False,
    folder: Path | None = None,
    codes: Sequence[int] = (0,),
    **environment: str,
) -> Ran:
    """Run a command in a process of its own, in a folder, its output thrown away, and return what it took.

    Raises
    ------
    RuntimeError
        It ends with an exit code that is not among ``codes``; with what it said on standard error.
    """
    began, peak = time.perf_counter(), 0
    with subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG if memory else 0)
            if done:
                break
            peak = max(peak, anonymous_memory(process.pid))
            time.sleep(SAMPLED)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said = process.stderr.read() if process.stderr else b""
    if process.returncode not in codes:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said.decode(errors='replace')}")
    return Ran(seconds, usage.ru_utime + usage.ru_stime, peak)


def anonymous_memory(process: int) -> int:
    """Return the bytes of anonymous memory that a process has now; 0 where it has gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their heads: the first column to the left, the others to the right."""
    cells = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for row in cells:
        print(
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        )
