"""The report within a time: what of its examples is left out, and said, where hearing and explaining them takes too long."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.archive import save_model
from harken.explain import deciding
from harken.explain.hiding import COLUMNS, OCTAVES, hears_again, of_sound
from harken.explain.occlusion import heat_of, times_asked
from harken.frontends.backbone import network, places
from harken.recipes import load_recipe
from harken.report import why, write_reports
from harken.report.examples import RIGHT_SURE, Example, endless, telling, with_sound
from harken.report.reading import Judged, Reading, read_run
from harken.report.why import whys
from harken.run import Run
from harken.train import train
from tests.backbones import RATE, declare, tones
from tests.explaining import WITH, cued
from tests.test_explain_files import stack


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of a small network's head, on tones that it tells apart."""
    folder = tmp_path_factory.mktemp("heads")
    rng = np.random.default_rng(0)
    time = np.arange(round(0.4 * RATE)) / RATE
    for label, hertz in (("high", 2100.0), ("low", 200.0)):
        (folder / "data" / label).mkdir(parents=True)
        for number in range(10):
            sound = rng.uniform(0.2, 0.6) * np.sin(2 * np.pi * hertz * time) + 0.02 * rng.standard_normal(len(time))
            soundfile.write(folder / "data" / label / f"{number}.wav", sound.astype(np.float32), RATE, subtype="FLOAT")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARKEN_CACHE", str(folder / "cache"))
        for name in ("_told", "_given", "_hashes"):
            patch.setattr(places, name, {})
        patch.setattr(network, "_open", OrderedDict())
        net = declare(tones(folder / "tones.onnx"))
        train(folder / "data", f"linear-head+{net}", out=folder / "run", report=False, baselines=False)
        yield folder / "run"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for each window that a network is asked about."""
    found: list[str] = []
    real = network.Network.answer

    def answer(self: network.Network, *given: Any) -> Any:
        found.append(self.path.name)
        return real(self, *given)

    monkeypatch.setattr(network.Network, "answer", answer)
    return found


def read(run: Path) -> tuple[list[Any], Reading]:
    reading = read_run(run)
    return with_sound(telling(reading.judged, reading.classes), reading.folder), reading


def test_a_map_asks_no_more_than_is_reckoned_with() -> None:
    """The most that a map of a sound asks, of as many cells as there are at most."""
    rows = []

    def ask(x: np.ndarray) -> np.ndarray:
        rows.append(len(x))
        level = np.abs(x).mean(axis=1).astype(np.float64)
        return np.stack([level, 1 - level], axis=1)

    sound = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    field = of_sound(sound, RATE, lambda made: made)
    assert field.shape == (OCTAVES, COLUMNS)
    heat_of(field, ask, 0, 0.0)
    assert 0.9 * times_asked(*field.shape) <= sum(rows) <= times_asked(*field.shape)


def test_only_what_has_no_telling_names_is_heard_again(made: Path) -> None:
    assert not any(hears_again(load_recipe(name).frontend) for name in ("mel-res", "timbre", "rhythm", "wave-mlp", "knn"))
    assert hears_again(load_recipe(made / "recipe.toml").frontend)


def test_what_a_network_rests_on_is_shown_where_there_is_time(made: Path, asked: list[str]) -> None:
    shown, reading = read(made)
    found = whys(shown, reading)
    assert found.of and not found.left_out and all(each.picture for each in found.of.values())
    assert len(asked) > 100 * len(found.of)


def test_a_slow_network_is_not_asked_hundreds_of_times_and_the_report_says_so(
    made: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(why, "_heard_in", lambda _: 10.0)
    shown, reading = read(made)
    found = whys(shown, reading)
    assert not found.of and not asked
    (said,) = found.left_out
    assert "None of the examples is explained" in said and "24 min" in said and "harken explain" in said
    assert "None of the examples is explained" in write_reports(made).report.read_text()


def test_the_other_views_are_explained_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Path) -> None:
    """Of a stack with a view that hears sounds again: where that takes too long, and where it takes a part of the time."""

    save_model(tmp_path / "model.harken", stack())
    rng = np.random.default_rng(3)
    soundfile.write(tmp_path / "a.wav", np.concatenate([cued(rng, cue, 0.5) for cue in (False, True, False)]), 8000)
    track = Judged(str(tmp_path / "a.wav"), WITH, WITH, "", 0.0, 3.0, {WITH: 1.0}, (0.0, 3.0))
    shown = [Example(track, (RIGHT_SURE,), sound="data:x")] * 3
    reading = Reading(folder=tmp_path, metrics={}, model_hash="x")
    whole = whys(shown, reading)
    assert len(whole.of) == 3 and all(each.picture for each in whole.of.values()) and not whole.left_out
    for module in (why, deciding):
        monkeypatch.setattr(module, "hearings", lambda model: 100 if model.recipe.name == "cue" else 0)
    monkeypatch.setattr(why, "_heard_in", lambda _: 50.0)
    without = whys(shown, reading)
    assert len(without.of) == 3 and not any(each.picture for each in without.of.values())
    for number, each in without.of.items():
        assert each.sentences[0] == whole.of[number].sentences[0] and not any(one.startswith("cue: ") for one in each.sentences)
    (said,) = without.left_out
    assert "What cue rests on is shown for none of them" in said and "100 times over" in said
    monkeypatch.setattr(why, "_heard_in", lambda _: 0.1)
    times = iter([20.0, 20.0, *[3.0] * 9])
    some = whys(shown, reading, lambda: next(times))
    assert len(some.of) == 3 and some.of[0].picture
    none = whys(shown, reading, lambda: 0.5)
    assert not none.of and "None of the examples is explained" in none.left_out[0]


def test_time_that_is_up_ends_the_explanations_and_the_sounds(made: Path) -> None:
    shown, reading = read(made)
    assert len(shown) > 1
    left = iter([100.0] * 2 + [0.0] * 20)
    few = whys(shown, reading, lambda: next(left))
    assert len(few.of) == 1 and f"Only 1 of {len(shown)} examples is explained" in few.left_out[0]
    once = iter([1.0] + [0.0] * 20)
    heard = with_sound(telling(reading.judged, reading.classes), reading.folder, left=lambda: next(once))
    assert sum(bool(each.sound) for each in heard) == 1
    assert all("harken report" in each.silent for each in heard if not each.sound)


def test_a_report_that_had_no_time_is_written_whole_later(made: Path) -> None:
    short = write_reports(made, left=lambda: 0.0).report.read_text()
    assert "as the time of the budget was up" in short and "<audio" not in short
    whole = write_reports(made, left=endless).report.read_text()
    assert "<audio" in whole and "the time of the budget" not in whole and Run(made).report.exists()
