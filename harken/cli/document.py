"""The JSON document of ``harken predict --json``, printed piece by piece as files are answered, so that none of it is held.

The bytes are those of the whole document printed at once (``harken.files.json_bytes`` with two spaces). It is valid JSON when
the last file is answered, whichever files failed; where the command is stopped before, it is cut, and that is said.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import IO, Any

import click

from harken.cli.agreement import Agreement
from harken.cli.console import goes_on
from harken.files import json_bytes
from harken.journal import Shape
from harken.prediction import Prediction

_PIECE = 1 << 20  # bytes


class _Part:
    """One model's part: its name and classes, then its files one by one."""

    def __init__(
        self, write: Callable[[bytes], Any], model: str, classes: Sequence[str], note: dict[str, Any], margin: int = 0
    ) -> None:
        self._write, self._line = write, b"\n" + b" " * margin
        self.files = 0
        empty = json_bytes({"model": model, "classes": list(classes), **note, "files": []}, indent=2)
        self._put(empty.removesuffix(b"]\n}"))

    def add(self, file: dict[str, Any]) -> None:
        """Write one file's answer."""
        text = json_bytes(file, indent=2).replace(b"\n", b"\n    ")
        self._put((b"," if self.files else b"") + b"\n    " + text)
        self.files += 1

    def end_files(self) -> None:
        """Write the end of the list of files; the part's last bracket is still to come."""
        self._put(b"\n  ]" if self.files else b"]")

    def _put(self, text: bytes) -> None:
        self._write(text.replace(b"\n", self._line))


def print_document(
    rows: Iterable[tuple[Prediction, ...]],
    shape: Shape,
    paths: Sequence[str],
    top: int | None,
    notes: Sequence[dict[str, Any]] = (),
) -> None:
    """Print answers as one JSON document, each as it comes.

    Parameters
    ----------
    rows : iterable of tuple of Prediction
        The answers of all models for each file. Where they end with an error, it is said that the document is cut.
    shape : Shape
        The models, and whether each clip is shown.
    paths : sequence of str
        What the models are called.
    top : int, optional
        How many classes are shown.
    notes : sequence of dict
        What is said of each model beside its classes; none: nothing.
    """
    with ExitStack() as stack:
        parts: list[_Part] = []
        agreement = Agreement(len(paths))
        # The further models' parts stand behind all files of the first one: until then they wait on the disk.
        waiting: list[IO[bytes]] = [stack.enter_context(tempfile.TemporaryFile()) for _ in paths[1:]]

        def begin() -> None:
            writers: list[Callable[[bytes], Any]] = [_print, *(file.write for file in waiting)]
            for write, path, asked, note in zip(writers, paths, shape.models, notes or ({},) * len(paths), strict=True):
                parts.append(_Part(write, path, asked.classes, note, margin=4 if parts else 0))

        try:
            for row in rows:
                if not parts:  # not before: an error in all there is to name leaves nothing behind
                    begin()
                agreement.add(row)
                for part, answer, asked in zip(parts, row, shape.models, strict=True):
                    table = answer.to_table(asked.classes, timeline=shape.timeline, top=top, views=True)
                    part.add(table | ({"silent": True} if answer.silent else {}))
                goes_on(_cut(parts[0].files))
        except Exception:
            if parts:
                click.echo(f"harken: {_cut(parts[0].files)}", err=True)
            raise
        if not parts:
            begin()
        _end(parts, waiting, agreement.to_table(paths))
        goes_on("")


def _end(parts: Sequence[_Part], waiting: Sequence[IO[bytes]], agreement: list[dict[str, Any]]) -> None:
    for part in parts:
        part.end_files()
    for number, file in enumerate(waiting):
        _print(b",\n    " if number else b',\n  "also": [\n    ')
        file.seek(0)
        while piece := file.read(_PIECE):
            _print(piece)
        _print(b"\n    }")
    if waiting:
        told = json_bytes(agreement, indent=2).replace(b"\n", b"\n  ")
        _print(b'\n  ],\n  "agreement": ' + told)
    _print(b"\n}\n")


def _print(text: bytes) -> None:
    click.echo(text, nl=False)


def _cut(files: int) -> str:
    after = f"{files:,} file{'s' if files > 1 else ''}"
    return f"the JSON document is cut after {after} and cannot be read as it is; --out FILE.jsonl keeps what is done"
