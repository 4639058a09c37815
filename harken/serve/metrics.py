"""Counts of a service, of all its processes together, as Prometheus reads them (text format 0.0.4).

Each process counts into a file of its own: a float64 for every line that there can be. Whoever is asked adds all files up, so
that it does not matter which process a scrape reaches. What a process holds at the moment (gauges) counts while its heart
beats.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "metrics-"
BEAT, ALIVE = 2.0, 10.0
"""Seconds from one heartbeat to the next, and after the last one that a process counts as there."""
ROUTES = ("predict", "models", "model", "page", "docs", "metrics", "health", "other")
STATUSES = (200, 204, 304, 400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 499, 500, 503)
BUCKETS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds: borders of the histogram."""

_HELP = {
    "harken_requests_total": ("counter", "Requests that were answered, by route and status."),
    "harken_predict_seconds": (
        "histogram",
        "Time from a request's first byte to its answer, of POST /v1/predict with status 200.",
    ),
    "harken_predictions_total": ("counter", "Sounds that a model named."),
    "harken_upload_bytes_total": ("counter", "Bytes of uploads that were taken."),
    "harken_sound_seconds_total": ("counter", "Seconds of sound that were heard."),
    "harken_in_flight": ("gauge", "Requests that are worked on or wait, or whose body is on its way."),
    "harken_processes": ("gauge", "Processes that answer."),
    "harken_resident_memory_bytes": ("gauge", "Memory of all processes (Linux)."),
}
_BEAT = "beat"


class Metrics:
    """The counts of this process, and the sum of all.

    Parameters
    ----------
    folder : str
        Where the files of all processes lie.
    models : sequence of str
        Names.
    """

    def __init__(self, folder: str, models: Sequence[str]) -> None:
        self._folder = Path(folder)
        self._lines = _lines(models)
        self._place = {line: place for place, line in enumerate(self._lines)}
        handle, path = tempfile.mkstemp(prefix=PREFIX, dir=folder)
        os.close(handle)
        self._path = Path(path)
        self._values = np.memmap(path, dtype=np.float64, mode="w+", shape=(len(self._lines) + 1,))
        self._values[self._place["harken_processes"]] = 1
        self.beat()

    def beat(self) -> None:
        """Say that this process lives, and how large it is."""
        self._values[-1] = time.time()
        self._values[self._place["harken_resident_memory_bytes"]] = resident_bytes()

    def close(self) -> None:
        """Leave: what was counted stays."""
        self._values[-1] = 0
        self._values.flush()

    def request(self, route: str, status: int) -> None:
        """Count an answer."""
        known = status if status in STATUSES else 500 if status >= 500 else 400
        self._add(_labelled("harken_requests_total", route=route, status=str(known)), 1)

    def predicted(self, models: Sequence[str], size: int, seconds: float) -> None:
        """Count a sound that was named."""
        for name in models:
            self._add(_labelled("harken_predictions_total", model=name), 1)
        self._add("harken_upload_bytes_total", size)
        self._add("harken_sound_seconds_total", seconds)

    def took(self, seconds: float) -> None:
        """Count how long an answer took."""
        for border in (border for border in BUCKETS if seconds <= border):
            self._add(_labelled("harken_predict_seconds_bucket", le=f"{border:g}"), 1)
        self._add(_labelled("harken_predict_seconds_bucket", le="+Inf"), 1)
        self._add("harken_predict_seconds_sum", seconds)
        self._add("harken_predict_seconds_count", 1)

    def inside(self, count: int) -> None:
        """Say how many requests there are at the moment."""
        self._values[self._place["harken_in_flight"]] = count

    def text(self) -> str:
        """Return the sum over all processes."""
        total = np.zeros(len(self._lines))
        gauges = [place for place, line in enumerate(self._lines) if _HELP[_family(line)][0] == "gauge"]
        for path in self._folder.glob(f"{PREFIX}*"):
            values = np.fromfile(path, dtype=np.float64)
            if len(values) != len(self._lines) + 1:
                continue  # another process is just making it
            if time.time() - values[-1] > ALIVE:
                values[gauges] = 0
            total += values[:-1]
        told: list[str] = []
        family = ""
        for line, value in zip(self._lines, total.tolist(), strict=True):
            if _family(line) != family:
                family = _family(line)
                kind, words = _HELP[family]
                told += [f"# HELP {family} {words}", f"# TYPE {family} {kind}"]
            told.append(f"{line} {value:.10g}")
        return "\n".join(told) + "\n"

    def _add(self, line: str, amount: float) -> None:
        self._values[self._place[line]] += amount


def answered(folder: str) -> int:
    """Return how many requests all processes have answered that count in a folder."""
    files = [np.fromfile(path, dtype=np.float64) for path in Path(folder).glob(f"{PREFIX}*")]
    return int(sum(values[: len(ROUTES) * len(STATUSES)].sum() for values in files))


def resident_bytes() -> int:
    """Return how much memory this process holds; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):  # not Linux
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _lines(models: Sequence[str]) -> list[str]:
    """Return every line that there can be, family by family."""
    borders = [f"{border:g}" for border in BUCKETS] + ["+Inf"]
    return [
        *(_labelled("harken_requests_total", route=route, status=str(status)) for route in ROUTES for status in STATUSES),
        *(_labelled("harken_predict_seconds_bucket", le=border) for border in borders),
        "harken_predict_seconds_sum",
        "harken_predict_seconds_count",
        *(_labelled("harken_predictions_total", model=name) for name in models),
        "harken_upload_bytes_total",
        "harken_sound_seconds_total",
        "harken_in_flight",
        "harken_processes",
        "harken_resident_memory_bytes",
    ]


def _family(line: str) -> str:
    name = line.partition("{")[0]
    return "harken_predict_seconds" if name.startswith("harken_predict_seconds") else name


def _labelled(name: str, **labels: str) -> str:
    told = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{name}{{{told}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
