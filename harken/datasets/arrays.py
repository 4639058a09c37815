"""Arrays in an ``.npz`` file, as the tutorials save them: what a network reads, with labels, without audio.

Two formats are read:

- ``train`` and ``test``, shape (rows, …): the first half of the rows is one class, the second half the other. The classes are
  called "0" and "1", or as an array ``labels`` or ``classes`` with two names says. ``test`` may be missing.
- ``X_train, y_train`` (and ``X_valid, y_valid``, ``X_test, y_test``), or ``X, y`` alone: rows, and for each row a number, a
  text, or a one-hot vector. ``labels`` or ``classes``, if there, names the classes in the order of the numbers. Beside them
  may stand, for each row, what ``harken features`` writes: ``groups_train`` (what must stay together; an empty one is none),
  ``paths_train`` (rows of one path are clips of one track), ``start_train`` and ``end_train`` (seconds); beside ``X, y`` also
  without ``_train``. An array that has none of these names is told as not used.

Nothing in such a file is run: ``allow_pickle=False``, and an array of Python objects is refused with the reason; so is one that
unpacks to far more than the file holds. Rows become float32; the further axes stay as they are.

:class:`Arrays` here are data. The frontend of models that were trained on them has the same name in recipes
(:class:`harken.frontends.Arrays`).
"""

from __future__ import annotations

import logging
import os
import struct
import sys
import tokenize
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harken.datasets.standard import Figures, taken_back, told_by
from harken.errors import DataError, brief
from harken.tracks import normal_name

logger = logging.getLogger("harken")

_PARTS = {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}
_NAMES = ("labels", "classes")
_STANDARD = ("mean", "deviation")
"""Beside standardised rows, what they were standardised by."""
_FORMATS = "expected the arrays train and test, or X_train, y_train, X_test, y_test, or X, y"
_LARGEST_LABEL = 2.0**53
_BLOCK = 1 << 24
"""Numbers that are checked at once, so that the check needs little memory beside the array."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Labelled rows that a network reads as they are: data, and not the frontend of this name.

    Attributes
    ----------
    x : ndarray of float32, shape (rows, …)
    labels : ndarray of int64, shape (rows,)
        Positions in ``classes``.
    classes : tuple of str
    name : str
        Where the rows come from, for messages.
    groups : tuple of (str or None), optional
        For each row what must not stand on both sides of a split; None is a row's (or its track's) own group.
    paths : tuple of str, optional
        For each row the file that it was made of: rows of one path, label and group are clips of one track. An empty path is
        a track of its own, and so is every row where there are no paths.
    times : ndarray of float64, shape (rows, 2), optional
        Each row's start and end in its file, in seconds.
    lengths : ndarray of float64, shape (rows,), optional
        Samples that each row was computed from, at a rate that is not told.
    columns : tuple of str, optional
        What the numbers of a row are called, where rows have the shape (columns,).
    standard : pair of ndarray of float64, shape (columns,), optional
        Mean and deviation that the rows were standardised by, where that is known.

    Raises
    ------
    DataError
        No rows, rows without a shape, another number of labels (groups, paths, times) than rows, a label beyond the classes, a
        number that is not finite.
    """

    x: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    name: str = "arrays"
    groups: tuple[str | None, ...] | None = None
    paths: tuple[str, ...] | None = None
    times: npt.NDArray[np.float64] | None = None
    lengths: npt.NDArray[np.float64] | None = None
    columns: tuple[str, ...] | None = None
    standard: Figures | None = None

    def __post_init__(self) -> None:
        if self.x.ndim < 2:
            raise DataError(
                f"{self.name} has the shape {self.x.shape}; expected (rows, …): one row for each example. "
                "For one number an example, save x.reshape(-1, 1)"
            )
        if self.x.size == 0:
            raise DataError(f"{self.name} is empty (shape {self.x.shape}); expected at least one row with at least one number")
        if self.labels.shape != (len(self.x),):
            raise DataError(
                f"{self.name} has {len(self.x)} rows, but labels of the shape {self.labels.shape}; expected one label a row"
            )
        if self.times is not None and not np.isfinite(self.times).all():
            raise DataError(f"{self.name} has a start or an end that is NaN or infinite; expected seconds")
        for what in ("groups", "paths", "times", "lengths"):
            beside = getattr(self, what)
            if beside is not None and len(beside) != len(self.x):
                raise DataError(f"{self.name} has {len(self.x)} rows, but {len(beside)} {what}; expected one for each row")
        if self.times is not None and self.times.shape != (len(self.x), 2):
            raise DataError(f"{self.name} has times of the shape {self.times.shape}; expected start and end of each row")
        if self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise DataError(
                f"{self.name} has labels from {self.labels.min()} to {self.labels.max()}, "
                f"but {len(self.classes)} classes; expected positions from 0 to {len(self.classes) - 1}"
            )
        if self.columns is not None and (self.shape != (len(self.columns),) or len(set(self.columns)) < len(self.columns)):
            raise DataError(f"{self.name}: rows of the shape {self.shape} need as many names of columns, each another")
        _check_finite(self.x, self.name)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {count}" for name, count in self.counts().items())
        return f"<Arrays: {len(self)} rows of shape {self.shape}; {counts}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row."""
        return tuple(self.x.shape[1:])

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """For each row the BLAKE2b-128 of its bytes (float32, little-endian, C order), in hexadecimal digits."""
        rows = np.ascontiguousarray(self.x, dtype="<f4")
        return tuple(blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each class."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, found, strict=True)}

    def select(self, positions: Iterable[int]) -> Arrays:
        """Return the rows at these positions, with the same classes."""
        return self._rows(np.asarray(list(positions), dtype=np.int64))

    def select_columns(self, columns: Sequence[str]) -> Arrays:
        """Return the rows with these columns, in this order; the rows must have names for them."""
        assert self.columns is not None
        places = [self.columns.index(name) for name in columns]
        standard = None if self.standard is None else (self.standard[0][places], self.standard[1][places])
        return replace(self, x=np.ascontiguousarray(self.x[:, places]), columns=tuple(columns), standard=standard)

    def raw(self) -> Arrays:
        """Return the rows as they were before they were standardised, where it is known by what."""
        return self if self.standard is None else replace(self, x=taken_back(self.x, self.standard), standard=None)

    def select_classes(self, classes: Sequence[str]) -> Arrays:
        """Return the rows of these classes, which are then numbered in this order."""
        numbers = np.full(len(self.classes), -1, dtype=np.int64)
        for number, name in enumerate(classes):
            numbers[self.classes.index(name)] = number
        kept = self._rows(np.flatnonzero(numbers[self.labels] >= 0))
        return replace(kept, labels=numbers[kept.labels], classes=tuple(classes))

    def _rows(self, chosen: npt.NDArray[np.int64]) -> Arrays:
        return replace(
            self,
            x=self.x[chosen],
            labels=self.labels[chosen],
            groups=None if self.groups is None else tuple(self.groups[row] for row in chosen),
            paths=None if self.paths is None else tuple(self.paths[row] for row in chosen),
            times=None if self.times is None else self.times[chosen],
            lengths=None if self.lengths is None else self.lengths[chosen],
        )

    @cached_property
    def tracks(self) -> tuple[int, ...]:
        """For each row the number of its track, from 0 on in the order of first appearance."""
        numbers: dict[Hashable, int] = {}
        groups = self.groups or (None,) * len(self)
        paths = self.paths or ("",) * len(self)
        keys = (
            (path, label, group) if path else row
            for row, (path, label, group) in enumerate(zip(paths, self.labels.tolist(), groups, strict=True))
        )
        return tuple(numbers.setdefault(key, len(numbers)) for key in keys)


def _check_finite(x: npt.NDArray[np.float32], name: str) -> None:
    step = max(1, _BLOCK * len(x) // x.size)
    for start in range(0, len(x), step):
        bad = ~np.isfinite(x[start : start + step])
        if bad.any():
            row = start + int(np.argwhere(bad)[0][0])
            raise DataError(
                f"{name}: row {row} holds a NaN, or a number too large for float32; expected finite numbers. "
                "Leave such rows out before saving"
            )


def read_arrays(path: Path) -> dict[str, Arrays]:
    """Read the parts of an ``.npz`` file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to Arrays
        "train", and "valid" and "test" where the file has them; all with the same classes and shape.

    Raises
    ------
    DataError
        The file is no ``.npz``, is damaged, holds Python objects, or its arrays do not fit together.
    """
    with _opened(path) as content:
        parts = _parts(path, content)
    shapes = {part: arrays.shape for part, arrays in parts.items()}
    for part, shape in shapes.items():
        if shape != shapes["train"]:
            raise DataError(
                f"{path}: the rows of {part} have the shape {shape}, those of train {shapes['train']}; expected the same"
            )
    return parts


def _parts(path: Path, content: _Content) -> dict[str, Arrays]:
    """Read the arrays in the format that their names tell."""
    x_names = {part: _find(content, [f"x_{name}" for name in names]) for part, names in _PARTS.items()}
    if x_names["train"] is None and _find(content, ["x"]) is not None:
        x_names["train"] = _find(content, ["x"])
    if x_names["train"] is not None:
        return _labelled(path, content, {part: name for part, name in x_names.items() if name is not None})
    if _find(content, ["train"]) is not None:
        return _halves(path, content)
    found = _listed(content) or "nothing"
    raise DataError(f"{path} holds {found}; {_FORMATS}. Save them with numpy.savez(file, X=..., y=...)")


_ZIP, _NPY, _PICKLE = b"PK", b"\x93NUMPY", b"\x80"
"""How an .npz, an .npy and a pickle begin. NumPy takes any other file for a pickle, and says so."""

_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What zipfile and NumPy's reader of headers, a piece of Python's own syntax, raise at bytes that nobody meant."""

_UNPACKED, _MOST_RATIO = 1 << 28, 100
"""An array that takes more bytes than this, and so many times what it takes in the file, is a trap; features shrink tenfold."""


class _Content(Mapping[str, npt.NDArray[Any]]):
    """The arrays of an open file; each is read when it is asked for, and what goes wrong gets a reason."""

    def __init__(self, path: Path, file: np.lib.npyio.NpzFile) -> None:
        self.path, self._file = path, file

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        try:
            self._check_member(name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # a header that Python 2 wrote
                array: Any = self._file[name]
        except _DAMAGE as error:
            raise DataError(f"{self.path}: {_reason(error, f'the array {name}')}") from error
        if not isinstance(array, np.ndarray):
            raise DataError(f"{self.path}: {name} is no array; expected what numpy.savez writes")
        if not array.nbytes:
            raise DataError(f"{self.path}: {name} is empty (shape {array.shape} of {array.dtype}); expected at least one row")
        if array.dtype.kind == "U":
            codes = np.ascontiguousarray(array).reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
            if codes.max() > sys.maxunicode:  # NumPy makes a str of it all the same, at which Python breaks later
                raise DataError(f"{self.path}: the array {name} is damaged (letters beyond Unicode); expected text")
        return array

    def _check_member(self, name: str) -> None:
        """Refuse what NumPy does not write, before a byte of it is unpacked."""
        members = self._file.zip
        assert members is not None  # it is open
        member = members.getinfo(name if name in members.namelist() else f"{name}.npy")
        if member.flag_bits & 1:
            raise ValueError("it is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is compressed in a way that NumPy does not write")
        if member.file_size > max(_UNPACKED, _MOST_RATIO * member.compress_size):
            raise DataError(
                f"{self.path}: {name} takes {member.compress_size:,} bytes and would unpack to {member.file_size:,}, as traps "
                "for the memory do; if you know where it comes from, save it with numpy.savez, which does not compress"
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.files)

    def __len__(self) -> int:
        return len(self._file.files)


@contextmanager
def _opened(path: Path) -> Iterator[_Content]:
    """Open a file for as long as its arrays are read."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            start = file.read(len(_NPY))
            file.seek(0)
            if not start.startswith((_ZIP, _NPY, _PICKLE)):
                raise ValueError("it does not begin as one")
            found = np.load(file, allow_pickle=False)
        except _DAMAGE as error:
            raise DataError(f"{path}: {_reason(error, 'the file')}") from error
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds a single array without labels (.npy); {_FORMATS}. Save them with numpy.savez")
        yield _Content(path, stack.enter_context(found))


def _reason(error: BaseException, what: str) -> str:
    text = brief(error, 200)
    if isinstance(error, MemoryError):
        return f"{what} does not fit in memory ({text or 'no more is there'}); expected less, or it is damaged"
    if "allow_pickle" in text:
        return (
            f"{what} holds Python objects (pickle), which could run code when they are read; expected numbers or text. "
            "Save it as such: numpy.array(values, dtype=float), or dtype=str for names"
        )
    return f"{what} is damaged or no .npz ({text or type(error).__name__}); expected what numpy.savez writes"


def _find(content: _Content, names: Iterable[str]) -> str | None:
    """Return the array's name as the file spells it: ``X_train`` or ``x_train``."""
    spelt = {name.lower(): name for name in content}
    return next((spelt[name] for name in names if name in spelt), None)


def _names(path: Path, content: _Content) -> tuple[str, ...] | None:
    found = _find(content, _NAMES)
    if found is None:
        return None
    array = content[found]
    if array.ndim != 1 or array.dtype.kind not in "USiu":
        raise DataError(
            f"{path}: {found} has the shape {array.shape} of {array.dtype}; expected the classes' names, shape (classes,)"
        )
    names = tuple(_text(name) for name in array)
    if len(set(names)) < len(names) or "" in names:
        raise DataError(
            f"{path}: {found} holds a name twice, or an empty one ({_listed(names)}); expected one name for each class"
        )
    return names


def _listed(names: Iterable[str], most: int = 20) -> str:
    """Return names for a message."""
    known = list(names)
    return ", ".join(map(brief, known[:most])) + (", …" if len(known) > most else "")


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return unicodedata.normalize("NFC", text).strip()


def _numbers(path: Path, content: _Content, name: str) -> npt.NDArray[np.float32]:
    array = content[name]
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path}: {name} holds {array.dtype}; expected real numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array, dtype=np.float32, order="C")


def _halves(path: Path, content: _Content) -> dict[str, Arrays]:
    """Read the format whose first half of rows is one class and whose second half is the other."""
    classes = _names(path, content) or ("0", "1")
    if len(classes) != 2:
        raise DataError(
            f"{path} names {len(classes)} classes, but its arrays train and test hold two halves, of two classes; "
            "expected two names, or X_train with y_train"
        )
    parts = {}
    used = [name for name in [_find(content, _NAMES)] if name]
    for part, names in _PARTS.items():
        found = _find(content, names)
        if found is None:
            continue
        x = _numbers(path, content, found)
        rows = len(x) if x.ndim else 0
        if rows % 2:
            raise DataError(
                f"{path}: {found} has {rows} rows; expected an even number, the first half of one class and the second of "
                "the other. Save classes of unequal size as X_train with y_train"
            )
        parts[part] = Arrays(x, np.repeat(np.arange(2), rows // 2), classes, f"{path}: {found}")
        used.append(found)
    _tell_unused(path, content, used)
    return parts


def _labelled(path: Path, content: _Content, x_names: Mapping[str, str]) -> dict[str, Arrays]:
    """Read the format that gives the labels beside the rows."""
    labels = {}
    for part, x_name in x_names.items():
        y_name = _find(content, [x_name.lower().replace("x", "y", 1)])
        if y_name is None:
            raise DataError(
                f"{path} has {x_name} without its labels ({x_name.replace('X', 'y').replace('x', 'y')}); {_FORMATS}"
            )
        labels[part] = _plain_labels(path, y_name, content[y_name])
    names = _names(path, content)
    classes = names or _classes_of(path, labels.values())
    parts = {}
    used = {*x_names.values(), *(name for name in [_find(content, _NAMES)] if name)}
    for part, x_name in x_names.items():
        used.add(str(_find(content, [x_name.lower().replace("x", "y", 1)])))
        x = _numbers(path, content, x_name)
        y = labels[part]
        if x.ndim and len(x) != len(y):
            raise DataError(f"{path}: {x_name} has {len(x)} rows, but its labels are {len(y)}; expected one label a row")
        numbers = _positions(path, part, y, classes, named=names is not None)
        beside = _beside(path, content, (part, x_name), len(y), used)
        parts[part] = Arrays(x, numbers, classes, f"{path}: {x_name}", **beside, columns=_columns(content, x, used))
    _tell_unused(path, content, used)
    by = [_find(content, [name]) for name in _STANDARD]
    if parts["train"].columns and by[0] and by[1]:
        standard = told_by(parts["train"].x, content[by[0]], content[by[1]])
        parts = {part: replace(arrays, standard=standard) for part, arrays in parts.items()}
    return parts


def _columns(content: _Content, x: npt.NDArray[np.float32], used: set[str]) -> tuple[str, ...] | None:
    """Return the names of the columns, an array ``features`` of as many texts, and note that it was used."""
    name = _find(content, ["features"])
    if name is None or x.ndim != 2 or content[name].shape != x.shape[1:] or content[name].dtype.kind not in "US":
        return None
    names = tuple(_text(one) for one in content[name])
    if "" in names or len(set(names)) < len(names):
        return None
    used.add(name)
    return names


def _tell_unused(path: Path, content: _Content, used: Iterable[str]) -> None:
    """Name the arrays of a file that nothing reads: one that was meant to be groups would be missed in silence."""
    unused = [name for name in content if name not in used and name.lower() not in _STANDARD]
    if unused:
        logger.warning("%s: not used: %s (docs/data.md tells the names that are read)", path, _listed(unused))


def _beside(path: Path, content: _Content, of: tuple[str, str], rows: int, used: set[str]) -> dict[str, Any]:
    """Return the groups, paths and times of the rows of a part, as far as the file has them, and note which arrays these are.

    They are called as the rows are (``groups`` beside ``X``, ``groups_val`` beside ``X_val``), or by the part
    (``groups_train``, ``groups_valid``).
    """
    part, x_name = of

    def column(what: str, kinds: str, expected: str) -> npt.NDArray[Any] | None:
        like_rows = x_name.lower().replace("x", what, 1)
        name = _find(content, [like_rows, *(f"{what}_{spelt}" for spelt in _PARTS[part])])
        if name is None:
            return None
        used.add(name)
        array = content[name]
        if array.shape != (rows,) or array.dtype.kind not in kinds:
            raise DataError(
                f"{path}: {name} has the shape {array.shape} of {array.dtype}, beside {rows} rows of {x_name}; "
                f"expected {expected} for each row"
            )
        return array

    found: dict[str, Any] = {}
    groups = column("groups", "USiu", "a text or a whole number")
    if groups is not None:
        found["groups"] = tuple(normal_name(_text(group)) for group in groups)
    paths = column("paths", "US", "a text")
    if paths is not None:
        found["paths"] = tuple(os.fsdecode(one) for one in paths.tolist())
        start, end = column("start", "fiu", "seconds"), column("end", "fiu", "seconds")
        if start is not None and end is not None:
            found["times"] = np.stack([start, end], axis=1).astype(np.float64)
    return found


_Labels = npt.NDArray[np.int64] | npt.NDArray[np.str_]


def _plain_labels(path: Path, name: str, y: npt.NDArray[Any]) -> _Labels:
    """Return labels of any format as whole numbers or text, shape (rows,); one-hot rows as the position of their 1."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype.kind in "US":
        if y.ndim != 1:
            raise _odd_labels(path, name, y)
        return np.array([_text(value) for value in y], dtype=np.str_)
    if y.dtype.kind not in "fiub" or y.ndim not in (1, 2):
        raise _odd_labels(path, name, y)
    if y.ndim == 2:
        if not (np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()):
            raise DataError(
                f"{path}: {name} has the shape {y.shape}, but a row is not one-hot; expected one 1 among 0s in each row"
            )
        return np.asarray(y.argmax(axis=1), dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        whole = (np.abs(y.astype(np.float64)) < _LARGEST_LABEL) & (y == np.floor(y))
    if not whole.all():
        raise DataError(
            f"{path}: {name} holds numbers with fractions, or NaN, or beyond 2^53; expected whole numbers, one for each class"
        )
    return np.asarray(y, dtype=np.int64)


def _odd_labels(path: Path, name: str, y: npt.NDArray[Any]) -> DataError:
    return DataError(
        f"{path}: {name} has the shape {y.shape} of {y.dtype}; expected numbers or text of shape (rows,), or one-hot rows"
    )


def _classes_of(path: Path, labels: Iterable[_Labels]) -> tuple[str, ...]:
    """Return the values that occur in any part, sorted as numbers or as text."""
    columns = list(labels)
    kinds = {y.dtype.kind for y in columns}
    if len(kinds) > 1:
        raise DataError(f"{path}: the labels are numbers in one part and text in another; expected the same in all")
    classes = tuple(str(value) for value in np.unique(np.concatenate(columns)))
    if "" in classes:
        raise DataError(f"{path}: a label is an empty text; expected the name of a class in each row")
    return classes


def _positions(path: Path, part: str, y: _Labels, classes: tuple[str, ...], *, named: bool) -> npt.NDArray[np.int64]:
    """Return each label's position in the classes."""
    if named and y.dtype.kind != "U":
        numbers = y.astype(np.int64)
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < len(classes)):
            raise DataError(
                f"{path}: the labels of {part} run from {numbers.min()} to {numbers.max()}, "
                f"but {len(classes)} classes are named; expected 0 to {len(classes) - 1}"
            )
        return numbers
    values, inverse = np.unique(y, return_inverse=True)
    index = {name: position for position, name in enumerate(classes)}
    unknown = [str(value) for value in values if str(value) not in index]
    if unknown:
        raise DataError(
            f"{path}: the label {brief(unknown[0])!r} of {part} is not among the named classes ({_listed(classes)})"
        )
    return np.array([index[str(value)] for value in values], dtype=np.int64)[inverse]
