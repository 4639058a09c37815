"""By what the rows of a table of features were standardised, where mean and deviation stand with them, and the way back.

``harken features --standardise`` keeps them: in an ``.npz`` as the arrays ``mean`` and ``deviation``, beside ``FILE.csv`` in
``FILE.standard.csv``. Such rows are not what a frontend gives; taken back, they are, but for the last digits of a float32.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from math import nan
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harken.errors import DataError, brief

_log = logging.getLogger("harken")

Floats = npt.NDArray[np.float32]
Figures = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Mean and deviation of each column."""


def beside(table: Path, columns: Sequence[str], x: Floats) -> Figures | None:
    """Return what stands beside a table of these columns in ``FILE.standard.csv``; None where nothing does, or they are raw.

    Raises
    ------
    DataError
        The file is there, and does not tell mean and deviation of each column.
    """
    path = table.with_name(f"{table.stem}.standard.csv")
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = {row.get("column") or "": row for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _other(table, path, brief(error, 200)) from error
    lacking = [name for name in columns if name not in rows]
    if lacking:
        raise _other(table, path, f"it lacks the column {brief(lacking[0])}")
    mean, deviation = (np.array([_number(rows[name].get(key)) for name in columns]) for key in ("mean", "deviation"))
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all() and (deviation > 0).all()):
        raise _other(table, path, "a mean or a deviation in it is no number, or a deviation is not above 0")
    found = told_by(x, mean, deviation)
    if found is None:
        _log.warning("%s is not used: the rows of %s are not standardised", path, table)
    return found


def told_by(x: Floats, mean: npt.NDArray[np.generic], deviation: npt.NDArray[np.generic]) -> Figures | None:
    """Return mean and deviation where rows (rows, columns) look as if they had been standardised by them, else None.

    Standardised columns are about 1 wide, raw ones about as wide as their deviation: figures of an older file are found out.
    """
    if mean.shape != x.shape[1:] or deviation.shape != mean.shape or {mean.dtype.kind, deviation.dtype.kind} - set("fiu"):
        return None
    figures = mean.astype(np.float64), deviation.astype(np.float64)
    if not (np.isfinite(figures).all() and (figures[1] > 0).all()):
        return None
    spread = x.std(axis=0, dtype=np.float64)
    wide = spread > 0
    if not wide.any():
        return None
    done, raw = (np.median(np.abs(np.log(ratio[wide]))) for ratio in (spread, spread / figures[1]))
    return figures if done < raw else None


def taken_back(x: Floats, figures: Figures) -> Floats:
    """Return rows as they were before they were standardised."""
    mean, deviation = figures
    return np.asarray(x * deviation + mean, dtype=np.float32)


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return nan


def _other(table: Path, path: Path, why: str) -> DataError:
    return DataError(
        f"{path} stands beside {table} and should tell the mean and the deviation that its columns were standardised by, but "
        f"{why}. Write the table again (harken features --standardise), or remove {path.name} if the table is not standardised"
    )
