"""``harken doctor``: how long it takes to compare many fingerprints with one another, once the files are decoded.

    python benchmarks/doctor.py [--tracks 10000] [--copies 200] [--wrong 0.15] [--every 1]

The fingerprints are synthetic, a minute each: of noise in 33 bands, smoothed over time as the overlap of the frames does, made
by the same rule as real ones (a bit changes in about 0.3 of the steps, of music in 0.25). Among them are copies that begin 5 s
later, with a share of wrong bits; that all of them and nothing else is found is told too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import soxr
from common import machine
from scipy.ndimage import convolve1d

from harken.audio import load_audio
from harken.doctor.fingerprint import BANDS, FRAME, HEARD, HOP, RATE, STEP, Fingerprint, fingerprint
from harken.doctor.listening import listen_to
from harken.doctor.matching import find_matches
from harken.tracks import Track

FRAMES = round(HEARD / STEP) - FRAME // HOP
LATER = round(5 / STEP)
_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


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


def worn(path: Path, target: Path, seconds: float, bits: int) -> Fingerprint:
    """Return the fingerprint of a copy of a track's beginning: MP3, 16 kHz, 6 dB quieter, later by half a frame's step more."""
    samples, rate = load_audio(path, end=seconds)
    later = round((LATER + 0.5) * STEP * rate)
    copy = soxr.resample(samples[later:] * np.float32(0.5), rate, 16_000)
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libmp3lame", rate=16_000, layout="mono")
        stream.bit_rate = bits
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(copy[None]), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for piece in (frame, None):
            container.mux(stream.encode(piece))
    return fingerprint(load_audio(target, RATE)[0])


def real_copies(paths: list[Path]) -> None:
    """Tell how many copies of real tracks are found."""
    with tempfile.TemporaryDirectory() as folder:
        for seconds, bits in ((30.0, 48_000), (12.0, 48_000), (12.0, 24_000)):
            prints = [fingerprint(load_audio(path, RATE, end=seconds)[0]) for path in paths]
            prints += [worn(path, Path(folder) / "copy.mp3", seconds, bits) for path in paths]
            found = [match for match in find_matches(prints) if match.second - match.first == len(paths) and match.same]
            least = min(match.agreement for match in found)
            what = f"{seconds:.0f} s of each track, copy of {bits // 1000} kbit/s"
            print(f"{what}: {len(found)} of {len(paths)} found; share of equal bits {least:.2f} at least")


def listening(paths: list[Path]) -> None:
    """Tell how long it takes to hear a track: decoding, levels, fingerprint."""
    times = []
    for path in paths:
        begin = time.process_time()
        listen_to(Track(str(path)))
        times.append(time.process_time() - begin)
    print(f"hearing a track of 30 s (MP3, mono, 22 kHz): {1000 * statistics.median(times):.0f} ms of one processor")


def false_pairs(name: str, paths: list[Path]) -> None:
    """Tell which tracks of a set are taken for one another."""
    matches = find_matches([fingerprint(load_audio(path, RATE, end=HEARD)[0]) for path in paths])
    print(f"{name}, {len(paths)} tracks: {len(matches)} pairs")
    for match in matches:
        kind = "one recording" if match.same else "a passage"
        pair = f"{paths[match.first].stem} and {paths[match.second].stem}"
        print(f"  {pair}: {kind}, {match.seconds:.0f} s, share of equal bits {match.agreement:.2f}")


def main() -> None:
    """Make, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=10_000)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--wrong", type=float, default=0.15)
    parser.add_argument("--every", type=int, default=1, help="of the real tracks, each so-and-so-many-th is copied")
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
    if _SHARED.is_dir():
        print()
        listening(sorted((_SHARED / "emotify").glob("*/*.mp3"))[::4])
        real_copies(sorted((_SHARED / "emotify").glob("*/*.mp3"))[:: asked.every])
        for name in ("emotify", "dances"):
            false_pairs(name, sorted((_SHARED / name).glob("*/*.mp3")))


if __name__ == "__main__":
    main()
