"""What the fuzz targets share: mutations of bytes, and a driver that survives crashes, hangs and floods of memory.

A target is a script of one :class:`Target` and one call of :func:`main`; see README.md beside this file. Input number n of
seed s is always the same, so a finding can be made again. The inputs are tried in a process of their own; a second one
watches it, keeps the input at which it dies, and starts it again behind that input.
"""

from __future__ import annotations

import argparse
import faulthandler
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 2**64 - 1)
"""Numbers at which a reader of headers miscounts."""


@dataclass(frozen=True)
class Target:
    """What is tried.

    Attributes
    ----------
    name : str
    seeds : callable
        Takes an empty folder to work in, and returns good inputs by file name; the end of the name (``.wav``) stays with the
        input's mutations. The same ones each time.
    judge : callable
        Takes the path of an input. What the package may raise it catches itself; whatever it raises is a finding.
    limit : float
        Seconds that one input may take.
    memory : int
        Bytes that the process may have (where the system can limit that).
    """

    name: str
    seeds: Callable[[Path], Mapping[str, bytes]]
    judge: Callable[[Path], None]
    limit: float = 30.0
    memory: int = 6 << 30


def mutated(random: np.random.Generator, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return the bytes with one to eight changes: flipped, cut, inserted, zeroed, doubled, swapped, spliced, edge numbers."""
    found = bytearray(data)
    for _ in range(int(random.integers(1, 9))):
        kind = int(random.integers(len(_CHANGES) + bool(others)))
        if kind < len(_CHANGES):
            _CHANGES[kind](random, found)
        else:
            other = others[int(random.integers(len(others)))]
            begin, end = _chunk(random, other, 4096)
            at = int(random.integers(len(found) + 1))
            found[at : at + int(random.integers(2)) * (end - begin)] = other[begin:end]
    return bytes(found)


def _chunk(random: np.random.Generator, data: bytes | bytearray, longest: int) -> tuple[int, int]:
    """Return where a chunk begins and ends; half of them near the head, where the structure is."""
    reach = len(data) if random.random() < 0.5 else min(len(data), 512)
    begin = int(random.integers(reach + 1))
    length = int(2 ** random.uniform(0, np.log2(longest)))
    return begin, min(len(data), begin + length)


def _flip_bits(random: np.random.Generator, data: bytearray) -> None:
    for _ in range(int(2 ** random.uniform(0, 6))):
        begin, end = _chunk(random, data, 2)
        if begin < end:
            data[begin] ^= 1 << int(random.integers(8))


def _set_bytes(random: np.random.Generator, data: bytearray) -> None:
    begin, end = _chunk(random, data, 64)
    data[begin:end] = random.bytes(end - begin)


def _cut_out(random: np.random.Generator, data: bytearray) -> None:
    begin, end = _chunk(random, data, 4096)
    del data[begin:end]


def _cut_off(random: np.random.Generator, data: bytearray) -> None:
    if random.random() < 0.3:
        del data[int(random.integers(len(data) + 1)) :]


def _insert(random: np.random.Generator, data: bytearray) -> None:
    begin, _ = _chunk(random, data, 2)
    data[begin:begin] = random.bytes(int(2 ** random.uniform(0, 8)))


def _zero(random: np.random.Generator, data: bytearray) -> None:
    begin, end = _chunk(random, data, 1024)
    data[begin:end] = bytes(end - begin)


def _double(random: np.random.Generator, data: bytearray) -> None:
    begin, end = _chunk(random, data, 4096)
    data[begin:begin] = data[begin:end]


def _swap(random: np.random.Generator, data: bytearray) -> None:
    begin, end = _chunk(random, data, 512)
    other, _ = _chunk(random, data, 2)
    other = min(other, len(data) - (end - begin))
    data[begin:end], data[other : other + end - begin] = data[other : other + end - begin], data[begin:end]


def _edge(random: np.random.Generator, data: bytearray) -> None:
    width = int(random.choice([1, 2, 4, 8]))
    begin, _ = _chunk(random, data, 2)
    if begin + width <= len(data):
        number = EDGES[int(random.integers(len(EDGES)))] % 2 ** (8 * width)
        data[begin : begin + width] = number.to_bytes(width, "little" if random.random() < 0.5 else "big")


_CHANGES = (_flip_bits, _set_bytes, _cut_out, _cut_off, _insert, _zero, _double, _swap, _edge)


def made(seeds: Mapping[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Return the end of the name and the bytes of one input."""
    random = np.random.default_rng([seed, number])
    names = sorted(seeds)
    name = names[number % len(names)]
    if random.random() < 0.03:
        return Path(name).suffix, random.bytes(int(random.integers(2048)))
    return Path(name).suffix, mutated(random, seeds[name], list(seeds.values()))


def main(target: Target) -> None:
    """Run a target as the command line says; leaves with 1 where something was found."""
    parser = argparse.ArgumentParser(description=f"Try Harken with damaged {target.name}.")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long (default: until Ctrl-C)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings") / target.name, help="folder for what is found")
    parser.add_argument("--input", type=Path, help="judge this file alone")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "FIRST"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.input:
        faulthandler.dump_traceback_later(target.limit, exit=True)
        target.judge(options.input)
    elif options.child:
        _try(target, options, Path(options.child[0]), int(options.child[1]))
    else:
        raise SystemExit(_watch(target, options.seed, options.seconds, options.keep))


def _watch(target: Target, seed: int, seconds: float, keep: Path) -> int:
    """Let another process try inputs, and start it again where it dies."""
    end = time.monotonic() + seconds if seconds else float("inf")
    known = set(keep.glob("*")) if keep.is_dir() else set()
    first, begin = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="harken-fuzz-") as folder:
        work = Path(folder)
        while (left := end - time.monotonic()) > 0:
            command = [sys.executable, sys.argv[0], "--seed", str(seed), "--keep", str(keep), "--child", folder, str(first)]
            try:
                code = subprocess.run([*command, "--seconds", str(left if seconds else 0)], check=False).returncode
            except KeyboardInterrupt:
                code = 0
                end = 0
            number = int((work / "number").read_text() or 0) if (work / "number").exists() else -1
            if code and number < first:
                _say(f"{target.name}: cannot even begin (exit code {code})")
                return 2
            first = number + 1
            if code:
                (current,) = work.glob("current*")
                _keep(keep, seed, number, current, f"the process ended with code {code} (negative: killed by that signal)\n")
    found = sorted(set(keep.glob("*")) - known if keep.is_dir() else ())
    _say(f"{target.name}: {first} inputs in {time.monotonic() - begin:.0f} s, {len(found) // 2} findings")
    for path in found:
        _say(f"  {path}")
    return 1 if found else 0


def _try(target: Target, options: argparse.Namespace, work: Path, first: int) -> None:
    """Try inputs until the time is over; a hang or a crash ends this process."""
    end = time.monotonic() + options.seconds if options.seconds else float("inf")
    _limit_memory(target.memory)
    making = work / "seeds"
    making.mkdir(exist_ok=True)
    seeds = target.seeds(making)
    for number in itertools.count(first):
        suffix, data = made(seeds, options.seed, number)
        for old in work.glob("current*"):
            old.unlink()
        current = work / f"current{suffix}"
        current.write_bytes(data)
        (work / "number").write_text(str(number))
        faulthandler.dump_traceback_later(target.limit, exit=True)
        try:
            target.judge(current)
        except Exception:  # noqa: BLE001 - whatever it is, it is what was looked for
            _keep(options.keep, options.seed, number, current, traceback.format_exc())
        faulthandler.cancel_dump_traceback_later()
        if time.monotonic() > end:
            return


def _keep(keep: Path, seed: int, number: int, path: Path, reason: str) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, keep / f"{seed}-{number}{path.suffix}")
    (keep / f"{seed}-{number}.why").write_text(reason, "utf-8")


def _limit_memory(size: int) -> None:
    try:
        import resource  # not on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
