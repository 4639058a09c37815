"""The fuzz targets: each runs for a second and finds nothing, and the driver notices what it is there to notice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.common import mutated

FOLDER = Path(__file__).parent / "fuzz"
TARGETS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("common", "conftest"))


def run(script: Path, keep: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), "--seed", "7", "--keep", str(keep), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_targets_were_found() -> None:
    assert "audio" in TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_a_second_of_each_target_finds_nothing(target: str, tmp_path: Path) -> None:
    done = run(FOLDER / f"{target}.py", tmp_path / "found", "--seconds", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(r"(\d+) inputs in .* 0 findings", done.stdout)
    assert told and int(told[1]) > 0
    assert not (tmp_path / "found").exists()


FAULTY = """
import os, signal, time
import sys
sys.path.insert(0, {folder!r})
from common import Target, main

def seeds(folder):
    return {{"a.bin": b"good" * 50}}

def judge(path):
    if len(path.read_bytes()) % 5 == 1:
        {fault}

main(Target("faulty", seeds, judge, limit=0.5))
"""


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise ValueError('not promised')", "ValueError: not promised"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "code -11"),
        ("time.sleep(60)", "code 1 "),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")
def test_the_driver_keeps_what_it_finds(tmp_path: Path, fault: str, reason: str) -> None:
    script = tmp_path / "faulty.py"
    script.write_text(FAULTY.format(folder=str(FOLDER), fault=fault))
    done = run(script, tmp_path / "found", "--seconds", "1.5")
    assert done.returncode == 1, done.stdout + done.stderr
    kept = sorted((tmp_path / "found").glob("*.bin"))
    assert kept
    assert all(len(path.read_bytes()) % 5 == 1 and reason in path.with_suffix(".why").read_text() for path in kept)
    assert run(script, tmp_path / "again", "--input", str(kept[0])).returncode != 0


def test_mutations_are_many_and_the_same_for_a_seed() -> None:
    data = bytes(range(256)) * 4
    found = [mutated(np.random.default_rng(seed), data, [b"other" * 20]) for seed in range(200)]
    assert found == [mutated(np.random.default_rng(seed), data, [b"other" * 20]) for seed in range(200)]
    assert len(set(found)) > 180
    assert min(map(len, found)) < len(data) < max(map(len, found))
    assert mutated(np.random.default_rng(0), b"") is not None
