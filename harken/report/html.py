"""The report: a run as one page for a browser, which opens anywhere without a network, can be listened to, and printed.

It is written from the files of the run alone (:mod:`harken.report.reading`): its figures are those of ``metrics.json``. What is
missing (no test predictions, no audio any more, an older run) is said in its place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harken.files import write_text
from harken.judge.text import count, number, short
from harken.leaky import PROTOCOLS
from harken.report import drawing, views, words
from harken.report.examples import SECONDS, Example, Left, endless, moved, telling, with_sound
from harken.report.page import SHADES, described, document, scrolling, table, text
from harken.report.reading import Reading
from harken.report.why import Why, whys

MOST_NUMBERED = 40
"""Classes up to which the confusion matrix is a table of numbers."""
MOST_DRAWN = 120
"""Classes up to which it is drawn at all; beyond, the commonest confusions are named."""
MOST_CONFUSIONS = 20
MOST_FAILED = 200
"""Failed files that are named; metrics.json names all."""
MOST_EPOCHS = 120
"""Epochs up to which their figures stand in a table too."""
LONGEST_REASON = 600

Section = tuple[str, str, str]
"""Its anchor, its heading, and its HTML."""


def write_report(reading: Reading, path: str | os.PathLike[str], left: Left = endless) -> None:
    """Write the report of a run (:func:`report`), atomically."""
    write_text(path, report(reading, left))


def report(reading: Reading, left: Left = endless) -> str:
    """Return the report of a run as HTML.

    Parameters
    ----------
    reading : Reading
        What :func:`harken.report.reading.read_run` returns.
    left : callable
        Returns the seconds that there still are for examples: where there are none, the rest of them is without sound and
        unexplained, and says so.
    """
    makers: tuple[tuple[str, str, Callable[[Reading], str]], ...] = (
        ("asked", "What was asked", _asked),
        ("figure", "The figure, and what it means", _figure),
        ("curves", "Learning curves", _curves),
        ("confusion", "Which classes are taken for which", _confusion),
        ("classes", "Class by class", _classes),
        ("calibration", "Whether the probabilities mean what they say", _calibration),
        ("leaks", "What a leaky split would have claimed", _leaks),
        ("examples", "Telling examples", lambda reading: _examples(reading, left)),
        ("failed", "Files that failed", _failed),
        ("repeat", "The recipe, and how to repeat this run", _repeat),
    )
    sections = [(anchor, heading, content) for anchor, heading, make in makers if (content := make(reading))]
    links = "".join(f'<li><a href="#{anchor}">{heading}</a></li>' for anchor, heading, _ in sections)
    title = f"{reading.recipe.get('name', 'A model')} on {words.data_name(reading)}"
    described_as = reading.recipe.get("title")
    body = (
        '<a class="skip" href="#figure">To the figure</a>\n'
        f"<header><h1>{text(title)}</h1>\n{_p(text(described_as)) if described_as else ''}</header>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n'
        + "\n".join(_section(*each) for each in sections)
        + "\n</main>"
    )
    return document(f"{title}: report", body)


def _section(anchor: str, heading: str, content: str) -> str:
    return f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{heading}</h2>\n{content}\n</section>'


def _p(html: str, kind: str = "") -> str:
    return f'<p class="{kind}">{html}</p>' if kind else f"<p>{html}</p>"


def _items(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{text(each)}</li>' for each in sentences)}</ul>" if sentences else ""


def _asked(reading: Reading) -> str:
    record = reading.record
    rows = [
        ("Data", f"<code>{text(record['data'])}</code>" if record.get("data") else "not known (run.json is missing)"),
        (
            "Judged on",
            f"<code>{text(record['test'])}</code>" if record.get("test") else text(words.judges(reading)),
        ),
        (
            "Classes",
            f"{len(reading.classes)}: {text(', '.join(map(short, reading.classes[:40])))}{' …' * (len(reading.classes) > 40)}",
        ),
        (
            "Kept together",
            text(record["grouping"]) if record.get("grouping") not in (None, "none") else "nothing: no groups are known",
        ),
        ("Parts", text("; ".join(words.parts(reading))) or "not known"),
        ("Recipe", f"{text(reading.recipe.get('name', 'not known'))}: {text(reading.recipe.get('title', ''))}"),
        ("Engine", text(words.engines(reading))),
        ("Seed", text(record.get("seed", reading.get("training", "seed")))),
        ("Begun", text(words.date(reading)) or "not known"),
    ]
    if reading.recipe.get("source"):
        rows.insert(6, ("Described in", text(reading.recipe["source"])))
    note = f"Not in the folder any more: {', '.join(reading.missing)}." if reading.missing else ""
    return described(rows, "What was learnt from what", "What was asked") + (_p(text(note), "warn") if note else "")


def _figure(reading: Reading) -> str:
    track, clip = reading.get("track", "accuracy") or {}, reading.get("clip", "accuracy") or {}
    low, high = track.get("low"), track.get("high")
    interval = f"95 % interval {low:.2f} to {high:.2f}" if low is not None and high is not None else "no interval"
    head = (
        f'<div class="panel"><p class="soft">Track accuracy</p>\n<p class="big" id="track-accuracy">'
        f"{_number(track.get('value'))}</p>\n"
        f"<p>{interval}</p></div>"
    )
    notices = "".join(_p(text(each), "warn") for each in words.warnings(reading))
    rows = [
        ("Track accuracy", *_cells(track)),
        ("Clip accuracy", *_cells(clip)),
    ]
    last = None if words.without_epochs(reading) else reading.get("last_epoch", "track", "accuracy")
    if isinstance(last, Mapping):
        rows.append(("The last epoch's model, tracks", *_cells(last)))
    rows += [(text(name), *_cells(found)) for name, found in trivial(reading)]
    figures = table(
        "The model, and what is reached without it", ("", "accuracy", "95 % interval", "judged"), rows, label="Accuracies"
    )
    loss = reading.get("log_loss")
    said = (
        f"A track's answer is the mean of its clips' probabilities. Their log-loss is {_number(loss)} nats (0 is perfect)."
        if isinstance(loss, int | float)
        else ""
    )
    record = reading.get("training")
    shares = views.rows(record)
    share = table(views.CAPTION, views.COLUMNS, [tuple(map(text, row)) for row in shares], label="Views") if shares else ""
    header, lines = views.by_class(record)
    if lines:
        share += table(
            views.CLASSES_CAPTION, tuple(map(text, header)), [tuple(map(text, row)) for row in lines], label="By class"
        )
    share += "".join(_p(text(each), "soft") for each in views.sentences(record))
    published = words.published(reading)
    remarks = reading.get("baseline", "trivial", "remarks")
    beside = "".join(_p(text(each)) for each in (remarks if isinstance(remarks, list) else ()))
    return (
        head
        + "".join(_p(text(each)) for each in words.meaning(reading))
        + notices
        + figures
        + beside
        + (_p(said, "soft") if said else "")
        + share
        + (_p(text(published), "soft") if published else "")
    )


def _number(value: Any) -> str:
    return number(value) if isinstance(value, int | float) else "-"


def _cells(found: Mapping[str, Any]) -> tuple[str, str, str]:
    low, high, judged = found.get("low"), found.get("high"), found.get("n")
    interval = f"{low:.2f} to {high:.2f}" if isinstance(low, int | float) and isinstance(high, int | float) else "-"
    return _number(found.get("value")), interval, f"{judged:,}" if isinstance(judged, int) else "-"


def trivial(reading: Reading) -> list[tuple[str, dict[str, Any]]]:
    """Return what is reached without listening: a name, and value, low, high and n as far as they are known."""
    baseline = reading.get("baseline") or {}
    figures = reading.get("baseline", "trivial", "figures")
    learnt = [(str(name), dict(each)) for name, each in figures.items()] if isinstance(figures, Mapping) else []
    found = [(f"{name[:1].upper()}{name[1:]} alone", each) for name, each in learnt if name != "majority"]
    if isinstance(baseline.get("majority"), int | float):
        rest = {key: dict(learnt).get("majority", {}).get(key) for key in ("low", "high", "n")}
        found.append(
            (f"Always answering '{short(str(baseline.get('majority_class')))}'", {**rest, "value": baseline["majority"]})
        )
    if isinstance(baseline.get("chance"), int | float):
        found.append(("Guessing", {"value": baseline["chance"]}))
    return found


def _curves(reading: Reading) -> str:
    if not reading.history:
        nets = views.epochs(reading.get("training"))
        if nets:
            alone = "Of the views of a stack no learning curves are kept; 'harken train' with a view's own recipe draws them."
            return _p(text(" ".join([*nets, alone])), "soft")
        if words.without_epochs(reading):
            return _p("This kind of recipe is fitted at once: there are no epochs, and no learning curves.", "soft")
        return _p("There is no history of epochs: the run holds figures alone.", "soft")
    best = reading.get("training", "best_epoch")
    names = (("loss", "loss"), ("clip_accuracy", "clip accuracy"))
    drawn = [drawing.curves(reading.history, quantity, name, best) for quantity, name in names]
    figures = "".join(f"<figure>{svg}</figure>" for svg in drawn if svg)
    kept = f" The dotted line marks epoch {text(best)}, whose weights were kept." if best else ""
    note = _p(f"Blue line: training. Orange, dashed: validation, on tracks not learnt from.{kept}")
    return note + f'<div class="grid plots">{figures}</div>' + _epochs(reading.history)


def _epochs(history: Sequence[Mapping[str, str]]) -> str:
    if len(history) > MOST_EPOCHS:
        return _p(f"The figures of all {len(history):,} epochs stand in history.csv.", "soft")
    columns = {
        "epoch": "epoch",
        "loss": "loss",
        "valid_loss": "validation loss",
        "clip_accuracy": "clip accuracy",
        "valid_clip_accuracy": "validation clip accuracy",
    }
    there = {column: name for column, name in columns.items() if any(row.get(column) for row in history)}
    rows = [[_short_number(row.get(column)) for column in there] for row in history]
    body = table("Each epoch's figures", list(there.values()), rows, label="Epochs")
    return f"<details><summary>The same as a table</summary>{body}</details>"


def _short_number(cell: str | None) -> str:
    try:
        return f"{float(cell or ''):.4g}"
    except ValueError:
        return text(cell or "-")


def _confusion(reading: Reading) -> str:
    matrix, classes = reading.metrics.get("confusion"), reading.classes
    if not isinstance(matrix, list) or not matrix:
        return ""
    commonest = words.confusions(reading, MOST_CONFUSIONS)
    right = sum(line[place] for place, line in enumerate(matrix))
    total = sum(map(sum, matrix))
    said = _p(f"{right:,} of {total:,} tracks are named rightly. A row for each label, a column for each answer.")
    shades = _p("Blue cells are right and orange ones wrong: the stronger, the larger the share of the row.", "soft")
    if len(classes) <= MOST_NUMBERED:
        return said + shades + _matrix(matrix, classes)
    rows = [(text(short(a)), text(short(b)), f"{times:,} of {of:,}") for a, b, times, of in commonest]
    named = table("The commonest confusions", ("label", "answer", "tracks"), rows, label="Commonest confusions") if rows else ""
    name = f"Confusion of {len(classes)} classes, {right} of {total} tracks on the diagonal"
    picture = drawing.confusion_overview(matrix, name) if len(classes) <= MOST_DRAWN else ""
    return said + (f'<figure class="overview">{picture}</figure>' if picture else "") + named


def _matrix(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    slim = len(classes) * max(len(short(name)) for name in classes) > 30
    head = "".join(f'<th scope="col"><span>{text(short(name))}</span></th>' for name in classes)
    lines = []
    for row, (name, line) in enumerate(zip(classes, matrix, strict=True)):
        cells = "".join(_cell(times, times / max(sum(line), 1), row == column) for column, times in enumerate(line))
        lines.append(f'<tr><th scope="row" class="name">{text(short(name))}</th>{cells}</tr>')
    caption = "Tracks by label and answer"
    return scrolling(
        f'<table class="matrix{" slim" if slim else ""}"><caption>{caption}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>",
        "Confusion matrix",
    )


def _cell(times: int, of_row: float, right: bool) -> str:
    if not times:
        return '<td class="soft">0</td>'
    step = max(3, round(SHADES * of_row**0.5))
    return f'<td class="{"r" if right else "w"}{step}">{times:,}</td>'


def _classes(reading: Reading) -> str:
    per_class = reading.metrics.get("per_class")
    if not isinstance(per_class, Mapping) or not per_class:
        return ""
    rows = []
    for name, each in per_class.items():
        learnt = reading.labels.get("train", {}).get(name)
        cells = (_number(each.get("precision")), _number(each.get("recall")), _number(each.get("f1")))
        rows.append((text(short(name)), *cells, f"{each.get('support') or 0:,}", "-" if learnt is None else f"{learnt:,}"))
    said = _p(
        "Precision: of the tracks that are given this name, the share that is right. Recall: of the tracks of this class, the "
        "share that is found. F1: their harmonic mean. Judged and learnt from: so many tracks."
    )
    macro = reading.get("macro_f1")
    if isinstance(macro, Mapping):
        said += _p(f"Macro-F1, the mean of the classes' F1: {text(words.figure(macro))}.")
    header = ("class", "precision", "recall", "F1", "judged", "learnt from")
    return said + table("Figures of each class", header, rows, kind="figures", label="Figures of each class")


def _calibration(reading: Reading) -> str:
    found = words.calibration(reading)
    if found is None:
        return ""
    bins = [each for each in found.get("reliability") or [] if isinstance(each, Mapping) and each.get("count")]
    parts = [
        _p(
            "Of the answers with a confidence of 0.8, about eight of ten should be right. On the dotted line they are; "
            "below it the model promises too much, above it too little. Larger dots: more tracks; lines: 95 % intervals."
        )
    ]
    if bins:
        parts.append(f'<figure class="overview">{drawing.reliability(bins)}</figure>')
    parts += [_p(text(each)) for each in words.confidence(reading)]
    parts.append(_scores(found))
    return "".join(parts)


def _scores(found: Mapping[str, Any]) -> str:
    columns = {"as the model gives them": found.get("raw"), "as they are shown": found.get("calibrated")}
    there = {name: each for name, each in columns.items() if isinstance(each, Mapping)}
    names = {
        "mean_confidence": "Mean confidence",
        "log_loss": "Log-loss, in nats",
        "brier": "Brier score, from 0 (best) to 2",
        "calibration_error": "Calibration error, corrected for chance",
    }
    rows = [
        (words_, *(_number(each.get(key)) for each in there.values()))
        for key, words_ in names.items()
        if any(isinstance(each.get(key), int | float) for each in there.values())
    ]
    chance = found.get("calibration_error_by_chance")
    if isinstance(chance, int | float) and rows:
        rows.append(("A calibrated model stays under", *[_number(chance)] * len(there)))
    return table("The probabilities of tracks", ("", *there), rows, label="Calibration") if rows else ""


def _leaks(reading: Reading) -> str:
    found = reading.leaks
    if not found:
        return ""
    rows = []
    for name in PROTOCOLS:
        under = found["splits"][name]
        if not under["same_as"]:
            cells = [cell for level in ("clip", "track") for cell in _cells(under[level]["accuracy"])[:2]]
            rows.append((text(under["title"]), *cells, text(under["means"])))
    another = words.of_another(reading)
    head = ("the split", "clip accuracy", "95 % interval", "track accuracy", "95 % interval", "what it asks for")
    of = f"Measured with {text(found['recipe'])} on {text(found['data'])}: trainings of their own, with equally many clips."
    return (
        (_p(text(another), "warn") if another else "")
        + _p(f"<strong>{text(found['verdict']['sentence'])}</strong>")
        + table("The same recipe under three splits", head, rows, kind="last", label="The leak meter")
        + _p(of, "soft")
        + _items(found["notes"])
    )


def _examples(reading: Reading, left: Left) -> str:
    examples = telling(reading.judged, reading.classes)
    if not examples:
        return _p("There are no predictions of single tracks in the run's folder, so no examples can be shown.", "soft")
    shown = with_sound(examples, reading.folder, left=left)
    silent = [each for each in shown if each.silent]
    intro = (
        "Of each class the right answers with the highest and the lowest confidence, and the wrong ones nearest to the "
        "boundary between label and answer and farthest from it. The sound is of the clip that speaks most for the answer; "
        f'of one longer than {SECONDS:g} s the place that "Why" shows is heard, where it shows one, else the beginning.'
    )
    notes = [_p(intro)]
    if silent and len(silent) == len(shown):
        notes.append(_p(f"None of them can be heard here: {text(silent[0].silent)}. Only their figures are shown.", "warn"))
    elif silent:
        notes.append(_p(f"{len(silent)} of {len(shown)} examples are without sound; each says why.", "soft"))
    reasons = whys(shown, reading, left)
    for place, why in reasons.of.items():
        shown[place] = shown[place] if why.clip is None else moved(shown[place], why.clip, reading.folder)
    if reasons.of:
        notes.append(
            _p(
                f"{len(reasons.of)} of them say why: what the clip's answer rests on, found by hiding parts of it and asking "
                "the model again (orange spoke for the answer, blue against it; odds are multiplied or divided by what is "
                "said). It tells what the model does, and not what the music is."
            )
        )
    notes += [_p(text(each), "soft") for each in reasons.left_out]
    blocks = []
    for name in dict.fromkeys(each.track.label for each in shown):
        cards = "".join(_card(each, reasons.of.get(place)) for place, each in enumerate(shown) if each.track.label == name)
        blocks.append(f'<h3>{text(name)}</h3>\n<div class="grid cards">{cards}</div>')
    return "".join(notes) + "\n".join(blocks)


def _why(why: Why | None) -> str:
    if why is None:
        return ""
    drawn = (
        f'<figure><img class="mel" src="{why.picture}" alt="Mel picture of {text(why.span)} with what spoke for the answer">'
        f"<figcaption>{text(why.span)}: orange for it, blue against it</figcaption></figure>"
        if why.picture
        else ""
    )
    return f"<details><summary>Why</summary>{drawn}{_items(why.sentences)}</details>"


def _card(example: Example, reason: Why | None = None) -> str:
    track = example.track
    why = example.why[0] if len(example.why) == 1 else f"{example.why[0]}, and {example.why[1].removeprefix('wrong, ')}"
    answer = f"The answer: <strong>{text(short(track.answer))}</strong>, {number(track.confidence, 2)}"
    if not track.right:
        answer += f" (the label, {text(short(track.label))}: {number(track.probabilities.get(track.label, 0.0), 2)})"
    parts = [f"<h4>{text(why[0].upper() + why[1:])}</h4>{_p(answer)}"]
    if example.sound and example.span:
        span = f"{example.span[0]:.1f} s to {example.span[1]:.1f} s"
        name = f"{track.label}, {why}: {span}"
        parts.append(
            f'<figure>{example.wave}<img class="mel" src="{example.picture}" alt="Mel picture of {span}: '
            f'time from left to right, low pitches below, loud is bright" width="225" height="64">'
            f"<figcaption>{span}</figcaption></figure>"
            f'<audio controls preload="none" src="{example.sound}" aria-label="{text(name)}"></audio>'
        )
    else:
        parts.append(_p(f"No sound: {text(example.silent)}.", "soft"))
    group = f" · {text(short(track.group))}" if track.group else ""
    return f'<article class="card">{"".join(parts)}{_why(reason)}<p class="file">{text(track.path)}{group}</p></article>'


def _failed(reading: Reading) -> str:
    failed = [each for each in reading.metrics.get("failed") or [] if isinstance(each, Mapping)]
    if not failed:
        return _p("None: every file could be heard.")
    rows = [(f"<code>{text(_cut(each.get('path')))}</code>", text(_cut(each.get("reason")))) for each in failed[:MOST_FAILED]]
    more = len(failed) - MOST_FAILED
    verb = "is" if len(failed) == 1 else "are"
    found = table(
        f"{count(len(failed), 'file')} could not be used and {verb} in no figure",
        ("file", "reason"),
        rows,
        kind="words",
        label="Files that failed",
    )
    return found + (_p(f"And {more:,} more, which metrics.json names.", "soft") if more > 0 else "")


def _cut(value: Any) -> str:
    told = str(value)
    return told if len(told) <= LONGEST_REASON else f"{told[:LONGEST_REASON]} …"


def _repeat(reading: Reading) -> str:
    parts = []
    line = words.command(reading)
    if line:
        parts += [
            _p("The same data, split, initial weights and order of clips:"),
            f'<pre tabindex="0">{text(line)}</pre>',
        ]
    else:
        parts.append(_p("run.json is missing, so the command cannot be told.", "warn"))
    if " then " in words.engines(reading):
        parts.append(
            _p(f"More than one engine trained it ({text(words.engines(reading))}): one training does not give the same bits.")
        )
    parts.append(_p(words.repeatable(reading, "On the same machine, with these versions and as many threads")))
    rows = [
        (text(name), f"<code>{text(value)}</code>")
        for name, value in {**words.versions(reading), **words.hashes(reading)}.items()
    ]
    if rows:
        parts.append(
            described(rows, "What the figures depend on, and how data, split and model are recognised", "Versions and hashes")
        )
    if reading.recipe_text:
        lines = "\n".join(text(each.expandtabs(4)) for each in reading.recipe_text.splitlines())
        parts.append(
            f'<details><summary>The recipe as it was used (recipe.toml)</summary><pre tabindex="0">{lines}</pre></details>'
        )
    return "".join(parts)
