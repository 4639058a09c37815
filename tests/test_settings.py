"""Settings check themselves: every annotation understood, every mistake found and named, tables there and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from harken.errors import RecipeError, suggest
from harken.recipes.training import SGD, Adam, AdamW, Constant, Cosine, ReduceOnPlateau, Training
from harken.settings import Count, Fraction, NotNegative, Positive, Range, Settings


@dataclass(frozen=True, kw_only=True)
class Inner(Settings):
    kind: ClassVar[str] = "inner"
    depth: Count = 1


@dataclass(frozen=True, kw_only=True)
class Example(Settings):
    count: Count
    rate: Positive = 1.0
    share: Fraction = 0.0
    name: str = "a"
    flag: bool = False
    choice: Literal["one", "two", 3] = "one"
    sizes: tuple[Count, ...] = ()
    pair: Count | tuple[Count, Count] = 1
    maybe: float | None = None
    inner: Inner = Inner()
    odd: Annotated[int, Range(low=-3, high=3)] = 0

    def mistakes(self) -> list[str]:
        return ["share must not be larger than rate"] if self.share > self.rate else []


GOOD = [
    ("count", 1),
    ("count", 10**9),
    ("rate", 1e-9),
    ("rate", 2),
    ("share", 0),
    ("name", ""),
    ("flag", True),
    ("choice", "two"),
    ("choice", 3),
    ("sizes", [3, 4, 5]),
    ("sizes", ()),
    ("pair", 7),
    ("pair", [2, 3]),
    ("maybe", 2.5),
    ("maybe", 2),
    ("maybe", None),
    ("inner", Inner(depth=4)),
    ("odd", -3),
    ("odd", 3),
]
BAD = [
    ("count", 0, "at least 1"),
    ("count", 1.0, "a whole number"),
    ("count", "1", "a whole number"),
    ("count", True, "a whole number"),
    ("count", None, "a whole number"),
    ("rate", 0, "above 0"),
    ("rate", float("nan"), "a finite number"),
    ("rate", float("inf"), "a finite number"),
    ("rate", 10**400, "a finite number"),
    ("odd", 10**400, "a finite number"),
    ("maybe", 10**400, "a finite number"),
    ("rate", "fast", "a number"),
    ("rate", False, "a number"),
    ("share", 1, "below 1"),
    ("share", -0.1, "at least 0"),
    ("name", 3, "a text"),
    ("flag", 1, "true or false"),
    ("choice", "tow", "did you mean 'two'?"),
    ("choice", 4, "known: 3, one, two"),
    ("choice", 3.0, "known: 3, one, two"),
    ("choice", True, "known: 3, one, two"),
    ("sizes", [3, 0], "at least 1"),
    ("sizes", 3, "a list"),
    ("sizes", "34", "a list"),
    ("pair", 0, "at least 1"),
    ("pair", [1, 2, 3], "list of 2"),
    ("pair", [1, "2"], "a whole number"),
    ("maybe", "none", "a number"),
    ("inner", {"depth": 2}, "Inner settings"),
    ("inner", 3, "Inner settings"),
    ("odd", -4, "at least -3"),
    ("odd", 4, "at most 3"),
]


def _with(name, value):
    return {"count": 1} | {name: value}


@pytest.mark.parametrize(("name", "value"), GOOD, ids=str)
def test_good_values_are_taken_in_their_type(name, value):
    made = Example.from_table(_with(name, value), "[example]")
    assert made == Example(**_with(name, value))
    found = getattr(made, name)
    assert found == (tuple(value) if isinstance(value, list) else value)
    assert type(found) is {"rate": float, "share": float, "sizes": tuple}.get(name, type(found))


@pytest.mark.parametrize(("name", "value", "reason"), BAD, ids=str)
def test_bad_values_are_named_with_the_reason(name, value, reason):
    for build in (lambda: Example(**_with(name, value)), lambda: Example.from_table(_with(name, value), "[example]")):
        with pytest.raises(RecipeError) as error:
            build()
        assert f"{name} = {value!r}" in str(error.value) and reason in str(error.value)
        assert len(error.value.mistakes) == 1


@pytest.mark.parametrize("number", [np.int64(3), np.uint8(3), np.int16(3)], ids=repr)
@pytest.mark.parametrize("name", ["count", "pair", "odd", "rate", "maybe"])
def test_whole_numbers_of_numpy_are_pythons(name, number):
    made = Example(**_with(name, number))
    assert made == Example(**_with(name, 3))
    assert type(getattr(made, name)) is (float if name in ("rate", "maybe") else int)
    json.dumps(made.to_table())


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5), np.float16(0.5)], ids=repr)
@pytest.mark.parametrize("name", ["rate", "share", "maybe"])
def test_numbers_of_numpy_are_pythons(name, number):
    made = Example(**_with(name, number))
    assert made == Example(**_with(name, 0.5)) and type(getattr(made, name)) is float


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", np.int64(0)),
        ("count", np.float32(1)),
        ("count", np.bool_(True)),
        ("count", np.array([1, 2])),
        ("rate", np.bool_(True)),
        ("rate", np.float32("nan")),
        ("rate", np.float64("inf")),
        ("maybe", np.float32("nan")),
        ("sizes", [np.int64(0)]),
        ("flag", np.int64(1)),
    ],
    ids=repr,
)
def test_numbers_of_numpy_that_are_wrong(name, value):
    with pytest.raises(RecipeError) as error:
        Example(**_with(name, value))
    assert len(error.value.mistakes) == 1


@pytest.mark.parametrize(("warmup", "epochs"), [(1, 1), (2, 2), (9, 2)])
def test_a_warmup_that_leaves_no_epoch_is_refused(warmup, epochs):
    with pytest.raises(RecipeError, match=rf"warmup = {warmup} with epochs = {epochs}.*fewer warmup epochs"):
        Training(schedule=Cosine(warmup=warmup), epochs=epochs)
    table = {"schedule": {"kind": "cosine", "warmup": warmup}, "epochs": epochs}
    with pytest.raises(RecipeError, match="fewer warmup epochs"):
        Training.from_table(table, "[training]")
    assert Training(schedule=Cosine(warmup=warmup), epochs=warmup + 1).epochs == warmup + 1


def test_all_mistakes_are_found_at_once():
    table = {"rate": -1, "nmae": "x", "flag": "yes", "inner": Inner()}
    with pytest.raises(RecipeError) as error:
        Example.from_table(table, "[example]")
    assert error.value.where == "[example]"
    assert len(error.value.mistakes) == 4
    text = str(error.value)
    for part in ("unknown key 'nmae' (did you mean 'name'?)", "count is missing", "rate = -1: must be above 0", "flag = 'yes'"):
        assert part in text
    assert text.splitlines()[0] == "recipe [example]: 4 mistakes"


def test_mistakes_between_fields_come_when_each_is_right():
    with pytest.raises(RecipeError, match="share must not be larger"):
        Example(count=1, share=0.5, rate=0.1)
    with pytest.raises(RecipeError, match=r"^recipe \[x\]: share must not be larger"):
        Example.from_table({"count": 1, "share": 0.5, "rate": 0.1}, "[x]")
    with pytest.raises(RecipeError) as error:
        Example(count=0, share=0.5, rate=0.1)
    assert len(error.value.mistakes) == 1


@given(
    st.builds(
        dict,
        count=st.integers(1, 99),
        rate=st.floats(0.1, 1e9),
        name=st.text(),
        flag=st.booleans(),
        choice=st.sampled_from(["one", "two", 3]),
        sizes=st.lists(st.integers(1, 9)),
        pair=st.one_of(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=2, max_size=2)),
        odd=st.integers(-3, 3),
    )
)
@hypothesis_settings(deadline=None, max_examples=50)
def test_a_table_leads_there_and_back(table):
    made = Example.from_table(table, "x")
    again = made.to_table()
    inner = again.pop("inner")
    assert inner == {"depth": 1} and "maybe" not in again
    assert Example.from_table(again, "x") == made
    assert {key: again[key] for key in table} == table


@pytest.mark.parametrize(
    ("limits", "text", "inside", "outside"),
    [
        (Range(low=1), "at least 1", [1, 2], [0.999]),
        (Range(above=0), "above 0", [1e-300], [0, -1]),
        (Range(low=0, below=1), "at least 0 and below 1", [0, 0.999], [1, -0.001]),
        (Range(above=0, high=2), "above 0 and at most 2", [2], [0, 2.001]),
        (Range(), "", [-1e300, 1e300], []),
    ],
)
def test_ranges(limits, text, inside, outside):
    assert str(limits) == text
    assert all(limits.holds(value) for value in inside)
    assert not any(limits.holds(value) for value in outside)


def test_settings_are_frozen_and_compare_by_value():
    one = Example(count=2, sizes=(1, 2))
    assert one == Example(count=2, sizes=[1, 2]) and hash(one) == hash(Example(count=2, sizes=(1, 2)))
    with pytest.raises(AttributeError):
        one.count = 3


@pytest.mark.parametrize(
    ("word", "known", "wanted"),
    [
        ("strid", ["stride", "filters"], "did you mean 'stride'?"),
        ("x", ["b", "a"], "known: a, b"),
        ("", [], "known: "),
    ],
)
def test_suggestions(word, known, wanted):
    assert suggest(word, known) == wanted


# The training table

TRAININGS = [
    Training(),
    Training(optimizer=SGD(learning_rate=0.5, momentum=0.9), schedule=Cosine(warmup=2, final=0.1), clip_norm=1.0),
    Training(optimizer=AdamW(weight_decay=0.5, beta_1=0.5), schedule=ReduceOnPlateau(patience=3), early_stopping=4),
    Training(loss="binary_cross_entropy", class_weights="balanced", monitor="loss", clip_value=0.5, batch=1, epochs=1),
]


@pytest.mark.parametrize("training", TRAININGS, ids=str)
def test_trainings_lead_there_and_back(training):
    assert Training.from_table(training.to_table(), "[training]") == training


def test_an_optimizer_may_be_named_alone():
    assert Training.from_table({"optimizer": "sgd", "schedule": "cosine"}, "x") == Training(optimizer=SGD(), schedule=Cosine())
    assert Training().optimizer == Adam() and Training().schedule == Constant()


@pytest.mark.parametrize(
    ("table", "mistakes"),
    [
        ({"optimizer": "adma"}, ["optimizer: unknown kind 'adma' (did you mean 'adam'?)"]),
        ({"optimizer": {}}, ["optimizer: must be a table with a kind"]),
        ({"optimizer": 3}, ["optimizer: must be a table with a kind"]),
        ({"optimizer": {"kind": "sgd", "beta_1": 0.5}}, ["optimizer: unknown key 'beta_1'"]),
        ({"optimizer": {"kind": "adam", "learning_rate": 0}}, ["optimizer: learning_rate = 0: must be above 0"]),
        ({"optimizer": {"kind": "sgd", "momentum": 1}}, ["optimizer: momentum = 1: must be at least 0 and below 1"]),
        ({"schedule": {"kind": "cosine", "warmup": -1}}, ["schedule: warmup = -1"]),
        ({"schedule": "linear"}, ["schedule: unknown kind 'linear'"]),
        ({"loss": "mse"}, ["loss = 'mse'"]),
        ({"batch": 0, "epochs": 1.5}, ["batch = 0", "epochs = 1.5"]),
        ({"optimizer": "x", "schedule": "y", "bach": 3}, ["optimizer: ", "schedule: ", "did you mean 'batch'?"]),
    ],
    ids=str,
)
def test_mistaken_trainings_are_refused_with_all_their_mistakes(table, mistakes):
    with pytest.raises(RecipeError) as error:
        Training.from_table(table, "[training]")
    assert error.value.where == "[training]" and len(error.value.mistakes) == len(mistakes)
    for mistake in mistakes:
        assert mistake in str(error.value)


def test_not_negative_takes_zero():
    assert AdamW(weight_decay=0).weight_decay == 0.0
    assert NotNegative.__metadata__[0].holds(0)
