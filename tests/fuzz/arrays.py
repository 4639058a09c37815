"""Fuzz target: a damaged .npz gives DataError in one line, or rows that training can take.

Inputs that end in .npy are packed into a flawless .npz, once for the rows and once for their labels, so that the header of an
array is reached, which the zip's check sums guard otherwise.

python tests/fuzz/arrays.py --seconds 60 --seed 1
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from common import Target, main

from harken.datasets import Arrays, read
from harken.errors import DataError

X = np.arange(24, dtype=np.float32).reshape(6, 4)
KINDS = {
    "whole": np.array([0, 1] * 3),
    "text": np.array(["jig", "réel"] * 3),
    "bytes": np.array([b"jig", b"reel"] * 3),
    "hot": np.eye(2)[[0, 1] * 3],
    "rows": X,
    "doubles": X.astype(np.float64),
}
"""What arrays of a file may hold."""


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def seeds(folder: Path) -> Mapping[str, bytes]:
    """Return files in both formats, stored and compressed, and arrays alone."""
    found = {f"{name}.npy": _npy(array) for name, array in KINDS.items()}
    beside = {"groups_train": np.array(["a", "b"] * 3), "paths_train": np.array(list("abcdef")), "labels": np.array(["x", "y"])}
    for name, arrays in (
        ("halves", {"train": X, "test": X[:2], "classes": np.array(["x", "y"])}),
        ("whole", {"X": X, "y": KINDS["text"]}),
        ("parts", {"X_train": X, "y_train": KINDS["whole"], "X_test": X, "y_test": KINDS["hot"], **beside}),
    ):
        for save in (np.savez, np.savez_compressed):
            save(folder / "a.npz", **arrays)
            found[f"{name}-{save.__name__}.npz"] = (folder / "a.npz").read_bytes()
    return found


def judge(path: Path) -> None:
    """Raise AssertionError, or whatever else, where the package breaks its word about arrays."""
    for candidate in _packed(path) if path.suffix == ".npy" else [path]:
        try:
            dataset = read(candidate)
        except DataError as error:
            assert "\n" not in str(error), f"the error has more than one line: {error!r}"
            continue
        for part in dataset.parts.values():
            assert isinstance(part, Arrays)
            assert part.x.dtype == np.float32 and np.isfinite(part.x).all()
            assert len(part.labels) == len(part.x) == len(part.tracks) > 0
            assert part.classes == dataset.classes and sum(part.counts().values()) == len(part)
        assert dataset.describe()


def _packed(path: Path) -> list[Path]:
    content = path.read_bytes()
    packed = []
    for number, members in enumerate(({"X": content, "y": _npy(KINDS["whole"])}, {"X": _npy(X), "y": content})):
        target = path.parent / f"packed-{number}.npz"
        with zipfile.ZipFile(target, "w") as archive:
            for name, data in members.items():
                archive.writestr(f"{name}.npy", data)
        packed.append(target)
    return packed


if __name__ == "__main__":
    logging.getLogger("harken").setLevel(logging.ERROR)
    main(Target("arrays", seeds, judge, memory=3 << 30))
