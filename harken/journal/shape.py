"""What is written of a file's answers: one record, and what it looks like as rows of a table.

A record is what a line of JSON holds: ``path``, ``label``, ``probability``, ``probabilities``, ``timeline`` where asked for,
``clips`` (how many the answer rests on), ``error``, then ``size`` (bytes) and ``modified`` (nanoseconds since 1970) of the file
when it was heard, and ``model``, a short hash of the model's file. A table has a row a record, or a row a clip with the
timeline, and a column ``p_CLASS`` for each class. Where several models are asked, each has its own columns, headed
``NAME:label`` and so on; ``path``, ``start``, ``end``, ``size`` and ``modified`` stand once.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harken.errors import HarkenError, ModelError
from harken.prediction import Prediction

Stamp = tuple[int, int]
"""What a file was when it was heard: its size in bytes, and the time of its last change in nanoseconds since 1970."""

HASH_DIGITS = 12
"""Of a model's hash; 48 bits tell the models apart that one table could be about."""

ELSEWHERE = "Choose another FILE with --out"


@dataclass(frozen=True, slots=True)
class Asked:
    """A model whose answers are written.

    Attributes
    ----------
    prefix : str
        What its columns begin with: nothing where it is the only one, else ``NAME:``.
    classes : tuple of str
    model : str
        The short hash of its file (:func:`model_hash`).
    """

    prefix: str
    classes: tuple[str, ...]
    model: str = ""


def model_hash(path: str | os.PathLike[str]) -> str:
    """Return a short hash of a model file's bytes: the first digits of its SHA-256."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}); name a model that harken train wrote") from error


def stamp_of(path: str) -> Stamp | None:
    """Return what a file is now; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 - of many files
    except (OSError, ValueError):  # a name that holds a NUL is a ValueError
        return None
    return status.st_size, status.st_mtime_ns


def encoded(text: str) -> bytes:
    """Return text as it is written: UTF-8; of a file's name that is none, its bytes."""
    return text.encode("utf-8", sys.getfilesystemencodeerrors())


def decoded(content: bytes) -> str:
    """Return what :func:`encoded` made bytes of."""
    return content.decode("utf-8", sys.getfilesystemencodeerrors())


def csv_line(cells: Sequence[str]) -> str:
    r"""Return a line of CSV, ended by a line feed.

    Examples
    --------
    >>> csv_line(["a\rb", 'c"d', ""])
    '"a\rb","c""d",\n'
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(cells)  # quotes cells that hold either of the two
    return line.getvalue().removesuffix("\r\n") + "\n"


@dataclass(frozen=True)
class Shape:
    """What records and rows look like.

    Attributes
    ----------
    models : tuple of Asked
    timeline : bool
        A row a clip.
    """

    models: tuple[Asked, ...]
    timeline: bool = False

    @cached_property
    def answer_columns(self) -> list[str]:
        """The columns of a table of answers."""
        columns = ["path", *(["start", "end"] if self.timeline else [])]
        for asked in self.models:
            names = ["label", "probability", *(f"p_{name}" for name in asked.classes), "error"]
            columns += [asked.prefix + name for name in names]
        return columns

    @cached_property
    def columns(self) -> list[str]:
        """The columns of a table that can be gone on with: those of the answers, and what they were given for."""
        columns: list[str] = []
        for name in self.answer_columns:
            prefix = next((a.prefix for a in self.models if name == f"{a.prefix}error"), None)
            columns += [name] if prefix is None else [f"{prefix}clips", name]
        return [*columns, "size", "modified", *self.of_models("model")]

    @cached_property
    def keys(self) -> list[str]:
        """The keys of a record."""
        names = ["label", "probability", "probabilities", *(["timeline"] if self.timeline else []), "clips", "error"]
        answers = [asked.prefix + name for asked in self.models for name in names]
        return ["path", *answers, "size", "modified", *self.of_models("model")]

    def of_models(self, column: str) -> list[str]:
        """Return a column's name for each model."""
        return [asked.prefix + column for asked in self.models]

    def record(self, answers: Sequence[Prediction], stamp: Stamp | None = None) -> dict[str, Any]:
        """Return the record of a file.

        Parameters
        ----------
        answers : sequence of Prediction
            Each model's, for the same file.
        stamp : Stamp, optional
            What the file was.
        """
        record: dict[str, Any] = {"path": answers[0].path}
        for asked, answer in zip(self.models, answers, strict=True):
            table = answer.to_table(asked.classes, timeline=self.timeline)
            del table["path"]
            error = table.pop("error")
            probability = None if error is not None else answer.probability
            table = {"label": table.pop("label"), "probability": probability, **table, "clips": len(answer.timeline)}
            record |= {asked.prefix + key: value for key, value in (table | {"error": error}).items()}
        record["size"], record["modified"] = stamp or (None, None)
        return record | {f"{asked.prefix}model": asked.model for asked in self.models}

    def rows(self, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a record's rows; a column that a row has nothing for is not in it."""
        common = {key: record[key] for key in ("path", "size", "modified", *self.of_models("model"))}
        if not self.timeline:
            yield common | {key: value for asked in self.models for key, value in _cells(asked, record, record).items()}
            return
        for asked in self.models:
            p = asked.prefix
            if record[f"{p}error"] is not None:
                yield common | _cells(asked, record, record)
            for moment in record[f"{p}timeline"]:
                heard = {p + key: moment[key] for key in ("label", "probabilities")}
                heard[f"{p}probability"] = max(moment["probabilities"].values())
                yield common | {"start": moment["start"], "end": moment["end"]} | _cells(asked, record, heard)

    def refuse_other(self, where: str, found: Sequence[str], expected: Sequence[str]) -> None:
        """Raise where the columns or keys of a file are not the expected ones, with what differs and the cure."""
        if list(found) == list(expected):
            return
        theirs = [name.removesuffix("model") for name in found if name == "model" or name.endswith(":model")]
        if not {"path", "size", "modified"} <= set(found) or not theirs:
            raise HarkenError(f"{where} was not written by harken predict --out, and is left as it is. {ELSEWHERE}")
        if theirs != [asked.prefix for asked in self.models]:
            asked_for = _named([asked.prefix for asked in self.models])
            raise HarkenError(
                f"{where} holds the answers of {_named(theirs)}, and this call asks {asked_for}. Ask the same models with "
                f"--also as then, in the same order. {ELSEWHERE}"
            )
        by_clip = any(name == "start" or name.rpartition(":")[2] == "timeline" for name in found)
        if by_clip != self.timeline:
            cure = "Give --timeline" if by_clip else "Leave --timeline out"
            kind = "with its clips (--timeline)" if by_clip else "without its clips"
            raise HarkenError(f"{where} holds each file {kind}, and this call asks for the other. {cure}. {ELSEWHERE}")
        odd = [*(name for name in found if name not in expected), *(name for name in expected if name not in found)]
        classes = "classes" if any("p_" in name for name in odd) else "columns"
        raise HarkenError(
            f"{where} has other {classes} than this call would write ({', '.join(odd[:5]) or 'in another order'}"
            f"{', …' if len(odd) > 5 else ''}): it was made with another model. {ELSEWHERE}"
        )

    def refuse_model(self, where: str, models: Sequence[Any]) -> None:
        """Raise where the hashes of models that stand in a file are not those of the models that are asked."""
        for asked, found in zip(self.models, models, strict=True):
            if found != asked.model:
                name = f" {asked.prefix.removesuffix(':')}" if asked.prefix else ""
                raise HarkenError(
                    f"{where} holds answers of another model{name} ({found or 'nothing'}) than the one that is asked "
                    f"({asked.model}). Name the model that it was made with. {ELSEWHERE}"
                )


def _named(prefixes: Sequence[str]) -> str:
    return " and ".join(prefix.removesuffix(":") for prefix in prefixes) if len(prefixes) > 1 else "one model"


def _cells(asked: Asked, record: Mapping[str, Any], heard: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's part of a row: ``heard`` is the record, or a clip of it."""
    p = asked.prefix
    cells = {p + name: heard[p + name] for name in ("label", "probability")}
    cells |= {f"{p}p_{name}": heard[f"{p}probabilities"].get(name) for name in asked.classes}
    return cells | {p + name: record[p + name] for name in ("clips", "error")}


def as_csv(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return a row as a line of CSV: probabilities with six digits, seconds with three, nothing for what it has not."""
    return csv_line([_text(column, row.get(column)) for column in columns])


def _text(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column in {"start", "end"}:
        return f"{value:.3f}"
    return f"{value:.6f}" if isinstance(value, float) else str(value)
