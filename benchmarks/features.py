"""Features of many files, all cores against one: ``python benchmarks/features.py FOLDER [--files N] [--repeats N]``.

Every measurement has a process of its own, a fresh store, and its turn; medians, best times, and the processor's time beside
them: on a machine that others use, too, the ratio of best times says more than that of medians. ``hear`` leaves the store out.
The main thread's share of the processor's time (checksums, writing, the index) is what a single worker has done beside it on a
second core, and what no further worker makes faster.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine, print_table

from harken.audio import find_audio
from harken.frontends import Mel
from harken.store import features, hear_many, sharing_cores
from harken.store.hearing import usable_cores
from harken.tracks import Tracks

DANCE = Mel(rate=22050, clip=10.0, n_mels=64, n_fft=512, hop_length=256, exponent=2.0, scale="db")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--files", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    paths = find_audio(options.folder)[: options.files]
    if options.job:
        measure(options.job, Tracks.from_files(paths), options.workers)
        return
    cores = usable_cores()
    print(f"{machine('scipy', 'soundfile', 'soxr')}\nload of the machine: {os.getloadavg()[0]:.1f}")
    print(f"{len(paths)} files of {options.folder}, mel spectrograms of the dance networks\n")
    cases = [(job, workers) for job in ("hear", "features") for workers in (1, cores)]
    found: dict[tuple[str, int], list[list[float]]] = {case: [] for case in cases}
    for repeat in range(options.repeats):
        for case in cases if repeat % 2 else cases[::-1]:
            found[case].append(child(options, *case))
    rows = []
    for job in ("hear", "features"):
        one, all_ = ([run[0] for run in found[job, workers]] for workers in (1, cores))
        used = statistics.median(run[1] for run in found[job, cores]) / statistics.median(run[1] for run in found[job, 1])
        share = statistics.median(run[3] / run[1] for run in found[job, cores])
        ratio = statistics.median(one) / statistics.median(all_)
        rows.append(
            [
                job,
                *(
                    f"{value:.2f}"
                    for value in (statistics.median(one), statistics.median(all_), ratio, min(one) / min(all_), used)
                ),
                f"{share:.3f}",
            ]
        )
    print_table(["", "1 core s", f"{cores} cores s", "ratio", "ratio of best", "processor time", "main thread's"], rows)
    again = statistics.median(run[2] for case, runs in found.items() if case[0] == "features" for run in runs)
    print(f"\nsecond call, nothing to compute: {again * 1e3:.0f} ms")


def child(options: argparse.Namespace, job: str, workers: int) -> list[float]:
    command = [sys.executable, __file__, options.folder, "--files", str(options.files), "--job", job, "--workers", str(workers)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(value) for value in answer.split()]


def measure(job: str, tracks: Tracks, workers: int) -> None:
    """Print a job's seconds, the processor's, those of a second call, and the main thread's of the processor's."""
    if hasattr(os, "sched_setaffinity"):  # a core a worker: else the main thread of one worker had the second core for itself
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:workers])
    with tempfile.TemporaryDirectory() as folder:
        features(tracks[:2], DANCE, folder=Path(folder) / "warm", workers=workers)
        began, used, main_thread = time.perf_counter(), processor_seconds(), time.thread_time()
        if job == "hear":
            with sharing_cores(workers, len(tracks)) as count:
                for _ in hear_many(list(tracks), DANCE, count):
                    pass
        else:
            features(tracks, DANCE, folder=Path(folder) / "store", workers=workers)
        took, used = time.perf_counter() - began, processor_seconds() - used
        main_thread = time.thread_time() - main_thread
        began = time.perf_counter()
        if job == "features":
            features(tracks, DANCE, folder=Path(folder) / "store", workers=workers)
        print(took, used, time.perf_counter() - began, main_thread)


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
