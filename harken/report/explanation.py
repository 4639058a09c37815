"""Explanations as a page for a browser, or as a picture: the mel picture, over it what spoke for the answer, and the words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harken.explain import Explanation
from harken.explain.result import Findings, Joint, Neighbourhood, Numbers, Part
from harken.explain.words import answer, clock, odds, of_clips, of_heat, of_joint, place, times_as
from harken.files import write_bytes, write_text
from harken.report.examples import encoded
from harken.report.heat import clip_of, heat_picture
from harken.report.page import data_uri, document, table, text
from harken.report.picture import RATE, mel_picture_of

MOST_ROWS = 10
"""Groups, single numbers and neighbours in a table."""
LONGEST = 30.0
"""Seconds of sound, for an explanation."""


def write_explanations(found: Sequence[Explanation], path: str | os.PathLike[str], model: str) -> None:
    """Write explanations as a page, or the first one as a picture, as the name's end says; atomically.

    Parameters
    ----------
    found : sequence of Explanation
        One at least.
    path : path-like
        Ends in ``.html`` or ``.png``.
    model : str
        What the model is called.
    """
    if Path(path).suffix.lower() == ".png":
        from harken.report.panels import drawn  # noqa: PLC0415 (matplotlib)

        write_bytes(path, drawn(found[0]))
    else:
        write_text(path, page(found, model))


def page(found: Sequence[Explanation], model: str) -> str:
    """Return explanations as one HTML page, with pictures and sounds in it."""
    title = f"Why {Path(model).name} answers as it does"
    intro = (
        "Orange spoke for the explained class, blue against it: found by hiding parts of the sound and asking the model again. "
        "Odds are multiplied (×) or divided (÷) by what is said. What is explained is the model, and not the music."
    )
    body = "\n".join(_section(number, one) for number, one in enumerate(found, 1))
    return document(title, f"<header><h1>{text(title)}</h1><p>{intro}</p></header>\n<main>\n{body}\n</main>")


def _section(number: int, one: Explanation) -> str:
    parts = [f'<h2 id="file{number}">{text(Path(one.path).name)}</h2>', f'<p class="file">{text(one.path)}</p>']
    parts.append(f"<p><strong>{text(answer(one))}</strong></p>")
    if one.silence:
        parts.append(f"<p>It {text(one.silence)}.</p>")
    if one.joint is None:
        parts.append(of_findings(one.path, one.findings, one.label, one.against))
        return f'<section aria-labelledby="file{number}">{"".join(parts)}</section>'
    parts.append(_joint(one.joint, one.label, one.against, one.answer))
    if len(one.findings.clips) > 1:
        parts.append(f"<p>{text(of_clips(one.findings, one.label))}</p>")
    heard: set[tuple[float, float]] = set()
    for view in one.joint.views:
        if view.findings is not None:
            clip = view.findings.explained
            again = (clip.start, clip.end) in heard
            told = of_findings(one.path, view.findings, one.label, one.against, again=again)
            parts.append(f"<h3>{text(view.view)}</h3>{told}")
            heard.add((clip.start, clip.end))
    return f'<section aria-labelledby="file{number}">{"".join(parts)}</section>'


def _joint(joint: Joint, label: str, against: str, answer_: str) -> str:
    rows = [
        (
            text(view.view),
            text(f"{view.label} {view.probability:.3f}") if view.label else "no answer",
            f"{view.weight:.2f}",
            text(times_as(view.contribution)),
        )
        for view in joint.views
    ]
    rows.append(("before anything is heard", "", "", text(times_as(joint.offset))))
    said = of_joint(joint, label, against, answer_)[0]
    header = ("view", "says", "weight", f"odds of {text(label)} against {text(against)}")
    return table(text(said.rstrip(":")), header, rows, label="Views")


def of_findings(path: str, findings: Findings, label: str, against: str, *, again: bool = False) -> str:
    """Return what one decider shows, as HTML: sound, picture (unless they stand in the page already), sentences, tables."""
    samples = clip_of(path, findings)[: round(LONGEST * RATE)]
    clip = findings.explained
    span = place(clip.start, clip.end)
    parts = [f"<p>{text(of_clips(findings, label))}</p>" if len(findings.clips) > 1 else ""]
    if findings.heat is not None:
        parts.append(
            _figure(heat_picture(samples, findings.heat, clip.start), f"{span}, with what spoke for {label} and against it")
        )
    if not again:
        parts.append(_figure(mel_picture_of([samples]).png, f"{span}, as it sounds"))
        sound = data_uri(*encoded(np.clip(samples, -1.0, 1.0)))
        parts.append(f'<audio class="clip" controls preload="none" src="{sound}" aria-label="{text(span)}"></audio>')
    if findings.heat is not None:
        parts.append(_items(of_heat(findings.heat, clip.probability, label)))
    if findings.numbers is not None:
        parts.append(_numbers(findings.numbers, label, against))
    if findings.neighbours is not None:
        parts.append(_neighbours(findings.neighbours, label, against))
    if len(findings.clips) > 1:
        parts.append(_timeline(findings, label))
    return "".join(parts)


def _figure(content: bytes, words: str) -> str:
    uri = data_uri("image/png", content)
    alt = f"Mel picture of {words}: time from left to right, low pitches below"
    return f'<figure><img class="mel tall" src="{uri}" alt="{text(alt)}"><figcaption>{text(words)}</figcaption></figure>'


def _items(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{text(each)}</li>' for each in sentences)}</ul>"


def _numbers(numbers: Numbers, label: str, against: str) -> str:
    how = (
        "they multiply to the whole"
        if numbers.exact
        else f"each replaced by the mean of {numbers.mean_of}; these need not add up"
    )
    groups = table(
        text(f"Odds of {label} against {against}: {odds(numbers.log_odds)} ({how})"),
        ("what", "numbers", "odds"),
        [
            *((text(part.words), str(part.count), text(times_as(part.contribution))) for part in numbers.groups),
            *(
                [(text(f"a track like the mean of {numbers.mean_of}"), "", text(times_as(numbers.offset)))]
                if numbers.exact
                else []
            ),
        ],
        label="Groups of numbers",
    )
    rows = [
        (text(part.words), f"<code>{text(part.name)}</code>", _far(part), text(times_as(part.contribution)))
        for part in numbers.features[:MOST_ROWS]
    ]
    single = table(
        "The most telling single numbers", ("what", "name", "deviations from the mean", "odds"), rows, label="Numbers"
    )
    return groups + single


def _far(part: Part) -> str:
    return "-" if np.isnan(part.standard) else f"{part.standard:+.1f}"


def _neighbours(found: Neighbourhood, label: str, against: str) -> str:
    rows = [
        (f"row {each.place}", text(each.label), f"{each.distance:.3g}", f"{each.vote:.0%}")
        for each in found.neighbours[:MOST_ROWS]
    ]
    caption = "The nearest tracks of the training part; a model keeps no names of them"
    near = table(caption, ("track", "class", "distance", "of the votes"), rows, label="Neighbours")
    if not found.nearer:
        return near
    groups = [(text(part.words), text(label if part.contribution > 0 else against)) for part in found.nearer]
    return near + table("What makes it nearer to which class", ("what", "nearer to"), groups, label="Nearer", kind="words")


def _timeline(findings: Findings, label: str) -> str:
    rows = [(f"{clock(said.start)}–{clock(said.end)}", text(said.label), f"{said.probability:.3f}") for said in findings.clips]
    body = table("Clip by clip", ("clip", "answer", f"probability of {text(label)}"), rows, label="Clips")
    return f"<details><summary>All {len(rows)} clips</summary>{body}</details>"
