"""What ``harken predict`` says of files that a model has learnt from: a right answer to them is no test of it.

Files are known by what they hold, as :class:`harken.archive.TrainedOn` keeps it. Only the first are looked at: who shows a
model what it has learnt mostly shows it at once, and a collection of many thousands is not read a second time for a remark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from harken.audio import content_hash
from harken.decoders import shown
from harken.errors import HarkenError

if TYPE_CHECKING:
    from harken.classifier import Classifier

MOST = 200
"""Files that are looked at, the first."""


def tell_learnt(models: Mapping[str, Classifier], paths: Sequence[str]) -> None:
    """Say on standard error, in a line for each model, how many of the files it has learnt from.

    Parameters
    ----------
    models : mapping of str to Classifier
        By the names that are shown.
    paths : sequence of str
    """
    from harken.store.hashes import content_of

    learnt = {name: {content_of(held) for held in one.model.trained_on.tracks} for name, one in models.items()}
    if not any(learnt.values()):
        return
    different = dict.fromkeys(paths)
    held = list(_hashes(islice(different, MOST)))
    for name, known in learnt.items():
        many = sum(each in known for each in held)
        if many:
            click.echo(_sentence(many, len(different), shown(name) if len(models) > 1 else "the model"), err=True)


def _sentence(many: int, files: int, whose: str) -> str:
    seen = min(files, MOST)
    of = f"{many:,} of the {'first ' if files > seen else ''}{seen:,} files" if files > 1 else "the file"
    was, them = ("were", "them") if many > 1 else ("was", "it")
    return f"{of} {was} in the training or validation part of {whose}: a right answer to {them} says nothing about new music"


def _hashes(paths: Iterable[str]) -> Iterable[str]:
    """Yield the hashes of the files that can be read."""
    for path in paths:
        try:
            yield content_hash(path)
        except HarkenError:  # the answer to the file says why
            continue
