"""Explanations as a page for a browser, or as a picture: the mel picture, over it what spoke for the answer, and the words."""

from __future__ import annotations

import os
from collections.abc import Sequence

from harken.explain import Explanation
from harken.explain.words import lines
from harken.files import write_text
from harken.report.page import document, text


def write_explanations(found: Sequence[Explanation], *, path: str | os.PathLike[str], model: str) -> None:
    """Write a page of explanations."""
    body = "".join(f"<h2>{text(one.path)}</h2><pre>{text(chr(10).join(lines(one)))}</pre>" for one in found)
    write_text(path, document(f"Why {model} answers so", body))
