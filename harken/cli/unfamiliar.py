"""How ``harken predict`` asks its models: with their temperature or raw, and below which familiarity an answer is "unknown"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from harken.confidence import KEPT, Confidence, is_background
from harken.decoders import shown
from harken.errors import ModelError
from harken.prediction import Prediction

if TYPE_CHECKING:
    from harken.classifier import Classifier


@dataclass(frozen=True)
class Manner:
    """How models are asked.

    Attributes
    ----------
    raw : bool
        Leave their temperatures out.
    share : float, optional
        The share of known music that is kept; None: nothing is called unknown for being unfamiliar.
    least : tuple of (float or None)
        The familiarity that each model's answer needs.
    names : tuple of str
    known : tuple of Confidence
        The models' own.
    aligned : tuple of (dict or None)
        To what each was aligned (:func:`harken.align.alignment`).
    """

    raw: bool
    share: float | None
    least: tuple[float | None, ...]
    names: tuple[str, ...]
    known: tuple[Confidence, ...]
    aligned: tuple[dict[str, Any] | None, ...]

    @classmethod
    def asked(cls, models: Mapping[str, Classifier], *, raw: bool, unknown: bool, share: float | None) -> Manner:
        """Return the manner that the options ask for.

        Raises
        ------
        ModelError
            A model cannot tell what is unfamiliar, or not at this share.
        """
        from harken.align import alignment

        if share is not None and not unknown:
            raise click.UsageError("--unknown-share says how --unknown decides: give --unknown too, or leave it out")
        kept = (KEPT if share is None else share) if unknown else None
        known = tuple(one.model.confidence for one in models.values())
        least = tuple(
            None if kept is None else _threshold(name, one.model.confidence, kept, one.classes) for name, one in models.items()
        )
        return cls(raw, kept, least, tuple(models), known, tuple(alignment(one.model) for one in models.values()))

    @property
    def mark(self) -> str:
        """What a table's column 'model' says of it behind the hash, so that answers of two manners are not mixed."""
        return ("-raw" if self.raw else "") + (f"-unknown-{self.share:g}" if self.share is not None else "")

    def shown(self, row: Sequence[Prediction]) -> tuple[Prediction, ...]:
        """Return a file's answers as they are shown."""
        return tuple(answer.or_unknown(least) for answer, least in zip(row, self.least, strict=True))

    def notes(self) -> tuple[dict[str, Any], ...]:
        """Return what JSON says of each model beside its classes."""
        return tuple({} if aligned is None else {"aligned": aligned} for aligned in self.aligned)

    def tell(self) -> None:
        """Say on standard error which models are aligned, and what --unknown costs and brings, as far as that was measured."""
        for name, known, aligned in zip(self.names, self.known, self.aligned, strict=True):
            if aligned is not None:
                many = f"{aligned['tracks']:,} track{'' if aligned['tracks'] == 1 else 's'}"
                lacks = "; its probabilities are not calibrated" if known.temperature is None else ""
                click.echo(f"{shown(name)} was aligned to {many} of a collection, without their labels{lacks}.", err=True)
        if self.share is None:
            return
        for name, known in zip(self.names, self.known, strict=True):
            whose = f"{shown(name)}: " if len(self.names) > 1 else ""
            validation = "its" if known.folds else f"the {known.tracks}"
            click.echo(f"{whose}--unknown keeps {_percent(self.share)} of music like {validation} validation tracks.", err=True)
            if known.price is None:
                cure = "'harken unknown DATA --recipe NAME --into MODEL' leaves out one class at a time to tell"
                click.echo(f"{whose}How much of other music it recognises was not measured; {cure}.", err=True)
            else:
                click.echo(f"{whose}Measured for {_percent(known.price.share)}: {known.price.in_words()}.", err=True)


def _threshold(name: str, known: Confidence, share: float, classes: Sequence[str]) -> float:
    least = known.threshold(share)
    if least is not None:
        return least
    if known.known:
        most = len(known.known) / (len(known.known) + 1)
        raise ModelError(
            f"{shown(name)}: {len(known.known)} validation tracks cannot settle what keeps {_percent(share)} of known music; "
            f"ask for at most {int(1000 * most) / 10:g} % with --unknown-share"
        )
    reason = f" ({known.reason})" if known.reason else ""
    background = next(filter(is_background, classes), None)
    if background is not None:
        raise ModelError(
            f"{shown(name)} cannot tell what is unfamiliar by itself{reason}, but it has learnt a class {background!r}, and "
            "what it takes for that is called unknown anyway: leave --unknown out, or train it on more tracks"
        )
    raise ModelError(
        f"{shown(name)} cannot tell what is unfamiliar{reason}; train it on more tracks, or teach it a class named unknown"
    )


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
