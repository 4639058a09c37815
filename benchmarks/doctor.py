"""``harken doctor``: how long it takes to compare many fingerprints with one another, once the files are decoded.

    python benchmarks/doctor.py [--tracks 10000] [--copies 200] [--wrong 0.15]

The fingerprints are synthetic, a minute each: of noise in 33 bands, smoothed over time as the overlap of the frames does, made
by the same rule as real ones (a bit changes in about 0.3 of the steps, of music in 0.25). Among them are copies that begin 5 s
later, with a share of wrong bits; that all of them and nothing else is found is told too.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from common import machine
from scipy.ndimage import convolve1d

from harken.doctor.fingerprint import BANDS, FRAME, HEARD, HOP, STEP, Fingerprint
from harken.doctor.matching import find_matches

FRAMES = round(HEARD / STEP) - FRAME // HOP
LATER = round(5 / STEP)


def synthetic(random: np.random.Generator) -> Fingerprint:
    """Return the fingerprint of a minute of noise."""
    noise = random.standard_normal((FRAMES + 1, BANDS)).astype(np.float32)
    energy = convolve1d(noise, np.hanning(FRAME // HOP + 2).astype(np.float32), axis=0)
    steps = energy[:, :-1] - energy[:, 1:]
    packed = np.packbits(steps[1:] > steps[:-1], axis=1)
    return Fingerprint(np.ascontiguousarray(packed).view(">u4")[:, 0].astype(np.uint32), np.ones(FRAMES, bool))


def copy_of(original: Fingerprint, wrong: float, random: np.random.Generator) -> Fingerprint:
    """Return a copy that begins later, with a share of wrong bits."""
    words = original.words[LATER:]
    flips = np.packbits(random.random((len(words), 32)) < wrong, axis=1)
    flipped = words ^ np.ascontiguousarray(flips).view(">u4")[:, 0].astype(np.uint32)
    return Fingerprint(flipped, np.ones(len(words), bool))


def main() -> None:
    """Make, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=10_000)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--wrong", type=float, default=0.15)
    asked = parser.parse_args()
    random = np.random.default_rng(0)
    originals = [synthetic(random) for _ in range(asked.tracks - asked.copies)]
    prints = originals + [copy_of(originals[place], asked.wrong, random) for place in range(asked.copies)]
    begin, work = time.perf_counter(), time.process_time()
    found = find_matches(prints)
    seconds, work = time.perf_counter() - begin, time.process_time() - work
    true = {(place, len(originals) + place) for place in range(asked.copies)}
    pairs = {(match.first, match.second) for match in found}
    print(machine())
    print(f"{len(prints):,} fingerprints of {FRAMES} words: {seconds:.1f} s to compare all ({work:.1f} s of one processor)")
    print(
        f"copies found: {len(pairs & true)} of {len(true)} ({asked.wrong:.0%} of their bits wrong); others: {len(pairs - true)}"
    )
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, all included")


if __name__ == "__main__":
    main()
