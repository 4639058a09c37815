"""What the benchmarks share: the machine in a few lines, functions timed in turns, a table."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


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
