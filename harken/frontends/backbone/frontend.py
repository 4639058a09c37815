"""The frontend ``backbone``: the numbers that a pretrained network gives for a stretch of sound.

A clip is cut into windows as long as the network hears at once, each is brought into the layout that it reads, and what it
gives for all of them is pooled to one row. The settings are the declaration beside the ONNX file, and what was found in the
file (name, hash, how many numbers): with them a model knows what it heard with, and without the file all but hearing works.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from harken.errors import DataError, RecipeError
from harken.frontends.backbone import places
from harken.frontends.backbone.bands import Bands
from harken.frontends.backbone.network import Network, Port, opened
from harken.frontends.base import AudioFrontend, Samples, Seconds, register
from harken.settings import Count, Positive, Range

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
InputAxis = Literal["batch", "channels", "samples", "frames", "mels"]
OutputAxis = Literal["batch", "numbers", "time", "frequency"]

FOUND = ("file", "hash", "size")
"""Settings that are found in the ONNX file, and are not declared."""
TEXTS = ("file", "title", "source")
"""Settings that change nothing of what is heard."""
MOST_NUMBERS = 1 << 16
"""Numbers that a network may give for a clip."""
MOST_WINDOWS = 1 << 12
"""Windows that a clip may have."""
CALM = 1e-7
"""What is added to the variance of a window before it is divided by, as wav2vec 2.0 and its followers do."""

_HASH = re.compile("[0-9a-f]{32}")


@register("backbone")
@dataclass(frozen=True, kw_only=True)
class Backbone(AudioFrontend):
    """What a pretrained network makes of a clip: (numbers,). Made by :func:`harken.frontends.backbone.backbone_of`.

    A track shorter than ``clip`` is heard as it is, down to 0.05 s; a clip has as many windows as fit, and at least one.

    Attributes
    ----------
    file, hash, size : str, str, int
        Of the ONNX file: its name, the hash of its content, and how many numbers the network gives. Never declared.
    title, source : str
        What the network is, and where it was described.
    rate : int
        Hz that the network was trained at.
    window : float
        Seconds that it hears at once.
    window_hop : float, optional
        Seconds from one window's start to the next; default: ``window``.
    short : str
        What fills the window of a shorter sound: ``"zeros"``, or the sound again (``"repeat"``).
    level : str
        ``"peak"`` scales each window to a largest sample of 1, ``"standard"`` to a mean of 0 and a variance of 1.
    scale : float
        What samples from -1 to 1 are multiplied by.
    input : str
        What the network reads: the samples (``"waveform"``) or a picture of ``[mel]`` bands (``"mel"``).
    input_name : str, optional
        Of the network's input; default: the only one.
    input_axes : list of str
        Of its input, in order: ``"batch"`` (1), ``"channels"``, and ``"samples"`` or ``"frames"`` and ``"mels"``.
    channels : int
        The same sound in each.
    mel : Bands, optional
        The table ``[mel]``.
    output_name : str, optional
        Of the output that holds the numbers; default: the first.
    output_axes : list of str
        Of that output: ``"numbers"``, and those that are pooled, or are 1: ``"batch"``, ``"time"``, ``"frequency"``.
    pool : str
        What becomes of all windows of a clip, and of a network's own steps in time: ``"mean"``, ``"max"``, or ``"mean_std"``,
        the means and then the deviations.
    """

    pads = False

    file: str
    hash: str
    size: Annotated[int, Range(low=1, high=MOST_NUMBERS)]
    title: str = ""
    source: str = ""
    window: Seconds
    window_hop: Seconds | None = None
    clip: Seconds = 31.0
    short: Literal["zeros", "repeat"] = "zeros"
    level: Literal["none", "peak", "standard"] = "none"
    scale: Positive = 1.0
    input: Literal["waveform", "mel"] = "waveform"
    input_name: str | None = None
    input_axes: tuple[InputAxis, ...] = ("batch", "samples")
    channels: Count = 1
    mel: Bands | None = None
    output_name: str | None = None
    output_axes: tuple[OutputAxis, ...] = ("batch", "numbers")
    pool: Literal["mean", "max", "mean_std"] = "mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        stem = self.file.rpartition(".")[0] or self.file
        names = tuple(f"{stem}_{self.key()[:8]}_{number}" for number in range(self.shape[0]))
        object.__setattr__(self, "names", names)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Self:
        """Build from a table that tells what was found in the file too."""
        if "hash" not in table:
            raise RecipeError(
                where,
                [
                    "a backbone needs its ONNX file: in a recipe's file, file = 'FILE.onnx' in [frontend] names one, with its "
                    "declaration FILE.toml beside it; elsewhere, --backbone FILE.onnx does"
                ],
            )
        found = super().from_table(cls.with_bands(table, where), where)
        places.want(found.hash)
        return found

    @staticmethod
    def with_bands(table: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return a table with its table ``mel`` read; its mistakes stand with the others of the table."""
        given = table.get("mel")
        if not isinstance(given, Mapping):
            return dict(table)
        rest = {key: value for key, value in table.items() if key != "mel"}
        try:
            return rest | {"mel": Bands.from_table(given, "[mel]")}
        except RecipeError as error:
            mistakes = [f"[mel] {mistake}" for mistake in error.mistakes]
            try:  # the other mistakes are told too
                Backbone.from_table(rest | {"input": "waveform", "input_axes": ["samples"]}, where)
            except RecipeError as others:
                mistakes = [*others.mistakes, *mistakes]
            raise RecipeError(where, mistakes) from None

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = super().mistakes() + self._axis_mistakes()
        if not self.file or len(self.file) > 255 or any(sign in self.file for sign in "/\\:\0"):
            found.append("file: must be a plain file's name, without a folder")
        if not _HASH.fullmatch(self.hash):
            found.append("hash: must be 32 hexadecimal digits, as Harken finds them")
        if self.window > self.clip:
            found.append(f"clip = {self.clip:g}: shorter than window = {self.window:g}; take a longer clip")
        elif self.step < 1 or self.window_samples < 1:
            found.append(f"window and window_hop hold no sample at rate = {self.rate} Hz; take longer ones")
        elif (self.clip_samples - self.window_samples) // self.step >= MOST_WINDOWS:
            found.append(f"a clip of {self.clip:g} s has more than {MOST_WINDOWS:,} windows; take a shorter clip")
        if self.mel is not None and self.window_samples:
            found += self.mel.misfits(self.rate, self.window_samples)
        return found

    def _axis_mistakes(self) -> list[str]:
        """Return what is wrong with the layouts."""
        found = []
        needed = {"samples"} if self.input == "waveform" else {"frames", "mels"}
        others = {"samples", "frames", "mels"} - needed
        if not needed <= set(self.input_axes) or others & set(self.input_axes):
            words = " and ".join(f'"{name}"' for name in sorted(needed))
            found.append(f"input_axes = {list(self.input_axes)}: input = {self.input!r} has {words} of these, once each")
        if self.input == "mel" and self.mel is None:
            found.append('input = "mel" needs the table [mel]: n_mels, n_fft, hop_length …')
        if self.input == "waveform" and self.mel is not None:
            found.append('there is a table [mel], and input = "waveform"; set input = "mel", or leave the table out')
        if self.channels > 1 and "channels" not in self.input_axes:
            found.append(f'channels = {self.channels}: input_axes have no "channels"')
        if self.output_axes.count("numbers") != 1:
            found.append(f'output_axes = {list(self.output_axes)}: must have "numbers", once')
        for key, axes in (("input_axes", self.input_axes), ("output_axes", self.output_axes)):
            twice = [name for name, times in Counter(axes).items() if times > 1 and name in ("batch", *needed, "channels")]
            found += [f"{key}: {name!r} stands twice" for name in twice]
        return found

    @property
    def window_samples(self) -> int:
        """Samples in a window."""
        return round(self.window * self.rate)

    @property
    def step(self) -> int:
        """Samples from one window's start to the next."""
        return round((self.window if self.window_hop is None else self.window_hop) * self.rate)

    def key(self) -> str:
        """Return a name for what determines the output: the declaration and the file's content, whatever the file is called."""
        table = {key: value for key, value in self.to_table().items() if key not in TEXTS}
        settings = json.dumps({**table, "version": self.version}, sort_keys=True)
        return hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()

    def prepare(self) -> None:
        """Find the file, and open the network.

        Raises
        ------
        ModelError
            It is not there, or holds something else.
        MissingExtraError
            ``onnxruntime`` is not installed.
        """
        self._network()

    def _network(self) -> Network:
        return opened(places.locate(self.file, self.hash), self.hash)

    def _shape(self) -> tuple[int, ...]:
        return (self.size * (2 if self.pool == "mean_std" else 1),)

    def _hear(self, clips: Samples) -> Samples:
        network = self._network()
        reads, gives = network.port(self.input_name), network.port(self.output_name, output=True)
        assert reads is not None  # the hash is that of the file which the declaration was compared with
        assert gives is not None
        return np.stack([self._row(network, reads, gives, clip) for clip in clips])

    def _row(self, network: Network, reads: Port, gives: Port, clip: Floats) -> Floats:
        """Return the numbers of a clip."""
        found = [self.rows_of(network.answer(reads, gives, self.example(window))) for window in self.windows(clip)]
        rows = np.concatenate(found).astype(np.float64)
        if rows.shape[1] != self.size:
            raise DataError(f"the network {self.file} gives {rows.shape[1]} numbers, where it gave {self.size}")
        if not np.isfinite(rows).all():
            raise DataError(f"the network {self.file} gives NaN or infinity for it")
        return self.pooled(rows)

    def windows(self, clip: Floats) -> Iterator[Floats]:
        """Yield the windows of a clip: those that fit into it; of a shorter one the only one, filled up."""
        size = self.window_samples
        if len(clip) < size:
            filled = np.zeros(size, dtype=np.float32) if self.short == "zeros" else np.resize(clip, size)
            filled[: len(clip)] = clip
            yield filled
        for begin in range(0, len(clip) - size + 1, self.step):
            yield clip[begin : begin + size]

    def example(self, window: Floats) -> Floats:
        """Return what the network reads of a window, in its layout."""
        sound = window
        if self.level == "peak":
            sound = np.asarray(sound / (float(np.abs(sound).max()) or 1.0), dtype=np.float32)
        elif self.level == "standard":
            exact = sound.astype(np.float64)
            sound = np.asarray((exact - exact.mean()) / np.sqrt(exact.var() + CALM), dtype=np.float32)
        sound = sound * np.float32(self.scale)
        content = sound if self.mel is None else self.mel.picture(sound, self.rate)
        own = ("samples",) if self.mel is None else ("frames", "mels")
        order = [own.index(name) for name in self.input_axes if name in own]
        sizes = dict(zip(own, content.shape, strict=True)) | {"batch": 1, "channels": self.channels}
        room = tuple(sizes[name] if name in own else 1 for name in self.input_axes)
        return np.broadcast_to(content.transpose(order).reshape(room), tuple(sizes[name] for name in self.input_axes))

    def rows_of(self, answer: Floats) -> Floats:
        """Return what the network gave, as (rows, numbers)."""
        if answer.ndim != len(self.output_axes):
            raise DataError(
                f"the network {self.file} gives the shape {list(answer.shape)}, and output_axes = {list(self.output_axes)}"
            )
        last = np.moveaxis(answer, self.output_axes.index("numbers"), -1)
        return last.reshape(-1, last.shape[-1])

    def pooled(self, rows: Doubles) -> Floats:
        """Return one row for all, (rows, numbers) → (numbers,), or twice as many."""
        if self.pool == "max":
            return np.asarray(rows.max(axis=0), dtype=np.float32)
        mean = rows.mean(axis=0)
        return np.asarray(mean if self.pool == "mean" else np.concatenate([mean, rows.std(axis=0)]), dtype=np.float32)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: the settings, and where the file was found."""
        return {"settings": self.__dict__, "place": places.told().get(self.hash)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["settings"])
        if state["place"] is not None:
            places.put(self.hash, state["place"])
