"""The model card: what a model is, what it is for, how well it does it and what limits it, as Markdown beside the model.

The sections are those of M. Mitchell and others, "Model cards for model reporting" (2019), under the headings that Hugging Face
uses. Only what Harken knows is said: from ``metrics.json``, ``run.json``, the recipe, and what is known of a dataset. What only
its maker can know (who may be harmed, who pays) is left out, and not guessed at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harken.files import write_text
from harken.judge.text import count, number
from harken.report import views, words
from harken.report.html import trivial
from harken.report.page import visible
from harken.report.reading import Reading

_SPECIAL = "\\`*_[]#|<>&~$"
"""What Markdown or the HTML within it could take for its own."""
MOST_CONFUSIONS = 5
MOST_CLASSES = 200
"""Classes that are named one by one."""


def write_card(reading: Reading, path: str | os.PathLike[str]) -> None:
    """Write the model card of a run (:func:`card`), atomically."""
    write_text(path, card(reading))


def card(reading: Reading) -> str:
    """Return the model card of a run as Markdown.

    Parameters
    ----------
    reading : Reading
        What :func:`harken.report.reading.read_run` returns.
    """
    name = str(reading.recipe.get("name", "model"))
    sections = (
        ("Model details", _details(reading)),
        ("Intended use", _intended(reading)),
        ("Out-of-scope use", _out_of_scope(reading)),
        ("Training data", _data(reading)),
        ("Training procedure", _procedure(reading)),
        ("Evaluation", _evaluation(reading)),
        ("Class by class", _classes(reading)),
        ("Limitations", _bullets([*words.warnings(reading), *words.limitations(reading)])),
        ("How to repeat it", _repeat(reading)),
    )
    told = [f"## {heading}\n\n{content}" for heading, content in sections if content]
    return "\n\n".join([_front(reading), f"# {md(f'{name} on {words.data_name(reading)}')}", *told]) + "\n"


def md(value: object) -> str:
    r"""Return any text as Markdown shows it: on one line, nothing in it a sign of Markdown's or HTML's.

    Examples
    --------
    >>> print(md("<b>a_b|c</b>"))
    &lt;b&gt;a\_b\|c&lt;/b&gt;
    """
    named = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
    return "".join(named.get(sign, f"\\{sign}" if sign in _SPECIAL else sign) for sign in visible(value))


def code(value: object) -> str:
    """Return any text as code on one line."""
    told = visible(value)
    fence = "`" * (1 + max((len(run) for run in _runs(told)), default=0))
    space = " " if told.startswith("`") or told.endswith("`") else ""
    return f"{fence}{space}{told}{space}{fence}"


def _runs(told: str) -> list[str]:
    """Return the runs of back quotes in a text."""
    return [run for run in "".join(sign if sign == "`" else " " for sign in told).split() if run]


def _bullets(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {md(each)}" for each in sentences)


def _named(rows: Iterable[tuple[str, Any]]) -> str:
    """Return "- **Name:** value" lines for those that are known; the values are Markdown."""
    return "\n".join(f"- **{name}:** {value}" for name, value in rows if value not in (None, ""))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _front(reading: Reading) -> str:
    """Return the front matter that Hugging Face reads: JSON values, which YAML takes as they are."""
    track = reading.get("track", "accuracy", "value")
    tags = ["audio", "music", "audio-classification", "harken"]
    lines = ["library_name: harken", "pipeline_tag: audio-classification", f"tags: {json.dumps(tags)}"]
    if isinstance(track, int | float):
        dataset = {"type": "audio", "name": visible(words.data_name(reading))}
        metric = {"type": "accuracy", "name": "track accuracy", "value": track}
        task = {"type": "audio-classification"}
        model = {"name": visible(reading.recipe.get("name", "model"))}
        index = [{**model, "results": [{"task": task, "dataset": dataset, "metrics": [metric]}]}]
        lines += [f"model-index: {json.dumps(index)}"]
    return "\n".join(["---", *lines, "---"])


def _details(reading: Reading) -> str:
    recipe = reading.recipe
    size = f"{reading.model_bytes:,} bytes, SHA-256 `{reading.model_hash}`" if reading.model_hash else ""
    same_classes = recipe.get("parameters_classes", 2) == len(reading.classes)
    parameters = recipe.get("parameters") if same_classes else None
    names = ", ".join(md(name) for name in reading.classes[:MOST_CLASSES])
    return _named(
        [
            ("What it is", md(recipe.get("title", ""))),
            ("Recipe", code(recipe["name"]) if recipe.get("name") else ""),
            ("Described in", md(recipe.get("source", ""))),
            ("Classes", f"{len(reading.classes):,}: {names}{' …' if len(reading.classes) > MOST_CLASSES else ''}"),
            ("Parameters", f"{parameters:,}" if isinstance(parameters, int) else ""),
            ("Trained", md(words.date(reading))),
            ("Trained with", md(_with(reading))),
            ("File", f"`model.harken`, {size}" if size else ""),
        ]
    )


def _with(reading: Reading) -> str:
    harken = words.versions(reading).get("Harken")
    return f"{f'Harken {harken}, ' if harken else ''}engine {words.engines(reading)}"


def _intended(reading: Reading) -> str:
    names = ", ".join(md(name) for name in reading.classes[:MOST_CLASSES])
    first = f"It names a piece of music as one of these classes: {names}, with a probability for each."
    return "\n\n".join([first, *map(md, words.heard(reading)), "`harken predict model.harken FILE…` names files."])


def _out_of_scope(reading: Reading) -> str:
    return _bullets(
        [
            "Music that belongs to none of the classes: it is given one of their names all the same.",
            "Music unlike what it learnt from (see the training data): nothing was measured on it.",
        ]
    )


def _data(reading: Reading) -> str:
    facts, record = words.known(reading), reading.record
    learnt = reading.labels.get("train", {})
    grouping = record.get("grouping")
    rows: list[tuple[str, Any]] = [("Data", code(record["data"]) if record.get("data") else "")]
    if facts:
        rows += [
            ("Dataset", md(facts.title)),
            ("Used here", md(words.used(reading))),
            ("Size as published", md(facts.size)),
            ("Licence", md(facts.licence)),
            ("Citation", md(facts.citation)),
            ("Home", md(facts.home)),
        ]
    rows += [
        ("Tracks", md("; ".join(words.parts(reading)))),
        ("Kept together", "nothing: no groups are known" if grouping == "none" else md(grouping or "")),
        ("Learnt from", ", ".join(f"{md(name)} {tracks:,}" for name, tracks in list(learnt.items())[:MOST_CLASSES])),
    ]
    return _named(rows)


def _procedure(reading: Reading) -> str:
    training, record = reading.recipe.get("training") or {}, reading.get("training") or {}
    optimizer = training.get("optimizer")
    best = record.get("best_epoch")
    neighbours, classifier = reading.recipe.get("neighbours"), reading.recipe.get("classifier")
    return _named(
        [
            ("Neighbours", md(_options(neighbours)) if isinstance(neighbours, Mapping) else ""),
            ("Classifier", md(_options(classifier)) if isinstance(classifier, Mapping) else ""),
            ("Loss", md(training.get("loss", ""))),
            ("Optimizer", md(optimizer.get("kind", "")) if isinstance(optimizer, Mapping) else ""),
            ("Batch", training.get("batch")),
            ("Epochs", f"{record.get('epochs')}, the weights of epoch {best} kept" if best else record.get("epochs")),
            ("Seed", reading.record.get("seed", record.get("seed"))),
            ("Seconds", f"{record['seconds']:,.0f}" if isinstance(record.get("seconds"), int | float) else ""),
        ]
    )


def _options(table: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in table.items())


def _evaluation(reading: Reading) -> str:
    rows = [("Track accuracy", reading.get("track", "accuracy")), ("Clip accuracy", reading.get("clip", "accuracy"))]
    macro = reading.get("macro_f1")
    rows += [("Macro-F1 of tracks", macro)] if isinstance(macro, Mapping) else []
    rows += [(md(name), found) for name, found in trivial(reading)]
    figures = _table(["", "value", "95 % interval", "judged"], [_figure_row(name, found) for name, found in rows])
    record = reading.get("training")
    shares = views.rows(record)
    published = words.published(reading)
    confused = words.confusions(reading, MOST_CONFUSIONS)
    mistakes = [f"tracks of {label} taken for {answer}: {times:,} of {of:,}" for label, answer, times, of in confused]
    blocks = [
        " ".join(map(md, words.meaning(reading))),
        figures,
        _table(list(views.COLUMNS), [list(map(md, row)) for row in shares]) if shares else "",
        " ".join(map(md, views.sentences(record))),
        md(published) if published else "",
        " ".join(map(md, words.confidence(reading))),
        f"The commonest mistakes:\n\n{_bullets(mistakes)}" if mistakes else "",
    ]
    return "\n\n".join(block for block in blocks if block)


def _figure_row(name: str, found: Any) -> list[str]:
    each = found if isinstance(found, Mapping) else {}
    low, high, judged, value = each.get("low"), each.get("high"), each.get("n"), each.get("value")
    return [
        name,
        number(value) if isinstance(value, int | float) else "-",
        f"{low:.2f} to {high:.2f}" if low is not None and high is not None else "-",
        f"{judged:,}" if isinstance(judged, int) else "-",
    ]


def _classes(reading: Reading) -> str:
    per_class = reading.metrics.get("per_class")
    if not isinstance(per_class, Mapping):
        return ""
    rows = [
        [
            md(name),
            *(number(each[key]) if each.get(key) is not None else "-" for key in ("precision", "recall", "f1")),
            f"{each.get('support') or 0:,}",
        ]
        for name, each in per_class.items()
        if isinstance(each, Mapping)
    ]
    return _table(["class", "precision", "recall", "F1", "tracks judged"], rows) if rows else ""


def _repeat(reading: Reading) -> str:
    line = words.command(reading)
    blocks = [f"    {visible(line)}"] if line else []
    told = {**words.versions(reading), **words.hashes(reading)}
    if told:
        blocks.append(words.repeatable(reading, "With these versions, data and as many threads"))
        blocks.append(_named((md(name), code(value)) for name, value in told.items()))
    if not reading.classes:
        return ""
    files = "`recipe.toml` is the recipe as it was used, `splits.csv` tells which track was in which part"
    return "\n\n".join([*blocks, f"{files}, `predictions.csv` holds {count(len(reading.judged), 'judged track')}."])
