"""What the tests of bad data share: the two doors (library and command), and files that are right, to be spoilt."""

from __future__ import annotations

import io
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from harken.archive import MODEL, WEIGHTS, Model, save_model
from harken.cli import main
from harken.nets import initial_weights
from harken.recipes import recipe_from_table

SMALL = """
[frontend]
kind = "waveform"
rate = 400
clip = 0.5
[training]
epochs = 1
[[net]]
layer = "flatten"
[[net]]
layer = "dense"
units = "classes"
activation = "softmax"
"""

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs the command as a user does, and returns the exit code and what stands on standard error."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        return (code if isinstance(code, int) else 0), capsys.readouterr().err

    return run


def one_line(told: tuple[int, str], words: str) -> None:
    """The request was refused: exit code 2, and a last line that begins with the command's name and holds the words."""
    code, text = told
    assert code == 2, text
    lines = text.splitlines()
    assert lines[-1].startswith("harken: ") and words in lines[-1], text
    assert "Traceback" not in text and len(text) < 5000


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A folder of two classes, three noises of a second in each, and a recipe beside it."""
    random = np.random.default_rng(0)
    for label in ("loud", "soft"):
        (tmp_path / "music" / label).mkdir(parents=True)
        for number in range(3):
            noise = random.normal(0, 0.1, 400) * (3 if label == "loud" else 1)
            soundfile.write(tmp_path / "music" / label / f"{number}.wav", noise, 400)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path / "music"


def write_table(music: Path, *rows: str, header: str = "path,label") -> Path:
    path = music / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


def changed(text: str, new: str) -> bytes:
    assert text in SMALL
    return SMALL.replace(text, new).encode()


ROWS, Y = np.arange(24, dtype=np.float32).reshape(6, 4), np.array([0, 1] * 3)


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(descr: str, shape: str) -> bytes:
    """The head of an .npy file that claims whatever it likes, with no values behind it."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def encrypted(path: Path) -> None:
    """Say in each entry of a zip that it is encrypted."""
    content = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        at = content.find(mark)
        while at >= 0:
            content[at + flags] |= 1
            at = content.find(mark, at + 4)
    path.write_bytes(content)


def save(path: Path) -> Path:
    recipe = recipe_from_table(tomllib.loads(SMALL), "small")
    save_model(path, Model(recipe, ("loud", "soft"), initial_weights(recipe.bind(2), 0), recipe.frontend.shape, {"seed": 0}))
    return path


def spoil(path: Path, change: Callable[[str], str]) -> None:
    """Write the model again with its document changed."""
    with zipfile.ZipFile(path) as archive:
        document, weights = archive.read(MODEL).decode(), archive.read(WEIGHTS)
    after = change(document)
    assert after != document
    pack(path, {MODEL: after.encode(), WEIGHTS: weights})
