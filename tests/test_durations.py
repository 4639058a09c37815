"""Times as people write them, and in words."""

from __future__ import annotations

import pytest

from harken.durations import as_option, in_words, place_of, seconds_of
from harken.errors import HarkenError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10m", 600),
        ("90s", 90),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (" 2 min ", 120),
        ("1h 2m 3s", 3723),
        ("45 seconds", 45),
        (7, 7),
    ],
)
def test_times_are_read_as_people_write_them(text: str | float, found: float) -> None:
    assert seconds_of(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10", "seconds, minutes or hours"),
        ("", "is no time"),
        ("soon", "is no time"),
        ("10m or so", "is no time"),
        ("0s", "above 0"),
        ("-5m", "is no time"),
        ("5m5m", "twice"),
        ("3s2m", "smaller one first"),
        ("9999999h", "up to a year"),
        (float("nan"), "above 0"),
        (float("inf"), "up to a year"),
        (0, "above 0"),
        (True, "no time"),
    ],
)
def test_what_is_no_time_is_refused(text: str | float, reason: str) -> None:
    with pytest.raises(HarkenError, match=reason):
        seconds_of(text)


def test_a_bare_number_is_seconds_where_that_was_said() -> None:
    assert seconds_of(" 10 ", "--patience", bare=True) == 10
    assert seconds_of("1h30m", "--patience", bare=True) == 5400
    for text in ("", "0", "0s", "-5min", "1day", "inf", "1e3", "20min20min"):
        with pytest.raises(HarkenError, match=r"--patience .*1h30m"):
            seconds_of(text, "--patience", bare=True)


def test_times_in_words_and_as_options_are_read_again() -> None:
    assert [in_words(value) for value in (0, 61, 3600, 3661, 599.6)] == ["0 s", "1 min 1 s", "1 h", "1 h 1 min", "10 min"]
    for value in (1, 37, 90, 91, 599, 3599, 3601, 7200, 100000):
        assert value <= seconds_of(as_option(value)) <= 1.2 * value + 60


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1:05", 65),
        ("0:00", 0),
        ("0", 0),
        ("0.0", 0),
        ("65", 65),
        ("2.5", 2.5),
        ("1:02:03", 3723),
        ("90:00", 5400),
        ("1m5s", 65),
    ],
)
def test_places_in_a_file_are_read_as_a_player_shows_them(text: str, seconds: float) -> None:
    assert place_of(text, "--at") == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:60", "1:2:3", "1:", ":30", "1:05:", "soon", "1:-5", "nan", "1:5:61", "1::5"])
def test_what_is_no_place_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(HarkenError, match="1:05"):
        place_of(text, "--at")
