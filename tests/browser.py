"""A real browser for tests: Chromium, driven by chromedriver over the WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
MISSING = "" if CHROMIUM and DRIVER else "no Chromium with chromedriver here (Debian: apt-get install chromium chromium-driver)"


class Browser:
    """One window of a browser without a screen."""

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"
        self._session = ""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a command of the protocol and return its answer."""
        content = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(f"{self._root}{path}", content, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def begin(self, profile: str) -> None:
        """Open the window."""
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
        arguments += ["--autoplay-policy=no-user-gesture-required", "--disable-background-networking", "--mute-audio"]
        arguments += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a microphone that beeps
        options = {"binary": CHROMIUM, "args": arguments}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        found = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{found['sessionId']}"

    def end(self) -> None:
        """Close it."""
        self.ask("DELETE", self._session)

    def show(self, page: Path) -> None:
        """Open a file."""
        self.open(page.resolve().as_uri())

    def open(self, address: str) -> None:
        """Open an address."""
        self.ask("POST", f"{self._session}/url", {"url": address})

    def element(self, selector: str) -> str:
        """Return the path of the first element that a CSS selector finds."""
        found = self.ask("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        return f"{self._session}/element/{next(iter(found.values()))}"

    def click(self, selector: str) -> None:
        """Click in the middle of an element."""
        self.ask("POST", f"{self.element(selector)}/click")

    def name_of(self, selector: str) -> tuple[str, str]:
        """Return the role and the name that a screen reader is told of an element."""
        path = self.element(selector)
        return self.ask("GET", f"{path}/computedrole"), self.ask("GET", f"{path}/computedlabel")

    def type(self, selector: str, keys: str) -> None:
        """Type into an element; into a file input, the files' paths with a line feed between them."""
        self.ask("POST", f"{self.element(selector)}/value", {"text": keys})

    def give(self, selector: str, files: Sequence[Path]) -> None:
        """Choose files in an input, or one folder where the input takes folders."""
        self.type(selector, "\n".join(str(each.resolve()) for each in files))

    def press(self, keys: str) -> None:
        """Press and let go keys one after the other, wherever the focus is; special ones by the protocol's code points."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", f"{self._session}/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def until(self, condition: str, seconds: float = 20) -> Any:
        """Wait until a script returns what is true, and return that."""
        end = time.monotonic() + seconds
        while not (found := self.run(condition)):
            assert time.monotonic() < end, f"after {seconds} s still not so: {condition}"
            time.sleep(0.03)
        return found

    def look(self, width: int, *, dark: bool = False, paper: bool = False, height: int = 900) -> None:
        """Set the width in CSS pixels, and whether the system is dark, or the page goes on paper."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.tools("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.tools("Emulation.setEmulatedMedia", {"media": "print" if paper else "", "features": features})

    def tools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Send a command of the developer tools."""
        return self.ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script: str) -> Any:
        """Run a script within the page and return what it returns, or what its promise comes to."""
        body = "const done = arguments[0]; Promise.resolve((() => {" + script + "})()).then(done, e => done('failed: ' + e));"
        return self.ask("POST", f"{self._session}/execute/async", {"script": body, "args": []})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """Return what came since the last call: ``"browser"``, the console; ``"performance"``, the developer tools' events."""
        return list(self.ask("POST", f"{self._session}/se/log", {"type": kind}))

    def requests(self, of: str = "file:") -> list[str]:
        """Return the addresses that pages whose own address begins so have asked for since the last call.

        Without those that a page's policy refused.
        """
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
        failed = [event["params"] for event in events if event["method"] == "Network.loadingFailed"]
        refused = {each["requestId"] for each in failed if each.get("blockedReason") == "csp"}
        mine = [each for each in sent if each["documentURL"].startswith(of) and each["requestId"] not in refused]
        return [each["request"]["url"] for each in mine]

    def picture(self, path: Path) -> None:
        """Write a picture of the whole page."""
        size = self.run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        area = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], 16000), "scale": 1}
        shot = self.tools("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": area})
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a browser, and end it."""
    assert DRIVER is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    browser = Browser(port)
    try:
        for _ in range(200):
            try:
                if browser.ask("GET", "/status")["ready"]:
                    break
            except OSError:
                time.sleep(0.05)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            browser.begin(profile)
            try:
                yield browser
            finally:
                browser.end()
    finally:
        driver.terminate()
        driver.wait(30)
