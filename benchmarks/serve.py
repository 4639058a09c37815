"""The service under load: ``python benchmarks/serve.py [--model NAME=FILE …] [--seconds 20] [--requests 5000] [--only NAME]``.

``harken serve`` runs in a process of its own (or in two, ``--workers 2``); clients in threads of this one ask it through the
loopback, each over one connection, the next request when the last is answered. Files are MP3, 44.1 kHz, stereo.

- ``load``: requests a second, and how long an answer takes at the median and for all but one in a hundred, for files of 10 s
  and of 3 min, by one process and by two, with one client and with eight. Each answer is compared with the first one.
- ``memory``: what the process holds after so many requests of a small file, some of them refused or given up.
- ``picture``: drawing 60 s.

Without ``--model`` the models are trained here on the demo's tunes: ``dance-demo``, and ``listen``, which is what
``harken train`` takes unless told otherwise. How right they are has no part in this.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from common import interleaved, machine, print_table

HARKEN = (sys.executable, "-m", "harken")
CLIENTS = (1, 8)
LENGTHS = {"10 s": 10.0, "3 min": 180.0}


def compose(path: Path, seconds: float, rate: int = 44_100) -> bytes:
    """Write chords with a beat as MP3, and return its bytes."""
    rng = np.random.default_rng(0)
    when = np.arange(round(seconds * rate)) / rate
    beat = np.exp(-8 * (when % 0.5))
    tones = sum(np.sin(2 * np.pi * pitch * when) for pitch in (110.0, 220.0, 277.2, 329.6))
    samples = 0.15 * tones * beat + rng.normal(0, 0.01, len(when))
    both = np.stack([samples, np.roll(samples, 30)], axis=1).astype(np.float32)
    soundfile.write(path, both, rate, format="MP3", subtype="MPEG_LAYER_III")
    return path.read_bytes()


def train(folder: Path) -> dict[str, Path]:
    """Train the models that are asked."""
    from harken.datasets.demo import synthesise

    data = synthesise(folder / "dances", seed=0)
    found = {}
    for recipe in ("dance-demo", "listen"):
        run = folder / recipe
        call = [*HARKEN, "train", str(data.train_table), "--recipe", recipe, "--epochs", "2", "--out", str(run), "--quiet"]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found[recipe] = run / "model.harken"
    return found


@contextmanager
def serving(model: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The service in a process of its own; yields it and its port."""
    call = [*HARKEN, "serve", str(model), "--port", "0", *options]
    process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        told, found = "", None
        while found is None:
            line = process.stderr.readline()
            told += line
            found = re.search(r":(\d+)/; Ctrl-C", line)
            if not line:
                raise SystemExit(told)
        yield process, int(found[1])
        process.send_signal(signal.SIGTERM)
        process.wait(90)
    finally:
        process.kill()
        process.communicate()


def ask(connection: http.client.HTTPConnection, content: bytes, query: str = "?timeline=1") -> tuple[int, bytes]:
    """Send a file, and return status and body."""
    connection.request("POST", f"/v1/predict{query}", content, {"Content-Type": "audio/mpeg"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def said(body: bytes) -> list[tuple[str, float, int]]:
    """What an answer says, without the times that it took."""
    return [(one["label"], one["probability"], len(one["timeline"])) for one in json.loads(body)["models"]]


def load(port: int, content: bytes, clients: int, seconds: float) -> tuple[float, float, float]:
    """Return requests a second, and the times of the median and of all but one in a hundred."""
    first = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    wanted = said(ask(first, content)[1])
    ask(first, content)
    times: list[float] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while time.perf_counter() < end:
            begin = time.perf_counter()
            status, body = ask(connection, content)
            if status != 200 or said(body) != wanted:
                raise SystemExit(f"another answer: {status} {body[:300]!r}")
            times.append(time.perf_counter() - begin)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    ordered = sorted(times)
    return len(times) / took, statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]


COLUMNS = "{:<12} {:>6} {:>10} {:>8} {:>11} {:>7} {:>7}"


def loads(models: dict[str, Path], files: dict[str, bytes], seconds: float) -> None:
    print(COLUMNS.format("model", "file", "processes", "clients", "requests/s", "p50 ms", "p99 ms"))
    for name, model in models.items():
        for workers in (1, 2):
            with serving(model, "--workers", str(workers)) as (_, port):
                for length, content in files.items():
                    for clients in CLIENTS:
                        rate, median, late = load(port, content, clients, seconds)
                        figures = (f"{rate:.1f}", f"{1000 * median:.0f}", f"{1000 * late:.0f}")
                        print(COLUMNS.format(name, length, workers, clients, *figures), flush=True)


def resident(port: int) -> float:
    """Return the megabytes that the service says it holds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    found = re.search(r"^harken_resident_memory_bytes (\S+)", connection.getresponse().read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1]) / 1e6


def memory(models: dict[str, Path], content: bytes, requests: int) -> None:
    """Print what a process holds after so many requests: one in ten is refused, one in fifty given up in its midst."""
    for name, model in models.items():
        with serving(model) as (_, port):
            rows = [["0", f"{resident(port):.1f}"]]
            done = 0
            for part in range(10):
                share = [requests // 10 // 4] * 4

                def client(count: int) -> None:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                    for number in range(count):
                        if number % 50 == 7:
                            with socket.create_connection(("127.0.0.1", port)) as gone:
                                head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/mpeg\r\n"
                                gone.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content[:5000])
                        refused = number % 10 == 3
                        status, _ = ask(connection, b"no sound" * 100 if refused else content, "?timeline=1&picture=1")
                        if status != (422 if refused else 200):
                            raise SystemExit(f"another answer: {status}")

                threads = [threading.Thread(target=client, args=(count,)) for count in share]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                done += sum(share)
                rows.append([f"{done:,}", f"{resident(port):.1f}"])
                del part
        print_table([f"{name}: requests", "MB held"], rows)
        print()


def picture() -> None:
    """Print how long the picture of a minute takes."""
    from harken.report.picture import mel_picture_of

    samples = np.random.default_rng(0).normal(0, 0.1, 22_050 * 60).astype(np.float32)
    took = interleaved({"60 s": lambda: mel_picture_of([samples])}, 9)["60 s"]
    print(f"the mel picture of 60 s: {1000 * took:.0f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", metavar="NAME=FILE", default=[])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--only", choices=["load", "memory", "picture"])
    options = parser.parse_args(arguments)
    print(machine("starlette", "uvicorn", "soundfile"))
    average = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
    print(f"load of the machine before this began: {average}\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        models = {name: Path(file) for name, _, file in (each.partition("=") for each in options.model)}
        if not models and options.only != "picture":
            models = train(folder)
        if options.only in (None, "load"):
            files = {name: compose(folder / f"{seconds}.mp3", seconds) for name, seconds in LENGTHS.items()}
            loads(models, files, options.seconds)
            print()
        if options.only in (None, "memory"):
            memory(models, compose(folder / "small.mp3", 6.0), options.requests)
        if options.only in (None, "picture"):
            picture()


if __name__ == "__main__":
    main()
