"""The service: its answers are those of ``harken predict``, and what it refuses it refuses with a reason and no trace."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from harken import Arrays, Classifier
from harken.errors import ModelError
from harken.learn.stack.said import ViewAnswer
from harken.prediction import Prediction
from harken.report.picture import mel_picture_of
from harken.serve import Settings, answers, crew, metrics, uploads, work
from harken.serve import settings as given
from harken.serve import sound as sounds
from harken.serve.models import load_models
from harken.serve.settings import names_of, read_origin, read_size, read_token
from harken.serve.uploads import shown_name
from tests.browser import MISSING, open_browser
from tests.serving import WAV, left, serving, settings_for, sound

TOKEN = "a-token-that-is-long-enough"


@pytest.fixture(scope="module")
def settings(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_for(models, tmp_path_factory.mktemp("service"), max_upload=300_000, max_duration=20.0)


@pytest.fixture(scope="module")
def running(settings: Settings) -> Iterator[httpx.Client]:
    with serving(settings) as client:
        yield client


@pytest.fixture
def client(running: httpx.Client, settings: Settings) -> Iterator[httpx.Client]:
    """The service; what it was sent is gone afterwards."""
    yield running
    assert left(settings) == []
    assert running.service.crew.inside == 0  # type: ignore[attr-defined]


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem details of a refusal, which holds no path and no trace."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["status"] == status
    assert {"type", "title", "status", "detail"} <= set(found)
    assert not re.search(r"Traceback|File \"|/tmp|upload-|site-packages|\.py\b", answer.text), answer.text
    return dict(found)


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
        assert client.get("/v1/models/my-run").json()["text"] == "# A card\n"


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


# What it refuses


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("modl=wave", "did you mean 'model'"),
        ("model=waves", "did you mean 'wave'"),
        ("model=", "no model is called"),
        ("top=0", "1 to 10000"),
        ("top=-1", "1 to 10000"),
        ("top=1.5", "1 to 10000"),
        ("top=", "1 to 10000"),
        ("top=²", "1 to 10000"),
        ("top=99999999999999999999", "1 to 10000"),
        ("timeline=yes", "1 or 0"),
        ("picture=2", "1 or 0"),
        ("unknown=", "1 or 0"),
        ("timeline=1&timeline=0", "stands twice"),
        ("top=1&top=2", "stands twice"),
    ],
)
def test_a_query_that_cannot_be_understood_is_refused(client: httpx.Client, query: str, told: str) -> None:
    assert told in problem(client.post(f"/v1/predict?{query}", content=sound(440.0), headers=WAV), 422)["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json", "image/png", "application/x-www-form-urlencoded", "nonsense", "", "audio"]
)
def test_other_types_are_refused(client: httpx.Client, kind: str) -> None:
    told = problem(client.post("/v1/predict", content=sound(440.0), headers={"Content-Type": kind}), 415)
    assert "audio/*" in told["detail"]


@pytest.mark.parametrize("kind", ["audio/x-whatever", "application/octet-stream", "video/webm", "AUDIO/WAV; codecs=1"])
def test_types_of_sound_are_taken(client: httpx.Client, kind: str) -> None:
    content = sound(440.0)
    assert client.post("/v1/predict", content=content, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize(
    ("files", "status", "told"),
    [
        ([("other", ("a.wav", b"x", "audio/wav"))], 422, "field 'other'"),
        ([("file", ("a.wav", b"x", "audio/wav")), ("file", ("b.wav", b"x", "audio/wav"))], 422, "several fields"),
        ([("file", ("a.wav", b"", "audio/wav"))], 422, "a.wav is empty"),
        ([("file", ("a.txt", b"words", "text/plain"))], 415, "text/plain"),
        ([("file", ("../../a.wav", b"words and words", "audio/wav"))], 422, "a.wav: holds text"),
    ],
)
def test_forms_that_are_none_are_refused(client: httpx.Client, files: Any, status: int, told: str) -> None:
    assert told in problem(client.post("/v1/predict", files=files), status)["detail"]


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("multipart/form-data", b"", "boundary"),
        ("multipart/form-data; boundary=x", b"", "midst"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", "form"),
        ("multipart/form-data; boundary=x", b"no form at all", "no form"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nabc', "midst"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nabc\r\n--x--\r\n", "expected"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + b"b" * 9000 + b"\r\n\r\nabc\r\n--x--\r\n", "no form"),
        ("multipart/form-data; boundary=" + "x" * 5000, b"abc", "boundary"),
    ],
)
def test_broken_forms_are_refused(client: httpx.Client, kind: str, body: bytes, told: str) -> None:
    assert told in problem(client.post("/v1/predict", content=body, headers={"Content-Type": kind}), 422)["detail"]


def test_zero_bytes_are_refused(client: httpx.Client) -> None:
    assert "empty" in problem(client.post("/v1/predict?name=a.wav", content=b"", headers=WAV), 422)["detail"]


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd.wav", "..\\..\\boot.wav", "/etc/cron.d/x.wav", "a\0b.wav", "x" * 5000 + ".wav"]
)
def test_names_choose_no_place(client: httpx.Client, settings: Settings, name: str) -> None:
    before = sorted(path.name for path in Path(settings.folder).parent.iterdir())
    found = client.post("/v1/predict", params={"name": name, "model": "wave"}, content=sound(440.0), headers=WAV)
    assert found.status_code == 200
    shown = found.json()["file"]["name"]
    assert shown == shown_name(name)
    assert "/" not in shown and "\\" not in shown and len(shown) <= 200
    assert sorted(path.name for path in Path(settings.folder).parent.iterdir()) == before


@pytest.mark.parametrize("path", ["bad-audio/empty.mp3", "bad-audio/table-named.mp3", "bad-audio/truncated.mp3"])
def test_broken_files_are_refused_with_a_reason(client: httpx.Client, shared_data: Path, path: str) -> None:
    content = (shared_data / path).read_bytes()
    name = Path(path).name
    told = problem(client.post(f"/v1/predict?name={name}", content=content, headers={"Content-Type": "audio/mpeg"}), 422)
    assert told["detail"].startswith(name)
    assert len(told["detail"]) > len(name) + 10


@pytest.mark.parametrize("length", [1, 10, 100, 5000])
def test_noise_is_no_sound(client: httpx.Client, length: int) -> None:
    for seed in range(3):
        content = np.random.default_rng(seed).bytes(length)
        problem(client.post("/v1/predict", content=content, headers={"Content-Type": "application/octet-stream"}), 422)


@pytest.mark.parametrize("told_length", [True, False])
@pytest.mark.parametrize("form", [True, False])
def test_what_is_too_large_is_refused_with_the_limit(client: httpx.Client, told_length: bool, form: bool) -> None:
    content = bytes(400_000)
    if form:
        content = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + content + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x" if form else "audio/wav"}

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 10_000):
            yield content[start : start + 10_000]

    told = problem(client.post("/v1/predict", content=content if told_length else pieces(), headers=headers), 413)
    assert "300 kB (300,000 bytes)" in told["detail"]
    assert told["limit_bytes"] == 300_000


def bomb(seconds: float, claims: float | None = None) -> bytes:
    """A FLAC file of silence: some kB, whatever it lasts; its header claims another duration, or none (0)."""
    content = io.BytesIO()
    soundfile.write(content, np.zeros(round(seconds * 8000), np.int16), 8000, format="FLAC")
    found = bytearray(content.getvalue())
    if claims is not None:  # 36 bits of STREAMINFO are the number of samples
        packed = int.from_bytes(found[18:26], "big") & ~((1 << 36) - 1) | round(claims * 8000)
        found[18:26] = packed.to_bytes(8, "big")
    return bytes(found)


@pytest.mark.parametrize(("seconds", "claims"), [(21, None), (600, None), (600, 0), (600, 19)])
def test_decompression_bombs_are_refused_with_the_limit(client: httpx.Client, seconds: float, claims: float | None) -> None:
    content = bomb(seconds, claims)
    assert len(content) < 60_000
    answer = client.post("/v1/predict?picture=1", content=content, headers={"Content-Type": "audio/flac"})
    if claims == 19 and answer.status_code == 200:  # a decoder may stop where the header says that it ends
        assert answer.json()["file"]["seconds"] <= 20
        return
    told = problem(answer, 413)
    assert "may last 20 s;" in told["detail"]
    assert told["limit_seconds"] == 20.0


def test_a_header_that_claims_hours_costs_nothing(client: httpx.Client) -> None:
    told = problem(client.post("/v1/predict", content=bomb(1, 90_000), headers={"Content-Type": "audio/flac"}), 413)
    assert told["limit_seconds"] == 20.0


def test_as_long_as_allowed_is_answered(client: httpx.Client) -> None:
    found = client.post("/v1/predict?model=wave", content=bomb(20.0), headers={"Content-Type": "audio/flac"})
    assert found.status_code == 200
    assert found.json()["file"]["seconds"] == 20.0
    assert any("silent" in remark for remark in found.json()["remarks"])


def test_nothing_is_sure_of_silence(client: httpx.Client) -> None:
    found = client.post("/v1/predict", content=bomb(4.0), headers={"Content-Type": "audio/flac"}).json()
    assert [one["words"] for one in found["models"]] == ["silent", "silent"]
    assert found["agreement"] is None
    assert all(one["label"] and 0 < one["probability"] <= 1 for one in found["models"])  # as harken predict has them


def test_a_fault_of_the_service_tells_nothing(client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret-word in /tmp/secret-place")

    monkeypatch.setattr(work, "_said", fail)
    answer = client.post("/v1/predict", content=sound(440.0), headers=WAV)
    problem(answer, 500)
    assert "secret" not in answer.text
    assert "secret-word" in caplog.text


def test_a_decoder_that_breaks_tells_no_path(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def stream(path: str, rate: int) -> Any:
        raise OSError(f"cannot read {path}")
        yield

    monkeypatch.setattr(sounds, "stream_audio", stream)
    problem(client.post("/v1/predict?name=a.wav", content=sound(440.0), headers=WAV), 422)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/predict"), ("PUT", "/v1/models"), ("DELETE", "/metrics"), ("POST", "/")]
)
def test_other_methods_are_refused(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    problem(answer, 405)
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1",
        "/v1/predict/",
        "/assets/nothing.js",
        "/assets/../app.py",
        "/assets/%2e%2e/app.py",
        "/docs/assets/swagger/../../__init__.py",
    ],
)
def test_other_addresses_are_refused(client: httpx.Client, path: str) -> None:
    problem(client.get(path), 404)


# Who may ask


def test_every_answer_has_the_headers_of_a_careful_page(client: httpx.Client) -> None:
    asked = [
        client.get("/"), client.get("/docs"), client.get("/v1/models"), client.get("/nothing"), client.get("/metrics"),
        client.post("/v1/predict", content=b"", headers=WAV), client.get("/healthz", headers={"Host": "evil.example"}),
    ]  # fmt: skip
    for answer in asked:
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy and "*" not in policy
        assert "img-src 'self' data: blob:" in policy and "media-src 'self' blob:" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
    assert client.get("/v1/models").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost.evil", "[::2]"])
def test_other_names_are_refused_against_dns_rebinding(client: httpx.Client, host: str) -> None:
    told = problem(client.get("/v1/models", headers={"Host": host}), 421)
    assert "--allow-host" in told["detail"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1"])
def test_own_names_are_taken(client: httpx.Client, host: str) -> None:
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil:80", "http://localhost:1", "http://[x", "http://["]
)
def test_pages_elsewhere_may_not_ask(client: httpx.Client, origin: str) -> None:
    headers = {**WAV, "Host": "localhost:8000", "Origin": origin}
    told = problem(client.post("/v1/predict", content=sound(440.0), headers=headers), 403)
    assert "--cors" in told["detail"]
    assert client.post(
        "/v1/predict", content=sound(440.0), headers={**headers, "Origin": "http://localhost:8000"}
    ).status_code == 200  # fmt: skip
    assert "access-control-allow-origin" not in client.get("/v1/models", headers={"Origin": origin}).headers


def test_allowed_origins_may_ask(models: dict[str, str], tmp_path: Path) -> None:
    mine, other = "https://music.example", "https://evil.example"
    settings = settings_for({"wave": models["wave"]}, tmp_path, cors=(mine,), token=TOKEN)
    with serving(settings) as client:
        asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        before = client.options("/v1/predict", headers={"Origin": mine, **asking})
        assert before.status_code == 200
        assert before.headers["access-control-allow-origin"] == mine
        assert "authorization" in before.headers["access-control-allow-headers"].lower()
        refused = client.options("/v1/predict", headers={"Origin": other, **asking})
        assert "access-control-allow-origin" not in refused.headers
        given = {**WAV, "Authorization": f"Bearer {TOKEN}"}
        answer = client.post("/v1/predict", content=sound(440.0), headers={**given, "Origin": mine})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == mine
        assert answer.headers["vary"] == "Origin"
        unknown = client.post("/v1/predict", content=sound(440.0), headers={**WAV, "Origin": mine})
        assert (unknown.status_code, unknown.headers["access-control-allow-origin"]) == (401, mine)
        assert client.post("/v1/predict", content=sound(440.0), headers={**given, "Origin": other}).status_code == 403


@pytest.fixture(scope="module")
def guarded(models: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = settings_for({"wave": models["wave"]}, tmp_path_factory.mktemp("guarded"), token=TOKEN, hosts=())
    with serving(settings) as client:
        yield client


@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer ä"],
)  # fmt: skip
def test_without_the_token_there_is_no_answer(guarded: httpx.Client, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    for method, path in (("GET", "/v1/models"), ("GET", "/v1/models/wave"), ("POST", "/v1/predict"), ("GET", "/metrics")):
        answer = guarded.request(method, path, headers=headers)  # type: ignore[arg-type]
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_with_the_token_there_is(guarded: httpx.Client) -> None:
    for scheme in ("Bearer", "bearer"):
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        assert guarded.get("/v1/models", headers=headers).status_code == 200
        assert guarded.post("/v1/predict", content=sound(440.0), headers={**headers, **WAV}).status_code == 200
    for open_to_all in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
        assert guarded.get(open_to_all).status_code == 200
    assert not {TOKEN, "wave"} & set(re.findall(r"[\w-]+", guarded.get("/openapi.json").text))
    assert guarded.get("/openapi.json").json()["security"] == [{"token": []}]


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
