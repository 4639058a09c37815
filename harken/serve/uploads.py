"""Uploads: the body of a request becomes a file of its own, within bounds of size and time, and is gone afterwards.

A body is either the sound itself or ``multipart/form-data`` with one field ``file``. It is counted as it comes: what a header
says of its length is believed only where it is too much. Its name is shown in the answer and never used on the disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from harken.audio import AUDIO_SUFFIXES
from harken.serve.problems import Problem, bad_request, no_audio
from harken.serve.settings import Settings, size_in_words

FORM = "multipart/form-data"
FIELD = "file"
MORE_TYPES = (
    "application/octet-stream",
    "application/ogg",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "video/x-ms-asf",
    "application/vnd.ms-asf",
)
"""Types of a body beside audio/*: browsers call some sounds so."""
SLOWEST = 4096
"""Bytes a second that a sender must reach on average, behind its first seconds of patience."""
LONGEST_BODY = 1800.0
"""Seconds that a body may take as a whole, however fast it comes."""
LONGEST_NAME = 200
NAMELESS = "upload"
SUFFIXES = AUDIO_SUFFIXES | {".webm", ".mkv", ".weba", ".wv", ".ape", ".tta", ".caf", ".au", ".w64", ".ac3", ".mov", ".3gp"}
"""Ends of names that the file on the disk keeps: some decoders look at them."""


@dataclass(frozen=True)
class Upload:
    """A body, as a file.

    Attributes
    ----------
    path : str
        Where it lies.
    name : str
        What the sender calls it, as an answer may show it.
    size : int
        Bytes.
    """

    path: str
    name: str
    size: int


@asynccontextmanager
async def upload(request: Request, settings: Settings) -> AsyncIterator[Upload]:
    """Take a request's body; the file is gone when the context is left, however that is.

    Raises
    ------
    Problem
        The body is empty (422), of another type (415), too large (413), not what its type says (422), or does not come on
        (408).
    starlette.requests.ClientDisconnect
        The sender is gone.
    """
    kind, options = _media_type(request)
    _refuse_announced(request, settings)
    handle, path = tempfile.mkstemp(prefix="upload-", dir=settings.folder)
    try:
        with os.fdopen(handle, "wb") as file:
            sink = (
                _Form(file, options.get(b"boundary", b""), settings.max_upload)
                if kind == FORM
                else _Raw(file, settings.max_upload)
            )
            await _pour(request, settings, sink)
        name = shown_name(sink.name or request.query_params.get("name", ""))
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in SUFFIXES:
            plain, path = path, path + suffix
            Path(plain).rename(path)
        if not sink.size:
            raise no_audio(f"{name} is empty (0 bytes); send a sound")
        yield Upload(path, name, sink.size)
    finally:
        Path(path).unlink(missing_ok=True)


def shown_name(name: str) -> str:
    r"""Return a sender's name for a file as an answer may show it: no folders, nothing that is no text, not too long.

    Examples
    --------
    >>> shown_name("../../etc/passwd"), shown_name("C:\\Music\\a.mp3"), shown_name("a\n\x1b[2Jb.wav"), shown_name("..")
    ('passwd', 'a.mp3', 'a?[2Jb.wav', 'upload')
    """
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    text = "".join(sign if sign.isprintable() else "" if sign.isspace() else "?" for sign in last).strip()
    if len(text) > LONGEST_NAME:
        text = text[: LONGEST_NAME - 20] + "…" + text[-19:]
    return text if text.strip(". ") else NAMELESS


def _media_type(request: Request) -> tuple[str, dict[bytes, bytes]]:
    """Return the type of a body, and its options."""
    given = request.headers.get("content-type")
    if given is None:
        return "application/octet-stream", {}
    found, options = parse_options_header(given)
    kind = found.decode("latin-1").lower()
    if kind == FORM:
        if not options.get(b"boundary"):
            raise bad_request("the type multipart/form-data names no boundary; let your HTTP library set the type")
        return kind, options
    _check_type(kind, "the body")
    return kind, options


def _check_type(kind: str, what: str) -> None:
    if not kind.startswith("audio/") and kind not in MORE_TYPES:
        raise Problem(
            415,
            "wrong-type",
            "Not a type of sound",
            f"{what} is of the type {shown_name(kind.replace('/', '∕')).replace('∕', '/')}; send a sound as audio/*, "
            f"application/octet-stream, or {FORM} with one field {FIELD!r}",
            {"Accept": f"audio/*, application/octet-stream, {FORM}"},
        )


def _too_large(limit: int) -> Problem:
    return Problem(
        413,
        "too-large",
        "Too large",
        f"an upload may have {size_in_words(limit)} ({limit:,} bytes); send a smaller file, or a part of it (--max-upload)",
        limit_bytes=limit,
    )


def _refuse_announced(request: Request, settings: Settings) -> None:
    """Refuse a body that says itself that it is too large; a form is a little larger than its file."""
    told = request.headers.get("content-length", "")
    if told.isdecimal() and len(told) < 20 and int(told) > settings.max_upload + _FORM_BYTES:
        raise _too_large(settings.max_upload)


_FORM_BYTES = 1 << 16
"""What a form may have besides its file."""


async def _pour(request: Request, settings: Settings, sink: _Raw | _Form) -> None:
    """Give a body's bytes to a sink as they come, as long as they do."""
    loop = asyncio.get_running_loop()
    begin, total = loop.time(), 0
    pieces = request.stream()
    while True:
        try:
            gone = loop.time() - begin
            until = min(settings.patience, settings.patience + total / SLOWEST - gone, LONGEST_BODY - gone)
            async with asyncio.timeout(max(until, 0)):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise Problem(
                408,
                "too-slow",
                "The body does not come on",
                f"nothing came for {settings.patience:g} s, or less than {SLOWEST} bytes a second, or it took more than "
                f"{LONGEST_BODY:g} s; send it again, or a smaller file",
            ) from None
        if piece is None:
            break
        total += len(piece)
        sink.write(piece)
    sink.end()


class _Raw:
    """A body that is the sound itself."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit = file, limit
        self.name, self.size = "", 0

    def write(self, piece: bytes) -> None:
        """Take the next bytes."""
        self.size += len(piece)
        if self.size > self._limit:
            raise _too_large(self._limit)
        self._file.write(piece)

    def end(self) -> None:
        """All bytes have come."""


_UNHEARD = logging.Logger("python_multipart", logging.CRITICAL + 1)
"""Where the parser says what is wrong with a form; its sender is told by the answer, and nobody else needs to know."""


class _Form:
    """A form with one field, the file."""

    def __init__(self, file: IO[bytes], boundary: bytes, limit: int) -> None:
        self._raw = _Raw(file, limit)
        self._limit, self._total = limit, 0
        self.name = ""
        self._parts, self._over = 0, False
        self._headers: dict[bytes, bytes] = {}
        self._key = self._value = b""
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": self._field,
            "on_header_value": self._given,
            "on_header_end": self._header,
            "on_headers_finished": self._named,
            "on_end": self._ended,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
            self._parser.logger = _UNHEARD
        except ValueError as error:
            raise bad_request("the form's boundary cannot be used; let your HTTP library choose it") from error

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._raw.size

    def write(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._total += len(piece)
        if self._total > self._limit + _FORM_BYTES:
            raise _too_large(self._limit)
        try:
            self._parser.write(piece)
        except MultipartParseError as error:
            raise bad_request("the body is no form as its type says: it cannot be divided at its boundary") from error

    def end(self) -> None:
        """All bytes have come."""
        if not self._over:
            raise bad_request("the form ends in its midst; send it again, whole")
        if not self._parts:
            raise bad_request(f"the form has no field; one field {FIELD!r} was expected")

    def _begin(self) -> None:
        self._parts += 1
        self._headers = {}
        if self._parts > 1:
            raise bad_request(f"the form has several fields; one field {FIELD!r} was expected: send one file a request")

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _given(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        self._headers[self._key.lower()] = self._value
        self._key = self._value = b""

    def _named(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD:
            raise bad_request(f"the form has a field {shown_name(field)!r}; one field {FIELD!r} was expected")
        self.name = _file_name(options)
        kind = parse_options_header(self._headers.get(b"content-type", b"application/octet-stream"))[0]
        _check_type(kind.decode("latin-1").lower(), "the file")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._raw.write(data[start:end])

    def _ended(self) -> None:
        self._over = True


def _file_name(options: dict[bytes, bytes]) -> str:
    """Return a form's name of its file, also in the notation of RFC 5987."""
    extended = options.get(b"filename*", b"").decode("latin-1")
    if extended.count("'") >= 2:
        charset, _, text = extended.split("'", 2)
        if charset.lower() in ("utf-8", "iso-8859-1"):
            return unquote_to_bytes(text).decode(charset, "replace")
    return options.get(b"filename", b"").decode("utf-8", "replace")
