"""What is said where a model tells nothing apart: in the terminal, in the report and on the card, and beside the views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harken.judge import evaluate
from harken.judge.sameness import ALIKE, FEWEST, remarks
from harken.report import words
from harken.report.reading import Judged, Reading
from harken.report.views import rows, sentences
from harken.tracks import Track, Tracks

CLASSES = ("pop", "rock")


def shares(*rock: float) -> list[list[float]]:
    return [[1 - value, value] for value in rock]


def test_one_answer_to_all_tracks_is_said_with_the_class() -> None:
    (said,) = remarks([[0, 2], [0, 3]], shares(0.6, 0.9, 0.7, 0.8, 0.6), CLASSES)
    assert "All 5 judged tracks, of 2 classes, are called 'rock'" in said and "the share of 'rock' among them" in said
    assert remarks([[1, 1], [0, 3]], shares(0.4, 0.9, 0.7, 0.8, 0.6), CLASSES) == []


def test_probabilities_that_tell_nothing_apart_are_said_even_where_answers_differ() -> None:
    (said,) = remarks([[1, 1], [0, 3]], shares(0.499, 0.501, 0.5005, 0.501, 0.501), CLASSES)
    assert "nearly the same for all of them (each class' within 0.002)" in said and "by a hair" in said
    assert len(remarks([[0, 2], [0, 3]], shares(*[0.501] * 5), CLASSES)) == 2


@pytest.mark.parametrize(
    ("confusion", "probabilities"),
    [
        ([[0, 0], [0, 5]], shares(*[0.9] * 5)),  # all are of one class: one answer is right
        ([[0, 1], [0, FEWEST - 2]], shares(*[0.9] * (FEWEST - 1))),
        ([[0, 0], [0, 0]], []),
        ([], []),
        ([[2, 1], [1, 2]], shares(*(0.5 + ALIKE * part for part in (0, 0.3, 0.6, 0.9, 1.1, 0)))),
        ([[2, 1], [1, 2]], [[np.nan, np.nan]] * 6),
        ([[2, 1], [1, 2]], [[]]),
    ],
)
def test_nothing_is_said_without_need(confusion: list[list[int]], probabilities: list[list[float]]) -> None:
    assert remarks(confusion, probabilities, CLASSES) == []


def test_terminal_report_and_card_say_it(tmp_path: Path) -> None:
    tracks = Tracks([Track(f"{number}.wav", CLASSES[number % 2]) for number in range(6)], CLASSES)
    found = evaluate(np.array(shares(*[0.501] * 6)), np.arange(6), tracks)
    assert "All 6 judged tracks, of 2 classes, are called 'rock'" in found.as_text() and "by a hair" in found.as_text()
    judged = tuple(
        Judged(f"{number}.wav", "pop", "rock", "", None, None, {"pop": 0.499, "rock": 0.501}, None) for number in range(6)
    )
    said = words.warnings(Reading(tmp_path, found.as_json(), judged=judged))
    assert any("are called 'rock'" in each for each in said) and any("by a hair" in each for each in said)
    for confusion in (None, [], "x", [[1]]):
        assert not any(
            "called" in each for each in words.warnings(Reading(tmp_path, {**found.as_json(), "confusion": confusion}))
        )


def told(accuracies: list[float], disagree: float, pairs: list[float], *, weight: float = 1.0) -> dict[str, object]:
    names = "abc"[: len(accuracies)]
    views = [
        {"name": name, "weight": weight if name == "a" else 0.0, "aside": "", "track_accuracy": value}
        for name, value in zip(names, accuracies, strict=True)
    ]
    two = [{"views": ["a", name], "disagree": value} for name, value in zip("bc", pairs, strict=False)]
    known = {"tracks": 18, "folds": 3, "track_accuracy": 0.889, "disagree": disagree, "any_right": 0.9, "pairs": two}
    return {"stack": {"views": views, **known, "majority": 0.8889, "majority_class": "rock"}}


def test_the_largest_class_stands_beside_the_views() -> None:
    record = told([0.8889, 0.5, 0.8], 0.0, [0.0, 0.0])
    assert rows(record)[-1] == ("always 'rock'", "", "0.889")
    said = " ".join(sentences(record))
    assert "Always answering 'rock' would be right about 89% of these tracks, and no view is right more often" in said
    known = told([0.95, 0.5], 0.4, [0.4])["stack"]
    assert isinstance(known, dict)
    together = " ".join(sentences({"stack": {**known, "track_accuracy": 0.95}}))
    assert "Always" not in together
    behind = {"stack": {**known, "track_accuracy": 0.7}}
    assert "and the views together are not right more often." in " ".join(sentences(behind))
    older = {"stack": {key: value for key, value in record["stack"].items() if "majority" not in key}}  # type: ignore[attr-defined]
    assert rows(older)[-1][0] == "together" and "Always" not in " ".join(sentences(older))


def test_views_are_told_in_words_that_fit_the_numbers() -> None:
    said = " ".join(sentences(told([0.9, 0.9, 0.9], 0.0, [0.0, 0.0])))
    assert "All views give the same answer to each of these tracks" in said and "differ" not in said and " 0%" not in said
    assert "b and c have no weight: what they say did not help" in said and "does not listen to them" in said
    assert "does not listen to it." in " ".join(sentences(told([0.9, 0.8], 0.3, [0.3])))
    said = " ".join(sentences(told([0.9, 0.8, 0.8], 0.3, [0.3, 0.3])))
    assert "do not all give the same answer to 30% of these tracks" in said and "Each two of them differ on 30%" in said


def test_the_validation_part_is_not_called_kept_aside_where_it_chose(tmp_path: Path) -> None:
    net = {"judged_on": "valid", "classes": ["a", "b"]}
    history = [{"epoch": "1"}]
    assert words.judges(Reading(tmp_path, net, history=history, recipe={"kind": "net"})).endswith("it chose the epoch too")
    at_once = words.judges(Reading(tmp_path, net, recipe={"kind": "neighbours"}))
    assert at_once == "the validation part, as there was no test part"
    assert words.judges(Reading(tmp_path, {"classes": []})) == "a part kept aside (test)"
