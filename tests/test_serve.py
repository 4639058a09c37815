"""The service: its answers are those of ``harken predict``, what it tells of itself, and what is written of it."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from harken import Arrays, Classifier
from harken.archive import load_model
from harken.confidence import Price
from harken.errors import ModelError
from harken.learn.stack.said import ViewAnswer
from harken.prediction import Prediction
from harken.report.picture import mel_picture_of
from harken.serve import answers, crew, metrics, uploads, work
from harken.serve import settings as given
from harken.serve import sound as sounds
from harken.serve.models import Served, load_models
from harken.serve.settings import names_of, read_origin, read_size, read_token
from tests.browser import MISSING, open_browser
from tests.serving import TOKEN, WAV, left, problem, serving, settings_for, sound

# What it says


@pytest.mark.parametrize("how", ["raw", "form"])
def test_answers_are_those_of_predict(client: httpx.Client, models: dict[str, str], tmp_path: Path, how: str) -> None:
    content = sound(440.0, 7.5, kind="FLAC")
    (tmp_path / "a.flac").write_bytes(content)
    if how == "raw":
        given: dict[str, Any] = {"content": content, "headers": {"Content-Type": "audio/flac"}}
        address = "/v1/predict?timeline=1&name=a.flac"
    else:
        given, address = {"files": {"file": ("a.flac", content, "audio/flac")}}, "/v1/predict?timeline=1"
    found = client.post(address, **given)
    assert found.status_code == 200
    document = found.json()
    assert document["file"] == {"name": "a.flac", "seconds": 7.5, "bytes": len(content)}
    assert [one["model"] for one in document["models"]] == list(models)
    for one, path in zip(document["models"], models.values(), strict=True):
        model = Classifier.load(path)
        (known,) = model.predict_files([str(tmp_path / "a.flac")])
        assert one["label"] == known.label
        assert one["probability"] == known.probability
        assert [(each["label"], each["probability"]) for each in one["classes"]] == known.ranked(model.classes)
        assert [(clip["start_s"], clip["end_s"], clip["label"]) for clip in one["timeline"]] == [
            (moment.start, moment.end, moment.label) for moment in known.timeline
        ]
        for clip, moment in zip(one["timeline"], known.timeline, strict=True):
            assert list(clip["classes"].values()) == moment.probabilities.tolist()
            assert clip["probability"] == moment.probabilities.max()
        assert one["words"] == answers.in_words(known.probability)
        assert one["unknown"] is False
        assert one["took_ms"] > 0


def test_one_model_top_and_no_agreement(client: httpx.Client) -> None:
    found = client.post("/v1/predict?model=near&top=1", content=sound(110.0), headers=WAV).json()
    assert [one["model"] for one in found["models"]] == ["near"]
    assert len(found["models"][0]["classes"]) == 1
    assert found["models"][0]["label"] == "deep"
    assert found["agreement"] is None
    assert "picture" not in found
    assert "timeline" not in found["models"][0]


def test_models_that_agree_are_told_so(client: httpx.Client) -> None:
    found = client.post("/v1/predict", content=sound(110.0), headers=WAV).json()
    labels = {one["label"] for one in found["models"]}
    assert found["agreement"]["agree"] is (len(labels) == 1)
    assert all(label in found["agreement"]["sentence"] for label in labels)


def test_what_the_views_of_a_stack_say_is_told() -> None:
    views = (ViewAnswer("timbre", "waltz", 0.8, 1.5, 0.7), ViewAnswer("rhythm", "", float("nan"), 0.5, 0.0))
    answer = Prediction("a.wav", "waltz", np.array([0.75, 0.25]), views=views)
    found = answers.of_model("m", ("waltz", "jig"), answer, least=None, top=None, timeline=False, took=0.01)
    assert found["views"] == {
        "timbre": {"label": "waltz", "probability": 0.8, "weight": 1.5, "contribution": 0.7},
        "rhythm": {"label": None, "probability": None, "weight": 0.5, "contribution": 0.0},
    }
    assert (found["words"], found["took_ms"]) == ("fairly sure", 10.0)


def test_a_model_without_an_answer_says_why_beside_one_that_has() -> None:
    short = Prediction("a.wav", "", np.array([np.nan, np.nan]), error="too short for it")
    found = answers.of_model("m", ("waltz", "jig"), short, least=0.5, top=1, timeline=True, took=0.01)
    assert found == {
        "model": "m", "label": None, "error": "too short for it", "classes": [], "unknown": False, "took_ms": 10.0,
    }  # fmt: skip


def test_a_model_that_hears_no_audio_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = Arrays(np.float32(rng.normal(0, 1, (20, 1200))), np.repeat([0, 1], 10), ("quiet", "loud"))
    logging.getLogger("harken").setLevel(logging.ERROR)
    Classifier(recipe="wave-mlp", epochs=1).fit(rows).save(tmp_path / "rows.harken")
    logging.getLogger("harken").setLevel(logging.NOTSET)
    with pytest.raises(ModelError, match="trained on rows of numbers"):
        load_models(settings_for({"rows": str(tmp_path / "rows.harken")}, tmp_path / "s"))


def test_agreement_leaves_out_who_has_no_answer() -> None:
    one, two = {"model": "a", "label": "x"}, {"model": "b", "label": None}
    assert answers.agreement([one, two]) is None
    assert answers.agreement([one, two, {"model": "c", "label": "x"}]) == {
        "agree": True, "label": "x", "sentence": "a and c agree: x",
    }  # fmt: skip


def test_models_that_know_other_classes_could_not_agree() -> None:
    said = [{"model": name, "label": label} for name, label in (("a", "jig"), ("b", "rock"), ("c", "jig"))]
    knows = {"a": ["jig", "reel"], "b": ["rock", "pop"], "c": ["jig", "rock"]}
    sentence = (
        "the models could not agree: a says jig, which b does not know; b says rock, which a does not know; "
        "c says jig, which b does not know"
    )
    assert answers.agreement(said, knows) == {"agree": None, "label": None, "sentence": sentence}
    assert answers.agreement(said[:2], knows | {"b": ["jig", "rock"]})["agree"] is None  # type: ignore[index]
    assert answers.agreement(said[::2], knows)["agree"] is True  # type: ignore[index]
    assert answers.agreement(said[:2], {"a": ["jig", "rock"], "b": ["jig", "rock"]})["agree"] is False  # type: ignore[index]
    strange = [said[0], {"model": "b", "label": "unknown"}]  # that is said of any class
    assert answers.agreement(strange, knows)["agree"] is False  # type: ignore[index]
    hush = [said[0], said[1] | {"words": "silent"}]
    assert answers.agreement(hush, knows) is None


def test_unknown_is_said_as_predict_says_it(client: httpx.Client, models: dict[str, str], tmp_path: Path) -> None:
    content = sound(440.0)
    (tmp_path / "a.wav").write_bytes(content)
    model = Classifier.load(models["near"])
    (known,) = model.predict_files([str(tmp_path / "a.wav")])
    wanted = known.or_unknown(model.model.confidence.threshold())
    assert wanted.label == "unknown"  # its examples lie far away
    asked = client.post("/v1/predict?model=near&unknown=1", content=content, headers=WAV).json()["models"][0]
    assert (asked["label"], asked["unknown"], asked["words"]) == ("unknown", True, "unknown")
    assert asked["probability"] == wanted.probability
    assert asked["classes"][0]["label"] == known.label
    for query in ("", "&unknown=0"):
        plain = client.post(f"/v1/predict?model=near{query}", content=content, headers=WAV).json()["models"][0]
        assert (plain["label"], plain["unknown"]) == (known.label, False)


def test_the_picture_is_that_of_the_sound(client: httpx.Client) -> None:
    found = client.post("/v1/predict?model=wave&picture=1", content=sound(440.0, 5.0), headers=WAV).json()["picture"]
    content = base64.b64decode(found["png"])
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (found["width"], found["height"])
    assert found["seconds"] == pytest.approx(5.0, abs=0.01)
    assert (found["low_hz"], found["high_hz"]) == (0, 11025)


def test_a_picture_shows_a_tone_where_it_sounds() -> None:
    from matplotlib.image import imread

    time = np.arange(3 * 22050) / 22050
    samples = np.where(time < 1.5, np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 6000 * time)).astype(np.float32)
    drawn = imread(io.BytesIO(mel_picture_of([samples]).png))[:, :, 0]
    rows = drawn.argmax(axis=0)
    assert drawn.shape == (64, -(-len(samples) // 512))
    assert rows[len(rows) // 4] > 50  # low pitches lie below
    assert rows[3 * len(rows) // 4] < 20


@pytest.mark.parametrize("count", [1, 511, 220_160 - 1024, 220_160, 220_161, 440_920])
def test_a_picture_does_not_depend_on_blocks_and_has_a_column_every_512_samples(count: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)
    whole, cut = mel_picture_of([samples]), mel_picture_of(np.array_split(samples, 7))
    assert whole == cut
    assert whole.width == -(-count // 512)
    assert whole.seconds == count / 22050


def test_a_long_picture_is_no_wider_than_a_screen() -> None:
    block = np.zeros(22050 * 10, dtype=np.float32)
    assert mel_picture_of(block for _ in range(12)).width == 1200


def test_a_sound_is_decoded_once_for_all_who_ask_at_a_rate(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[int] = []
    usual = sounds.stream_audio

    def stream(path: str, rate: int) -> Any:
        rates.append(rate)
        return usual(path, rate)

    monkeypatch.setattr(sounds, "stream_audio", stream)
    found = client.post("/v1/predict?picture=1", content=sound(440.0), headers=WAV)
    assert found.status_code == 200
    assert sorted(rates) == [400, 22050]  # the picture hears what the second model has heard
    rates.clear()
    monkeypatch.setattr(sounds, "KEPT_SAMPLES", 1000)  # too long to be kept: heard again, with the same answer
    again = client.post("/v1/predict?picture=1", content=sound(440.0), headers=WAV)
    assert sorted(rates) == [400, 22050, 22050]
    assert again.json()["picture"] == found.json()["picture"]


def test_what_there_is_to_say_of_a_file_stands_in_its_answer(client: httpx.Client) -> None:
    found = client.post("/v1/predict?model=wave&name=short.wav", content=sound(440.0, 1.0), headers=WAV).json()
    assert len(found["remarks"]) == 1
    assert found["remarks"][0].startswith("short.wav")
    assert client.post("/v1/predict?model=wave", content=sound(440.0), headers=WAV).json()["remarks"] == []


# What there is


def test_models_are_listed_and_described(client: httpx.Client) -> None:
    found = client.get("/v1/models").json()
    wave, near = found["models"]
    assert wave == {
        "name": "wave", "classes": ["deep", "high"], "kind": "net", "recipe": "wave-mlp", "clip_s": 3.0, "rate_hz": 400,
        "knows_unknown": False, "calibrated": False, "card": "/v1/models/wave",
    }  # fmt: skip
    assert near["knows_unknown"] and near["calibrated"] and near["kind"] == "neighbours"
    assert found["limits"] == {"upload_bytes": 300_000, "duration_s": 20.0}
    card = client.get(near["card"]).json()
    assert near.items() <= card.items()
    assert "deep" in card["text"] and card["text"].startswith("# near")
    assert card["trained_on"]["tracks"] == 8
    told = problem(client.get("/v1/models/neer"), 404)
    assert "did you mean 'near'?" in told["detail"]


def test_the_card_beside_a_model_is_shown(models: dict[str, str], tmp_path: Path) -> None:
    run = tmp_path / "my-run"
    run.mkdir()
    (run / "model.harken").write_bytes(Path(models["wave"]).read_bytes())
    (run / "model-card.md").write_text("# A card\n", "utf-8")
    path = str(run / "model.harken")
    settings = settings_for(dict(zip(names_of((path,)), (path,), strict=True)), tmp_path / "s")
    with serving(settings) as client:
        text = client.get("/v1/models/my-run").json()["text"]
    assert text == '# A card\n\nAnswer "unknown": never answered: it cannot tell what is unlike its classes.\n'


def test_an_aligned_model_of_a_run_is_called_by_its_folder() -> None:
    paths = ("runs/knn-folk/model.harken", "runs/knn-folk/model-aligned.harken", "runs/knn-folk/model-aligned-aligned.harken")
    assert names_of(paths) == ("knn-folk", "knn-folk-aligned", "knn-folk-aligned-aligned")
    assert names_of(("runs/model-b.harken", "dances-aligned.harken")) == ("model-b", "dances-aligned")


def test_a_card_says_what_the_unknown_is_worth(models: dict[str, str]) -> None:
    near, wave = (load_model(models[name]) for name in ("near", "wave"))
    measured = replace(near.confidence, price=Price(0.95, 0.94, 0.62, 0.5, 0.73, 0.8, 4))
    for model, reason in (
        (wave, "never answered"),
        (near, "it knows what is familiar to it; how much of other music it recognises was not measured"),
        (replace(near, confidence=measured), "of left-out classes 62 % (50 to 73 %) were recognised as unknown"),
        (replace(wave, classes=("deep", "noise")), "it is answered for noise, as any class is"),
    ):
        card = Served("m", "m.harken", Classifier.of(model)).card()
        assert reason in card["unknown"]
        assert card["unknown"] in card["text"]


def test_practice_before_the_first_request_leaves_nothing_and_changes_nothing(
    client: httpx.Client, models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    usual = work.predict
    monkeypatch.setattr(work, "predict", lambda sent, *rest: (heard.append(sent.name), usual(sent, *rest))[1])
    warm = settings_for(models, tmp_path, cold=False)
    with serving(warm) as other:
        assert [name[: len(work.PRACTICE)] for name in heard] == [work.PRACTICE]
        assert left(warm) == []
        found = [each.post("/v1/predict?timeline=1", content=sound(440.0), headers=WAV).json() for each in (client, other)]
    for document in found:
        for one in document["models"]:
            del one["took_ms"]
    assert found[0] == found[1]


def test_signs_of_life_and_the_page(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.head("/healthz").status_code == 200
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script>" not in page.text and "style=" not in page.text
    for address in re.findall(r'(?:src|href)="(assets/[^"]+)"', page.text):
        assert client.get(f"/{address}").status_code == 200, address


def test_the_docs_are_served_from_here(client: httpx.Client) -> None:
    page = client.get("/docs")
    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(found) >= 4
    for address in found:
        assert not address.startswith(("http", "/"))
        assert client.get(f"/{address}").status_code == 200, address
    assert client.get("/openapi.json").json()["paths"].keys() >= {"/v1/predict", "/v1/models", "/metrics"}


def samples_of(text: str) -> dict[str, float]:
    """Prometheus' text as a table."""
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in rows}


def test_metrics_count_what_happens(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    line = re.compile(r'# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.e+-]+')
    assert all(line.fullmatch(each) for each in answer.text.splitlines())
    before = samples_of(answer.text)
    content = sound(440.0, 4.0)
    client.post("/v1/predict?model=wave", content=content, headers=WAV)
    client.post("/v1/predict?model=wave", content=b"", headers=WAV)
    after = samples_of(client.get("/metrics").text)
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name] and "bucket" not in name}
    assert grown['harken_requests_total{route="predict",status="200"}'] == 1
    assert grown['harken_requests_total{route="predict",status="422"}'] == 1
    assert grown['harken_predictions_total{model="wave"}'] == 1
    assert grown["harken_upload_bytes_total"] == len(content)
    assert grown["harken_sound_seconds_total"] == pytest.approx(4.0)
    assert grown["harken_predict_seconds_count"] == 1  # a refusal is fast, and would make the others look so
    assert after['harken_predict_seconds_bucket{le="+Inf"}'] == after["harken_predict_seconds_count"]
    assert after["harken_processes"] == 1
    assert after["harken_in_flight"] == 0


def test_metrics_of_several_processes_are_added_and_the_dead_hold_nothing(tmp_path: Path) -> None:
    one, two = (metrics.Metrics(str(tmp_path), ["m"]) for _ in range(2))
    for each in (one, two):
        each.request("predict", 200)
        each.inside(3)
    assert samples_of(one.text())["harken_in_flight"] == 6
    two.close()
    found = samples_of(one.text())
    assert found['harken_requests_total{route="predict",status="200"}'] == 2
    assert (found["harken_in_flight"], found["harken_processes"]) == (3, 1)
    assert metrics.answered(str(tmp_path)) == 2


# What it is told at its start


@pytest.mark.parametrize("text", ["", "0", "-1MB", "1e3", "many", "1 MB MB", "MB", "0.2", "nan"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    from harken.errors import HarkenError

    with pytest.raises(HarkenError, match="200MB"):
        read_size(text)


@pytest.mark.parametrize(
    "text", ["*", "null", "example.org", "https://", "https://a/b", "ftp://a", "https://a b", "https://a:x"]
)
def test_origins_that_are_none_are_refused(text: str) -> None:
    from harken.errors import HarkenError

    with pytest.raises(HarkenError, match="no origin"):
        read_origin(text)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short\n", b"a token with spaces\n", "ein-token-mit-größe-öä".encode(), b"\xff\xfe" * 20]
)
def test_tokens_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    from harken.errors import HarkenError

    (tmp_path / "token").write_bytes(content)
    with pytest.raises(HarkenError, match="token"):
        read_token(str(tmp_path / "token"))
    with pytest.raises(HarkenError, match="cannot be read"):
        read_token(str(tmp_path / "no-such"))


def test_a_token_is_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"  {TOKEN} \nand more\n", "utf-8")
    assert read_token(str(tmp_path / "token")) == TOKEN


def test_the_answer_is_json_and_nothing_else(client: httpx.Client) -> None:
    found = client.post("/v1/predict?timeline=1&picture=1", content=sound(440.0), headers=WAV)
    assert found.headers["content-type"] == "application/json"

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(found.content, parse_constant=refuse)


# What is written of it

DOCS = (Path(__file__).parents[1] / "docs" / "serve.md").read_text("utf-8")


def test_the_docs_name_every_option_parameter_metric_and_refusal() -> None:
    from harken.cli.serve import command
    from harken.serve.app import PARAMETERS

    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    told = set(re.findall(r"--[a-z][a-z-]+", DOCS))
    assert options - told <= {"--engine", "--device", "--unknown-share", "--port"}  # of which --help says enough
    assert told - options <= {"--data-binary"}
    assert all(f"`{name}=" in DOCS for name in PARAMETERS)
    assert all(f"`{name}`" in DOCS for name in metrics._HELP)
    assert all(f"| {status} |" in DOCS for status in (401, 403, 408, 413, 415, 421, 422, 503))


def test_the_docs_show_answers_as_they_are(client: httpx.Client) -> None:
    answer, refusal = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)]
    found = client.post("/v1/predict?top=2&model=wave", content=sound(440.0), headers=WAV).json()
    assert found.keys() == answer.keys()
    assert found["file"].keys() == answer["file"].keys()
    assert found["models"][0].keys() == answer["models"][0].keys()
    assert client.post("/v1/predict", content=bytes(400_000), headers=WAV).json().keys() == refusal.keys()
    for word, least in (("sure", 0.9), ("fairly sure", 0.7), ("unsure", 0.5)):
        assert answers.in_words(least) == word
        assert f'"{word}" from {least}' in DOCS


def test_the_docs_tell_the_defaults() -> None:
    from harken.cli.serve import command

    shown = {parameter.opts[0]: parameter.default for parameter in command.params}
    for option in ("--max-upload", "--max-duration", "--patience", "--workers"):
        assert f"| `{option}` | {shown[option]} |" in DOCS
    assert f"| `--queue` | {given.QUEUE} |" in DOCS
    assert "proxy_set_header Host $http_host;" in DOCS  # $host drops the port, and the page would be refused as a stranger's
    assert f"{given.DRAIN:g} s" in DOCS and f"{sounds.LONGEST_WORK:g} s" in DOCS
    assert f"may take {uploads.LONGEST_BODY / 60:g} min" in DOCS and f"{crew.MOST_SENDERS} bodies" in DOCS


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_the_docs_page_keeps_its_own_policy(client: httpx.Client) -> None:
    with open_browser() as browser:
        browser.open(f"{client.base_url}/docs")
        browser.until("return document.body.innerText.includes('/v1/predict')")
        assert browser.log("browser") == []
        asked = browser.requests(str(client.base_url))
        assert len(asked) >= 4
        assert all(address.startswith((str(client.base_url), "data:")) for address in asked)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3", "a.aiff", "a.m4a", "a.aac"])
def test_all_kinds_of_files_are_heard_whatever_they_are_called(client: httpx.Client, tone: Any, name: str) -> None:
    content = tone(name, seconds=3.2, rate=24000 if name.endswith("opus") else 22050).read_bytes()
    for called in (name, "no-suffix", "a.wav"):
        answer = client.post(f"/v1/predict?model=wave&name={called}", content=content, headers={"Content-Type": "audio/x"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["file"]["seconds"] == pytest.approx(3.2, abs=0.15)


def test_what_a_browser_records_is_heard(client: httpx.Client) -> None:
    import av

    content = io.BytesIO()
    with av.open(content, "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=48000, layout="mono")
        samples = (0.3 * np.sin(np.arange(4 * 48000) / 20)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = 48000
        for piece in (frame, None):
            container.mux(stream.encode(piece))
    headers = {"Content-Type": "audio/webm;codecs=opus"}
    answer = client.post("/v1/predict?picture=1", content=content.getvalue(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["file"]["seconds"] == pytest.approx(4.0, abs=0.1)
