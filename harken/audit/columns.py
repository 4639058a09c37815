"""Columns: which of a table of predictions names the track, which the answer, and which hold probabilities.

Names count in any case, with spaces and hyphens as underscores. Probabilities stand in a column for each class, called as the
class or with ``p_``, ``prob_``, ``proba_``, ``probability_``, ``score_`` or ``class_`` before it, or ``_prob``, ``_proba``,
``_probability`` or ``_score`` behind it; of two classes one column is enough. Else a predicted label stands in one column,
perhaps with a confidence. Where a tool numbers the classes, 0 is the first in alphabetical order, and a note says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harken.audio import AUDIO_SUFFIXES
from harken.audit.reading import Table
from harken.datasets.grouping import class_name
from harken.errors import DataError, brief

PATHS = (
    "path", "file", "filename", "file_name", "filepath", "file_path", "track", "track_path", "audio", "wav", "uri", "key", "id",
    "track_id", "name",
)  # fmt: skip
ANSWERS = (
    "answer", "prediction", "predicted", "predicted_label", "predicted_class", "prediction_label", "pred", "pred_label",
    "label_pred", "y_pred", "y_hat", "output", "label", "class",
)  # fmt: skip
CONFIDENCES = ("confidence", "probability", "prob", "score", "conf", "p")
TRUTHS = ("true_label", "label_true", "truth", "y_true", "target", "actual", "ground_truth", "true", "reference")
_PATTERNS = (
    "p_{}", "{}", "prob_{}", "proba_{}", "probability_{}", "score_{}", "class_{}", "p({})", "{}_prob", "{}_proba",
    "{}_probability", "{}_score",
)  # fmt: skip
_OTHERS = {
    "", "start", "end", "fold", "repeat", "seed", "run", "size", "modified", "clips", "index", "row", "level", "artist",
    "group", "tune", "instrument", "speaker", "duration", "clip", "error", "model", "recipe", "timeline", "unnamed:_0",
    "label", "title",
}  # fmt: skip
_CLOSE, _FAIR = 1e-3, 0.02
"""How far a row's sum may lie from 1 to count as rounded, and to be worth no word."""
_SHOWN = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a table of predictions says, row by row.

    Attributes
    ----------
    keys : tuple of str
        What each row is about.
    starts : tuple of (float or None)
        Seconds, where the table has them.
    classes : tuple of str
        Those of the data, then those that only the predictions know.
    probabilities : ndarray of float64, shape (rows, classes)
        Rows that sum to 1; 1 for the predicted label where there are no probabilities; NaN for a row without an answer.
    confidences : ndarray of float64, shape (rows,), optional
        Beside predicted labels.
    labels_only : bool
        There are no probabilities.
    source : str
        Which columns were read, in words.
    notes : tuple of str
        What its reader should know, in whole sentences.
    of_labels : bool
        The predicted labels stand in a column called "label" or "class", which might as well be the truth.
    """

    keys: tuple[str, ...]
    starts: tuple[float | None, ...]
    classes: tuple[str, ...]
    probabilities: Floats
    confidences: Floats | None
    labels_only: bool
    source: str
    notes: tuple[str, ...]
    of_labels: bool = False


def answers_of(table: Table, classes: Sequence[str]) -> Answers:
    """Find the columns of a table, and read them.

    Parameters
    ----------
    table : Table
    classes : sequence of str
        Of the data.

    Raises
    ------
    DataError
        A column is missing or ambiguous; a cell holds no number, or probabilities that are none.
    """
    names = [_normal(name) for name in table.header]
    at = _path_column(table, names)
    keys = table.column(at)
    empty = [line for line, key in zip(table.lines, keys, strict=True) if not key]
    if empty:
        raise DataError(f"{table.path}: {_rows(empty)} without a {table.header[at]}. Complete or remove them")
    start = names.index("start") if "start" in names else None
    starts = tuple(None if start is None else _second(row[start]) for row in table.rows)
    found = _class_columns(table, names, tuple(classes), at)
    if found is not None:
        columns, every, notes = found
        rows, more = _probabilities(table, columns, len(every))
        shown = f"probabilities of {len(every)} classes ({_listed([table.header[one] for one in columns])})"
        return Answers(tuple(keys), starts, every, rows, None, False, f"{table.header[at]}; {shown}", (*notes, *more))
    return _of_labels(table, names, tuple(classes), (at, tuple(keys), starts))


def truth_column(table: Table) -> int | None:
    """Return the column of true labels; "label" is one where an "answer" stands beside it, as in Harken's own tables."""
    names = [_normal(name) for name in table.header]
    if "answer" in names and "label" in names:
        return names.index("label")
    return next((names.index(name) for name in TRUTHS if name in names), None)


# ---- which columns


def _path_column(table: Table, names: list[str]) -> int:
    for name in PATHS:
        if name in names:
            return names.index(name)
    audio = [at for at in range(len(names)) if _is_audio(table.column(at))]
    if len(audio) == 1:
        return audio[0]
    raise DataError(
        f"{table.path} has no column that says which track a row is about (its columns: {_listed(table.header)}); expected one "
        "called path, file, filename or track_id: rename the one that it is"
    )


def _is_audio(cells: Sequence[str]) -> bool:
    endings = [cell.rpartition(".")[2].lower() for cell in cells]
    return sum(f".{ending}" in AUDIO_SUFFIXES for ending in endings) > len(cells) / 2


def _class_columns(
    table: Table, names: list[str], classes: tuple[str, ...], path: int
) -> tuple[list[int], tuple[str, ...], list[str]] | None:
    """Return the columns of probabilities, the classes that they are of, and notes; None where there are none."""
    numbered = tuple(str(place) for place in range(len(classes)))
    for called in (classes, numbered):
        for pattern in _PATTERNS:
            wanted = [_normal(pattern.format(name)) for name in called]
            there = [name for name in wanted if name in names and names.index(name) != path]
            if not there or (len(there) < len(called) and not _is_fraction(table, names.index(there[0]))):
                continue
            notes = [] if called is classes else [_numbering(classes)]
            if len(there) == len(called):
                columns = [names.index(name) for name in wanted]
                extra, every = _further(table, names, pattern, columns, classes)
                if len(every) > len(classes):
                    notes.append(f"The predictions know classes that the data have not: {_listed(every[len(classes) :])}.")
                return columns + extra, every, notes
            if len(called) == 2:
                return _one_of_two(table, names, wanted, classes, notes)
            missing = [name for name, column in zip(called, wanted, strict=True) if column not in names]
            raise DataError(
                f"{table.path} has no probabilities of the class{'es' * (len(missing) > 1)} {_listed(missing)}, but of "
                f"{len(there)} others (its columns: {_listed(table.header)}); expected a column for each of the "
                f"{len(called)} classes; to judge only those that it knows: --classes"
            )
    return None


def _one_of_two(
    table: Table, names: list[str], wanted: list[str], classes: tuple[str, ...], notes: list[str]
) -> tuple[list[int], tuple[str, ...], list[str]]:
    """Return the one column that a sigmoid gives, as -1 the other class's."""
    columns = [names.index(name) if name in names else -1 for name in wanted]
    here = columns[0] if columns[0] >= 0 else columns[1]
    other = classes[columns.index(-1)]
    return columns, classes, [*notes, f"The probability of '{other}' is 1 less '{table.header[here]}'."]


def _further(
    table: Table, names: list[str], pattern: str, columns: list[int], classes: tuple[str, ...]
) -> tuple[list[int], tuple[str, ...]]:
    """Return the columns of classes that the data have not, and all classes."""
    before, _, behind = pattern.partition("{}")
    extra = []
    for at, name in enumerate(names):
        inner = name[len(before) : len(name) - len(behind) or None]
        fits = name.startswith(before) and name.endswith(behind) and inner
        known = at in columns or name in _OTHERS or name in (*PATHS, *ANSWERS, *CONFIDENCES, *TRUTHS)
        if fits and not known and _is_fraction(table, at):
            extra.append(at)
    if extra and pattern == "{}":
        sums = np.array([[_number(row[at]) for at in (*columns, *extra)] for row in table.rows])
        whole = np.abs(np.nansum(sums, axis=1) - 1) < _FAIR
        extra = extra if whole.mean() > 0.9 and (np.abs(np.nansum(sums[:, : len(columns)], axis=1) - 1) > _FAIR).any() else []
    own = [table.header[at][len(before) : len(table.header[at]) - len(behind) or None] for at in extra]
    return extra, (*classes, *(class_name(name) for name in own))


def _is_fraction(table: Table, at: int) -> bool:
    """Tell whether a column holds numbers, and nothing else but gaps."""
    cells = [cell for cell in table.column(at) if cell]
    return bool(cells) and not any(math.isnan(_number(cell)) and cell.lower() != "nan" for cell in cells)


# ---- what they hold


def _probabilities(table: Table, columns: list[int], classes: int) -> tuple[Floats, list[str]]:
    """Return the rows of probabilities, made to sum to 1, and what had to be done to them."""
    rows = np.full((len(table.rows), classes), np.nan)
    bad: list[int] = []
    for place, (line, row) in enumerate(zip(table.lines, table.rows, strict=True)):
        cells = [row[at] if at >= 0 else "" for at in columns]
        rows[place] = [_number(cell) for cell in cells]
        if any(math.isnan(value) and cell and cell.lower() != "nan" for value, cell in zip(rows[place], cells, strict=True)):
            bad.append(line)
    if bad:
        raise DataError(f"{table.path}: {_rows(bad)} that hold no numbers where probabilities should be; expected 0 to 1")
    if -1 in columns:
        rows[:, columns.index(-1)] = 1 - rows[:, 1 - columns.index(-1)]
    return _normalised(table, rows)


def _normalised(table: Table, rows: Floats) -> tuple[Floats, list[str]]:
    notes: list[str] = []
    answered = ~np.isnan(rows).any(axis=1)
    partial = int((np.isnan(rows).any(axis=1) & ~np.isnan(rows).all(axis=1)).sum())
    if partial:
        notes.append(f"{partial:,} rows lack the probability of some class, and count as without an answer.")
    rows[~answered] = np.nan
    sums = rows.sum(axis=1)
    if answered.any() and bool((np.abs(sums[answered] / 100 - 1) < _FAIR).all()) and np.nanmax(rows) > 1:
        rows, sums = rows / 100, sums / 100
        notes.append("The probabilities are percentages.")
    odd = answered & ((np.nan_to_num(rows) < 0).any(axis=1) | (np.nan_to_num(rows) > 1 + _CLOSE).any(axis=1) | ~(sums > 0))
    odd |= np.isinf(rows).any(axis=1)
    if odd.any():
        line, first = table.lines[int(odd.argmax())], rows[int(odd.argmax())]
        values = ", ".join(f"{value:g}" for value in first[:_SHOWN])
        raise DataError(
            f"{table.path}: {int(odd.sum()):,} of {len(rows):,} rows hold no probabilities (line {line}: {values}); expected "
            "numbers from 0 to 1 that sum to 1. Scores of another kind (logits) must go through a softmax first"
        )
    off = answered & (np.abs(sums - 1) > _FAIR)
    if off.any():
        low, high = float(sums[answered].min()), float(sums[answered].max())
        notes.append(
            f"The probabilities of {int(off.sum()):,} of {len(rows):,} rows do not sum to 1 (they sum to {low:.2f} to "
            f"{high:.2f}); each row was divided by its sum, and calibration is that of the result."
        )
    with np.errstate(invalid="ignore"):
        return rows / sums[:, None], notes


def _of_labels(
    table: Table, names: list[str], classes: tuple[str, ...], read: tuple[int, tuple[str, ...], tuple[float | None, ...]]
) -> Answers:
    """Read predicted labels, one a row, perhaps with a confidence."""
    path, keys, starts = read
    at = next((names.index(name) for name in ANSWERS if name in names and names.index(name) != path), None)
    if at is None:
        raise DataError(
            f"{table.path} has neither a probability for each class ({_listed(classes)}) nor a predicted label; expected "
            f"columns called as the classes, or p_NAME, or one called prediction (its columns: {_listed(table.header)})"
        )
    said = [class_name(cell) for cell in table.column(at)]
    notes = ["There are predicted labels only: without a probability for each class there is no log-loss and no Brier score."]
    doubtful = table.header[at].casefold() in ("label", "class")
    if doubtful:
        notes.append(f"The column '{table.header[at]}' was taken for the predicted label.")
    filled = {name for name in said if name}
    if filled and not filled & set(classes):
        said, note = _numbered(table, said, classes, table.header[at])
        notes.append(note)
    every = (*classes, *sorted({name for name in said if name} - set(classes)))
    if len(every) > len(classes):
        notes.append(f"The predictions name classes that the data have not: {_listed(every[len(classes) :])}.")
    index = {name: place for place, name in enumerate(every)}
    rows = np.full((len(said), len(every)), np.nan)
    for place, name in enumerate(said):
        if name:
            rows[place] = 0.0
            rows[place, index[name]] = 1.0
    sure, confidences = _confidences(table, names, {path, at})
    return Answers(
        keys, starts, every, rows, confidences, True, f"{table.header[path]}; predicted label ({table.header[at]}){sure}",
        tuple(notes), doubtful,
    )  # fmt: skip


def _numbered(table: Table, said: list[str], classes: tuple[str, ...], column: str) -> tuple[list[str], str]:
    """Return the names of numbered classes; raises where they are neither names nor numbers of classes."""
    values = {name: _number(name) for name in set(said) if name}
    if all(value.is_integer() and 0 <= value < len(classes) for value in values.values()):
        return [classes[int(values[name])] if name else "" for name in said], _numbering(classes)
    raise DataError(
        f"{table.path}: not one label in the column {column!r} is a class of the data: {_listed(sorted(values))}; expected "
        f"{_listed(classes)}. Rename them, or name the right column prediction"
    )


def _numbering(classes: tuple[str, ...]) -> str:
    shown = ", ".join(f"{place} {name}" for place, name in enumerate(classes[:10]))
    return f"Classes are numbered; they were taken in alphabetical order ({shown}{', …' if len(classes) > 10 else ''})."


def _confidences(table: Table, names: list[str], taken: set[int]) -> tuple[str, Floats | None]:
    for name in CONFIDENCES:
        if name in names and names.index(name) not in taken and _is_fraction(table, names.index(name)):
            values = np.array([_number(cell) for cell in table.column(names.index(name))])
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if low < 0 or high > 1 + _CLOSE:
                raise DataError(
                    f"{table.path}: {table.header[names.index(name)]} reaches from {low:g} to {high:g}; expected a confidence "
                    "from 0 to 1"
                )
            return f" and confidence ({table.header[names.index(name)]})", values
    return "", None


# ---- words and cells


def _normal(name: str) -> str:
    return "_".join(class_name(name).casefold().replace("-", " ").replace("_", " ").split())


def _number(cell: str) -> float:
    try:
        return float(cell.replace(",", ".")) if cell else math.nan
    except ValueError:
        return math.nan


def _second(cell: str) -> float | None:
    value = _number(cell)
    return None if math.isnan(value) else value


def _rows(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:_SHOWN])) + (", …" if len(lines) > _SHOWN else "")
    return f"{len(lines):,} row{'s' * (len(lines) > 1)} (line {shown})"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(brief(name, 40) for name in names[:12])
    return shown + (f" and {len(names) - 12:,} more" if len(names) > 12 else "")
