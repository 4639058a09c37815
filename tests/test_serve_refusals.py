"""What the service refuses, and to whom: each with a reason, and no trace."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from harken.serve import Settings, work
from harken.serve import sound as sounds
from harken.serve.uploads import shown_name
from tests.serving import TOKEN, WAV, problem, serving, settings_for, sound

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
