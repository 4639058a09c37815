"""What the figures of a run mean, in plain sentences, and how the run is repeated: what the report and the model card both say.

All sentences are plain text, with the names from the data as they are: whoever writes them on a page escapes them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from math import nan
from pathlib import Path
from typing import Any

from harken.datasets.known.facts import FACTS, Facts
from harken.frontends import FRONTENDS
from harken.judge.confidence import known_tracks
from harken.judge.intervals import FEW_GROUPS
from harken.judge.sameness import remarks
from harken.judge.text import count, number, short, unit_of
from harken.report.reading import Reading

FEW_OF_CLASS = 10
"""Judged tracks of a class below which its own figures say little."""


def groups_of(reading: Reading) -> str:
    """Return what groups are in these data: "artists", "tunes"; "groups" where it is not known."""
    return group_word(reading.record.get("grouping"))


def group_word(grouping: object) -> str:
    """Return what groups are called by how they were found: "artists" for "artist tags"; "groups" where it does not tell.

    Examples
    --------
    >>> group_word("column tune"), group_word(None)
    ('tunes', 'groups')
    """
    return unit_of(grouping, 2)


def parts(reading: Reading) -> list[str]:
    """Return what the parts hold: "train 140 tracks of 70 artists", "test 17 tracks of 7 artists, 1 of none that is known"."""
    given = reading.get("parts")
    counted = {name: each.get("tracks") for name, each in given.items()} if isinstance(given, Mapping) else reading.parts
    found = []
    for name, tracks in counted.items():
        if isinstance(tracks, int):
            groups, alone = reading.groups.get(name, 0), reading.alone.get(name, 0)
            of = f" of {groups:,} {groups_of(reading)}" if groups else ""
            found.append(
                f"{name} {count(tracks, 'track')}{of}{f', {alone:,} of none that is known' if groups and alone else ''}"
            )
    return found


def has_groups(reading: Reading) -> bool | None:
    """Tell whether groups were known when the data were divided; None where the run does not say."""
    if reading.groups:
        return any(reading.groups.values())
    return None if "grouping" not in reading.record else reading.record["grouping"] != "none"


def share(value: Any, digits: int = 1) -> str:
    """Return a share as a percentage: "96.0 %"; "-" where there is none."""
    return f"{100 * value:.{digits}f} %" if isinstance(value, int | float) else "-"


def figure(found: Any) -> str:
    """Return an accuracy as metrics.json has it: "0.960, 95 % interval 0.90 to 1.00"."""
    if not isinstance(found, Mapping) or not isinstance(found.get("value"), int | float):
        return "not defined"
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return f"{number(found['value'])}, without an interval"
    return f"{number(found['value'])}, 95 % interval {low:.2f} to {high:.2f}"


def meaning(reading: Reading) -> list[str]:
    """Return what the track accuracy means for a listener, in sentences."""
    track = reading.get("track", "accuracy") or {}
    value, tracks = track.get("value"), track.get("n") or 0
    if not isinstance(value, int | float) or not tracks:
        return ["Nothing could be judged, so there is no figure."]
    part = {"test": "the test part, which the model has never heard", "valid": "the validation part"}
    where = part.get(reading.judged_on, f"the {reading.judged_on} part")
    found = [f"Of {count(tracks, 'track')} of {where}, {round(value * tracks):,} were named rightly."]
    low, high, method = track.get("low"), track.get("high"), reading.get("interval", "track")
    others = f"other {groups_of(reading)}" if has_groups(reading) else "other tracks"
    if low is None or high is None:
        found.append(f"How it would be on {others} cannot be told from these: {method or 'there is no interval'}.")
    else:
        how = f" ({method})" if method else ""
        found.append(
            f"On {others} like these, expect {100 * low:.0f} to {100 * high:.0f} of 100 to be right, with 95 % confidence{how}."
        )
    return found + _beside_majority(reading, low)


def _beside_majority(reading: Reading, low: float | None) -> list[str]:
    majority, name = reading.get("baseline", "majority"), reading.get("baseline", "majority_class")
    if not isinstance(majority, int | float):
        return []
    chance = reading.get("baseline", "chance")
    guessing = f", and guessing {100 * chance:.0f}" if isinstance(chance, int | float) else ""
    found = [f"Always answering '{short(str(name))}' would get {100 * majority:.0f} of 100 right{guessing}."]
    if low is not None and low <= majority:
        found.append("The interval reaches down to that: these tracks cannot show that the model has learnt anything.")
    return found


def warnings(reading: Reading) -> list[str]:
    """Return what a reader must know before believing the figure."""
    found = []
    if reading.judged_on != "test":
        chose = ", which chose the epoch, so the figure flatters" if chose_epoch(reading) else ""
        found.append(f"There was no test part: this is the {reading.judged_on} part{chose}.")
    found += _same(reading)
    affected = reading.get("seen", "affected")
    if affected:
        found.append(
            f"The model was trained on some of what judged it: {count(affected, 'track')} cannot judge it, and the figure does "
            "not tell how well it knows new music."
        )
    before = reading.metrics.get("judged_before") or 0
    if before:
        times = "once" if before == 1 else f"{before} times"
        found.append(f"The run was judged {times} before it went on: epochs that are chosen by test figures make them flatter.")
    done = reading.get("training", "epochs")
    if isinstance(done, int) and len(reading.history) > done:
        found.append(
            f"The run has gone on since: {len(reading.history)} epochs are done, and these are the figures after {done}. "
            "They are out of date."
        )
    if has_groups(reading) is False:
        found.append(
            "No artists (or other groups) are known of these data: one artist may stand among the tracks learnt from and those "
            "judged, which flatters. Expect less on artists that are new."
        )
    groups = reading.get("groups")
    if isinstance(groups, int) and 0 < groups < FEW_GROUPS and has_groups(reading):
        found.append(f"Only {count(groups, 'group')} judged it: another few might give a quite different figure.")
    found += _missing(reading)
    failed = reading.metrics.get("failed") or []
    if failed:
        found.append(f"{count(len(failed), 'file')} failed and {'is' if len(failed) == 1 else 'are'} in no figure; see below.")
    return found


def _same(reading: Reading) -> list[str]:
    """Say that the model gives one answer to all judged tracks, or nearly the same probabilities; nothing where it does not."""
    confusion, classes = reading.get("confusion"), reading.classes
    if not isinstance(confusion, list) or len(confusion) != len(classes):
        return []
    return remarks(confusion, [[each.probabilities.get(name, nan) for name in classes] for each in reading.judged], classes)


def published(reading: Reading) -> str:
    """Return the figure that was published of the system; empty where there is none."""
    found = reading.get("published")
    if not isinstance(found, Mapping) or "value" not in found:
        return ""
    return (
        f"Published of this system: {found.get('figure', 'accuracy')} {found['value']:g} on {found.get('data', 'other data')}. "
        "Those are other data than these, so the two figures cannot be compared."
    )


def heard(reading: Reading) -> list[str]:
    """Return how the model hears: rate, clip, and what it cannot hear."""
    frontend = reading.recipe.get("frontend") or {}
    if reading.recipe.get("kind") == "stack":
        return _heard_together(reading.recipe)
    rate, clip = frontend.get("rate"), frontend.get("clip")
    if not isinstance(rate, int | float) or not isinstance(clip, int | float):
        return ["It reads arrays as they are, and no audio."] if frontend.get("kind") == "arrays" else []
    taken = (
        "the first clip of a track alone" if frontend.get("take") == "first" else "a track's clips, whose answers are averaged"
    )
    found = [f"It hears mono sound at {rate:,g} Hz in clips of {clip:g} s: {taken}."]
    kind = FRONTENDS.get(str(frontend.get("kind")))
    then = "filled up with silence" if kind is None or kind.pads else "heard as it is"
    found.append(f"It hears nothing above {rate / 2:,g} Hz; a track shorter than {clip:g} s is {then}.")
    if frontend.get("skip"):
        found.append(f"The first {frontend['skip']:g} s of a track are left out, where it is long enough.")
    return found


def _heard_together(recipe: Mapping[str, Any]) -> list[str]:
    """Return how the views of a stack hear."""
    views, joins = recipe.get("views"), recipe.get("stack")
    if not isinstance(views, list) or not isinstance(joins, Mapping) or not isinstance(joins.get("clip"), int | float):
        return []
    told = [
        f"{view.get('name')} ({view['frontend'].get('kind')} at {view['frontend'].get('rate')} Hz)"
        for view in views
        if isinstance(view, Mapping) and isinstance(view.get("frontend"), Mapping)
    ]
    return [
        f"Several views hear mono sound in pieces of {joins['clip']:g} s, whose answers are averaged: {', '.join(told)}.",
        f"A track shorter than {joins['clip']:g} s is one piece, heard as it is.",
    ]


def limitations(reading: Reading) -> list[str]:
    """Return what is known to limit the model, beside :func:`warnings`."""
    classes = reading.classes
    found = [
        f"It knows {count(len(classes), 'class', 'classes')} and no other: music that belongs to none of them gets one of "
        "these names all the same."
    ]
    within = reading.get("budget", "sentence")
    if isinstance(within, str) and within:
        found.append(within)
    weak = [name for name, each in _per_class(reading) if 0 < (each.get("support") or 0) < FEW_OF_CLASS]
    if weak:
        found.append(f"Few tracks ({FEW_OF_CLASS - 1} or less) judged {_listed(weak)}: their figures are uncertain.")
    never = [name for name, each in _per_class(reading) if not each.get("support")]
    if never:
        found.append(f"No track judged {_listed(never)}: nothing is known of how well it is recognised.")
    deaf = [name for name, each in _per_class(reading) if each.get("support") and not each.get("recall")]
    if deaf:
        found.append(f"Not one judged track of {_listed(deaf)} was recognised.")
    confused = confusions(reading, 1)
    if confused:
        label, answer, times, of = confused[0]
        found.append(f"Its commonest mistake: {label} is taken for {answer} ({times:,} of {of:,} tracks).")
    facts = known(reading)
    if facts:
        found += [f"Of {facts.title} it is known: {fault}." for fault in facts.faults]
    return found


def _per_class(reading: Reading) -> list[tuple[str, Mapping[str, Any]]]:
    per_class = reading.metrics.get("per_class")
    return (
        [(str(name), each) for name, each in per_class.items() if isinstance(each, Mapping)]
        if isinstance(per_class, Mapping)
        else []
    )


def _listed(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def confusions(reading: Reading, most: int) -> list[tuple[str, str, int, int]]:
    """Return the commonest confusions: the label, the answer, how many tracks, and of how many."""
    matrix, classes = reading.metrics.get("confusion") or [], reading.classes
    found = [
        (classes[row], classes[column], times, sum(line))
        for row, line in enumerate(matrix)
        for column, times in enumerate(line)
        if times and row != column
    ]
    return sorted(found, key=lambda each: -each[2])[:most]


def known(reading: Reading) -> Facts | None:
    """Return what is known of the data, where they were named ``name:ROOT``."""
    return FACTS.get(str(reading.record.get("data", "")).partition(":")[0])


_USABLE = {"gtzan": 930}
"""Of how many tracks the parts are that a known dataset brings, where some are in none."""


def used(reading: Reading) -> str:
    """Return how many tracks the run used of a known dataset: "240 of the 400 tracks published"; else empty."""
    facts, tracks = known(reading), _tracks(reading)
    if facts is None or not tracks:
        return ""
    return f"{tracks:,} of the {facts.tracks:,} tracks published" if tracks < facts.tracks else count(tracks, "track")


def _tracks(reading: Reading) -> int:
    """Return how many tracks are in the parts."""
    given = reading.get("parts")
    counts = [each.get("tracks") for each in given.values()] if isinstance(given, Mapping) else list(reading.parts.values())
    return sum(each for each in counts if isinstance(each, int))


def _missing(reading: Reading) -> list[str]:
    """Say that a known dataset is not whole."""
    facts, tracks = known(reading), _tracks(reading)
    whole = 0 if facts is None else _USABLE.get(facts.name, facts.tracks)
    if not 0 < tracks < whole:
        return []
    return [
        f"Only {tracks:,} of {whole:,} tracks of the published set were used: files are missing, or were left out. The figure "
        "is not to be held beside figures of the whole set."
    ]


def date(reading: Reading) -> str:
    """Return when the training began: "21 November 2026, 07:33 UTC"; empty where it is not known."""
    told = str(reading.record.get("created") or reading.get("training", "created") or "")
    try:
        begun = datetime.fromisoformat(told)
    except ValueError:
        return told
    return f"{begun.day} {begun:%B %Y, %H:%M %Z}".replace("UTC+00:00", "UTC")


def without_epochs(reading: Reading) -> bool:
    """Tell whether a run is known to have been fitted at once."""
    return reading.recipe.get("kind", "net") != "net" and not reading.history


def chose_epoch(reading: Reading) -> bool:
    """Tell whether a validation part of this run chose the epoch of a net that answers, if only as one view of a stack."""
    views = reading.recipe.get("views")
    nets = (
        [view for view in views if isinstance(view, Mapping) and view.get("kind") == "net"] if isinstance(views, list) else []
    )
    told = reading.get("training", "stack", "views")
    told = told if isinstance(told, list) else []
    idle = [one.get("name") for one in told if isinstance(one, Mapping) and one.get("weight") == 0]
    heard = [view for view in nets if view.get("name") not in idle]  # a view without weight is not in the model
    return bool(heard) or not (nets or without_epochs(reading))


def engines(reading: Reading) -> str:
    """Return which engines trained it: "numpy (8 epochs), torch (4 epochs)"."""
    found = reading.get("training", "engines") or reading.record.get("engines") or []
    pairs = [each for each in found if isinstance(each, list | tuple) and len(each) == 2]
    if len(pairs) > 1:
        return ", then ".join(f"{name} ({count(epochs, 'epoch')})" for name, epochs in pairs)
    return str(pairs[0][0] if pairs else reading.record.get("engine") or reading.get("training", "engine") or "not known")


def judges(reading: Reading) -> str:
    """Return what a run was judged on, where no other data were given for it."""
    if reading.judged_on != "valid":
        return f"a part kept aside ({reading.judged_on})"
    return "the validation part, as there was no test part" + (": it chose the epoch too" if chose_epoch(reading) else "")


def repeatable(reading: Reading, same: str) -> str:
    """Say whether the figures come out again, in these circumstances ("with these versions")."""
    if reading.get("budget", "seconds"):
        return (
            "It was trained within a budget of time, which this command has not: inner folds that were left out then are not "
            "now, a net that was ended early is not ended, and the figures may differ."
        )
    return f"{same}, the figures come out the same to the last digit."


def command(reading: Reading) -> str:
    """Return the command line that trains the same again, from the recipe as it was used; empty where data are not known."""
    record = reading.record
    if not record.get("data"):
        return ""
    words = ["harken", "train", str(record["data"]), "--recipe", str(reading.folder / "recipe.toml")]
    label = record.get("label")
    values = {
        "--test": record.get("test"),
        "--label": None if label == "label" else label,
        "--group": record.get("group"),
        "--classes": _comma(record.get("classes")),
        "--without": _comma(record.get("without")),
        "--seed": record.get("seed", 0),
        "--engine": record.get("engine"),
        "--device": None if record.get("device") == "auto" else record.get("device"),
    }
    for option, value in values.items():
        words += [] if value is None else [option, str(value)]
    return shlex.join(words)


def _comma(names: Any) -> str | None:
    return None if names is None else ",".join(map(str, names))


def versions(reading: Reading) -> dict[str, str]:
    """Return what the figures depend on beside data and recipe, by name."""
    machine = {**(reading.get("training") or {}), **(reading.record.get("machine") or {})}
    names = {
        "harken": "Harken",
        "python": "Python",
        "numpy": "NumPy",
        "torch": "PyTorch",
        "keras": "Keras",
        "platform": "platform",
        "usable_cores": "cores that could be used",
        "threads": "threads of the linear algebra",
        "device": "device",
    }
    return {words: str(machine[name]) for name, words in names.items() if machine.get(name) is not None}


def hashes(reading: Reading) -> dict[str, str]:
    """Return the hashes that tell whether data, split and model are the same, by name."""
    same = reading.record.get("identity") or {}
    found = {
        "data (content, spans, labels and groups of all tracks)": same.get("tracks"),
        "split": same.get("split"),
        "model.harken, SHA-256": reading.model_hash,
    }
    return {name: str(value) for name, value in found.items() if value}


def data_name(reading: Reading) -> str:
    """Return what the data are called: the last part of their path, or the known name."""
    facts = known(reading)
    if facts:
        return facts.title
    told = str(reading.record.get("data") or "")
    return re.split(r"[/\\]", told.rstrip("/\\"))[-1] or reading.folder.resolve().name


def of_another(reading: Reading) -> str:
    """Say that the leak meter was run with another recipe, or on other data or classes, than this run; else return nothing."""
    meter, recipe = reading.leaks, reading.recipe.get("name")
    classes = meter.get("classes")
    other_classes = isinstance(classes, list) and bool(reading.classes) and sorted(map(str, classes)) != sorted(reading.classes)
    if recipe in (None, meter["recipe"]) and _same_data(reading, meter["data"]) and not other_classes:
        return ""
    measured = f"{meter['recipe']} on {meter['data']}"
    this = f"{recipe or 'a recipe that is not known'} on {data_name(reading)}"
    if other_classes:
        measured += f" (classes: {_listed([str(name) for name in classes or []])})"
        this += f" (classes: {_listed(reading.classes)})"
    return (
        f"The leak meter was run with {measured}, and this run is of {this}: how much of this run's figure is memory, "
        "it does not tell."
    )


def _same_data(reading: Reading, name: str) -> bool:
    """Tell whether a dataset's name may be that of this run's data; a path such as "." does not tell."""
    told = str(reading.record.get("data") or "").rstrip("/\\")
    if known(reading):
        return name.partition(" ")[0] == told.partition(":")[0]
    last = re.split(r"[/\\]", told)[-1]
    return last in ("", ".", "..") or name in (last, last.partition(":")[2], Path(told).resolve().name)


def calibration(reading: Reading) -> Mapping[str, Any] | None:
    """Return what metrics.json says of the probabilities; None where it says nothing."""
    found = reading.get("calibration")
    return found if isinstance(found, Mapping) else None


def confidence(reading: Reading) -> list[str]:
    """Return in sentences whether the probabilities mean what they say, at which temperature, and how the unknown is known."""
    told = calibration(reading)
    if told is None:
        return []
    why = _known_tracks(reading, told)
    if why:
        return [f"Whether they mean what they say cannot be told: {why}."]
    found = _sureness(told)
    temperature = told.get("temperature")
    if isinstance(temperature, int | float):
        found.append(f"The log-probabilities of tracks are divided by {temperature:.2f} (the temperature{_fitted_on(told)}).")
        if told.get("votes"):
            found.append(
                "Before that, every class is given one vote more than its neighbours gave it, so that none is impossible."
            )
    elif told.get("reason"):
        found.append(f"There is no temperature: {told['reason']}.")
    unknown = told.get("unknown")
    if isinstance(unknown, Mapping) and isinstance(unknown.get("auroc"), Mapping):
        taken = unknown.get("false_positives_at_95_recall")
        found.append(
            f"The unknown is learnt from {_listed([str(name) for name in unknown.get('classes') or []])}: AUROC "
            f"{figure(unknown['auroc'])} (0.5 is guessing); of the unknown {figure(taken)} are taken for known where 95 % of "
            "the known are kept."
        )
    return found


def _known_tracks(reading: Reading, told: Mapping[str, Any]) -> str:
    """Return why the judged tracks cannot judge the confidence; empty where the model took nothing from them."""
    if reading.judged_on != "valid":
        return ""
    return known_tracks(chose=chose_epoch(reading), fitted=told.get("temperature") is not None)


def _sureness(told: Mapping[str, Any]) -> list[str]:
    shown = told.get("calibrated") or told.get("raw")
    error, chance = (
        shown.get("calibration_error") if isinstance(shown, Mapping) else None,
        told.get("calibration_error_by_chance"),
    )
    why = told.get("cannot_tell")
    if why:
        return [f"Whether they mean what they say cannot be told: {why}."]
    if not isinstance(error, int | float) or not isinstance(chance, int | float):
        return []
    first = f"Confidence and accuracy lie {number(error)} apart (the calibration error, corrected for chance)."
    if error <= chance:
        return [first, f"As far as these tracks tell, it means what it says: up to {number(chance)} would be no wonder."]
    return [first, f"That is more than chance explains ({number(chance)}): do not take the probabilities at their word."]


def _fitted_on(told: Mapping[str, Any]) -> str:
    """Return ", fitted on 50 validation tracks of 25 groups"; empty where it is not said."""
    on = told.get("fitted_on")
    if not isinstance(on, Mapping) or not on.get("tracks"):
        return ""
    groups = f" of {count(int(on['groups']), 'group')}" if on.get("groups") else ""
    return f", fitted on {count(int(on['tracks']), 'validation track')}{groups}"
