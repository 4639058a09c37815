"""What a person looks at when a training has ended: the report, the model card, plots."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harken.run import Run

__all__ = ["Written", "write_reports"]


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes
    ----------
    report : Path
        The page.
    card : Path, optional
        The model card; None where it was not asked for.
    """

    report: Path
    card: Path | None


def write_reports(
    folder: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    leaks: str | os.PathLike[str] | None = None,
    left: Callable[[], float] | None = None,
) -> Written:
    """Write the report of a run, and its model card.

    Parameters
    ----------
    folder : path-like
        The run's.
    out : path-like, optional
        Where the page goes; then no card is written. Default: ``report.html`` in the run's folder, ``model-card.md`` beside it.
    leaks : path-like, optional
        What ``harken leaks`` wrote; default: ``leaks.json`` in the run's folder, where it is there.
    left : callable, optional
        Returns the seconds that a budget leaves for the examples and their explanations; default: as long as they take.

    Raises
    ------
    RunError
        The folder holds no finished run, or the file of ``leaks`` cannot be read.
    HarkenError
        A file cannot be written.
    """
    from harken.report.card import write_card  # noqa: PLC0415 - plots are drawn without all of this
    from harken.report.examples import endless  # noqa: PLC0415
    from harken.report.html import write_report  # noqa: PLC0415
    from harken.report.reading import read_run  # noqa: PLC0415

    run, reading = Run(folder), read_run(folder, leaks=leaks)
    page = run.report if out is None else Path(out)
    write_report(reading, page, left or endless)
    if out is None:
        write_card(reading, run.card)
    return Written(page, run.card if out is None else None)
