"""A service that is busy, slow, cut off or odd when a test wants it: the page must bear with it."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html"}
CLASSES = ["<script>document.title='broken-in'</script>", "waltz", "x" * 70]
_MODEL = {"kind": "stack", "recipe": "r", "clip_s": 3.0, "rate_hz": 400, "knows_unknown": True, "card": ""}
MODELS = [{"name": name, "classes": CLASSES, **_MODEL} for name in ("a", "b")]

_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"png": _PIXEL, "seconds": 12.0, "low_hz": 0.0, "high_hz": 11025.0, "width": 1, "height": 1}


def answer() -> dict[str, Any]:
    """A song of 12 s: four clips, and a label that is HTML."""
    shares = dict(zip(CLASSES, (0.75, 0.2, 0.05), strict=True))
    clips = [
        {"start_s": 3.0 * n, "end_s": 3.0 * n + 3, "label": CLASSES[0 if n else 2], "probability": 0.75, "classes": shares}
        for n in range(4)
    ]
    classes = [{"label": label, "probability": share} for label, share in shares.items()]
    said = {
        "label": CLASSES[0],
        "probability": 0.75,
        "words": "fairly sure",
        "unknown": False,
        "classes": classes,
        "timeline": clips,
    }
    views = {"timbre": {"label": "waltz", "probability": 0.5, "weight": 1.0, "contribution": -0.25}}
    models = [{"model": model["name"], **said, "views": views, "took_ms": 1} for model in MODELS]
    agreement = {"agree": True, "label": CLASSES[0], "sentence": "a and b agree"}
    return {"file": {"name": "x", "seconds": 12.0, "bytes": 9}, "models": models, "agreement": agreement}


class FakeService:
    """Serves the page's files, and answers as it is told.

    Parameters
    ----------
    page : Path
        The folder of the page.
    """

    def __init__(self, page: Path) -> None:
        self.page = page
        self.lock = threading.Lock()
        self.reset()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                if path == "/v1/models":
                    return self.send(200, json.dumps({"models": MODELS, "unknown": True}).encode())
                file = service.page / ("index.html" if path == "/" else Path(path).name)
                return self.send(200, file.read_bytes(), TYPES[file.suffix]) if file.is_file() else self.send(404, b"")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                service.predict(self)

            def send(self, status: int, content: bytes, type_: str = "application/json", **headers: str) -> None:
                self.send_response(status)
                policy = "default-src 'self'; img-src 'self' data: blob:; media-src blob:"
                told = {
                    "Content-Type": type_,
                    "Content-Length": str(len(content)),
                    "Content-Security-Policy": policy,
                    **headers,
                }
                for name, value in {**told, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def reset(self, *, busy: int = 0, slow: float = 0.0, cut: bool = False) -> None:
        """Behave so from now on: so many times busy, so many seconds slow, hanging up without an answer."""
        self.busy, self.slow, self.cut = busy, slow, cut
        self.now = self.most = self.refused = self.asked = self.pictures = 0
        self.turned: dict[str, float] = {}
        self.pauses: list[float] = []
        self.paths: list[str] = []

    def predict(self, handler: Any) -> None:
        """Answer, or not."""
        with self.lock:
            self.asked += 1
            self.paths.append(handler.path)
            self.pictures += "picture=1" in handler.path
            self.now += 1
            self.most = max(self.most, self.now)
            if handler.path in self.turned:
                self.pauses.append(time.monotonic() - self.turned.pop(handler.path))
            turned = self.refused < self.busy
            self.refused += turned
            if turned:
                self.turned[handler.path] = time.monotonic()
        try:
            time.sleep(self.slow)
            if self.cut:
                handler.connection.close()
            elif turned:
                handler.send(503, b'{"detail": "busy"}', "application/problem+json", **{"Retry-After": "1"})
            else:
                picture = {"picture": PICTURE} if "picture=1" in handler.path else {}
                handler.send(200, json.dumps(answer() | picture).encode())
        except OSError:
            pass  # the page has hung up: that is what a test is about
        finally:
            with self.lock:
                self.now -= 1

    def __enter__(self) -> FakeService:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
