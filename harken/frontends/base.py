"""What every frontend offers, and what those that hear audio share.

A frontend is the function from a clip's samples to the array that a network reads. It is a set of settings (the ``[frontend]``
table of a recipe) that can be called: ``(clip_samples,)`` → ``shape``, or ``(clips, clip_samples)`` → ``(clips, *shape)``.
Samples are mono float32 in [-1, 1] at ``rate`` Hz; the output is float32, C order, channels last. A clip's output depends on
that clip alone, to the last bit: it is the same by itself and among others.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from harken.clips import SHORTEST, Clipping
from harken.decoders import RATES
from harken.errors import DataError, ModelError, RecipeError, suggest
from harken.plugins import enter as enter_in
from harken.plugins import find
from harken.settings import Range, Settings

Samples = npt.NDArray[np.float32]

LONGEST = 3600.0
"""Seconds that a clip, a hop and a skip may have. A recipe may come from anywhere, and must not fill the memory."""
SHORTEST_HOP = 0.001
"""Seconds from one clip's start to the next, at least: a thousand clips a second."""
MOST_SAMPLES = 1 << 27
"""Samples that skip and clip may have together (512 MiB): so many are held while a track is cut. An hour at 37 kHz."""
MOST_VALUES = 1 << 26
"""Numbers that a frontend may make of a clip (256 MiB)."""

Rate = Annotated[int, Range(low=RATES[0], high=RATES[1])]
"""Hz, as audio files may have it."""
Seconds = Annotated[float, Range(above=0, high=LONGEST)]


class Frontend(Settings):
    """Base of all frontends.

    Attributes
    ----------
    kind : str
        The name in a recipe.
    version : int
        Raised whenever the same settings come to give another output; part of :meth:`key`.
    modules : mapping of str to str
        What is imported when an exporter (``"onnx"``) meets the frontend and does not know it.
    names : tuple of str
        What the numbers of a row are called, in order; empty where they have no names.
    pads : bool
        Whether a track shorter than a clip is heard with zeros behind it, or as it is.
    shape : tuple of int
        Of one clip's output.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    modules: ClassVar[Mapping[str, str]] = {}
    names: ClassVar[tuple[str, ...]] = ()
    pads: ClassVar[bool] = True
    shape: tuple[int, ...]

    @property
    def clipping(self) -> Clipping:
        """How tracks are cut into clips."""
        raise self._deaf()

    @property
    def clip_samples(self) -> int:
        """Samples in a clip."""
        raise self._deaf()

    def _deaf(self) -> ModelError:
        return ModelError(
            "the model was trained on arrays (columns of numbers), not on audio, so it cannot hear a file; "
            "give it an .npz with arrays of the same shape, or train a model on audio files"
        )

    @abstractmethod
    def __call__(self, samples: npt.ArrayLike) -> Samples:
        """Return what a network reads of one clip, or of several."""

    def prepare(self) -> None:
        """Get ready to hear, or raise what would prevent it for every file: called once before many are heard."""

    def foreign(self, rows: Samples) -> str:
        """Return what in rows, (rows, *shape), this frontend cannot have given, in words; empty where nothing is known."""
        return ""

    def to_table(self) -> dict[str, Any]:
        """Return the ``[frontend]`` table that a recipe holds."""
        return {"kind": self.kind, **super().to_table()}

    def key(self) -> str:
        """Return a name for everything that determines the output: the settings and the version of the code.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
        settings = json.dumps({**self.to_table(), "version": self.version}, sort_keys=True)
        return hashlib.blake2b(settings.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, kw_only=True)
class AudioFrontend(Frontend):
    """Base of the frontends that hear audio.

    Attributes
    ----------
    rate : int
        Hz, from 100 to 1,000,000; audio of another rate is resampled.
    clip : float
        Seconds that a network sees at once, at most 3600. Skip and clip have at most 2^27 samples.
    hop : float, optional
        Seconds from one clip's start to the next, from 0.001 to 3600; default: ``clip``.
    skip : float
        Seconds left out at a track's start, unless it is shorter than skip + clip; at most 3600.
    take : str
        ``"all"`` clips of a track, or the ``"first"``.
    normalise : str
        ``"peak"`` scales each clip so that its largest absolute sample is 1; silence stays silence.
    """

    rate: Rate
    clip: Seconds
    hop: Seconds | None = None
    skip: Annotated[float, Range(low=0, high=LONGEST)] = 0.0
    take: Literal["all", "first"] = "all"
    normalise: Literal["none", "peak"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "shape", self._shape())

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = []
        if self.clip_samples < 1:
            found.append(f"clip = {self.clip:g}: at rate = {self.rate} Hz, it holds no sample; take a longer clip")
        if self.hop is not None and round(self.hop * self.rate) < 1:
            found.append(f"hop = {self.hop:g}: at rate = {self.rate} Hz, it is shorter than a sample; take a longer hop")
        name, step = ("clip", self.clip) if self.hop is None else ("hop", self.hop)
        if not found and step < SHORTEST_HOP:
            found.append(f"{name} = {step:g}: clips would begin less than {SHORTEST_HOP:g} s apart; take a longer {name}")
        held = round(self.skip * self.rate) + self.clip_samples
        if held > MOST_SAMPLES:
            found.append(
                f"skip + clip = {self.skip + self.clip:g} s: at rate = {self.rate} Hz these are {held:,} samples, and at most "
                f"{MOST_SAMPLES:,} are held; take a shorter clip or skip, or a lower rate"
            )
        values = prod(self._shape())
        if not found and values > MOST_VALUES:
            found.append(
                f"a clip of {self.clip:g} s at {self.rate} Hz would become {values:,} numbers, and at most {MOST_VALUES:,} "
                "fit in a network; take a shorter clip or a lower rate"
            )
        return found

    @property
    def clipping(self) -> Clipping:
        """How tracks are cut into clips."""
        return Clipping(self.clip, self.hop, self.skip, self.take)

    @property
    def clip_samples(self) -> int:
        """Samples in a clip."""
        return round(self.clip * self.rate)

    @property
    def fewest_samples(self) -> int:
        """Samples that are heard at least: a clip's, or those of 0.05 s where a short track is heard as it is."""
        return self.clip_samples if self.pads else min(ceil(SHORTEST * self.rate), self.clip_samples)

    def __call__(self, samples: npt.ArrayLike) -> Samples:
        """Return what a network reads.

        Parameters
        ----------
        samples : array_like of float, shape (clip_samples,) or (clips, clip_samples)
            Mono, in [-1, 1], at ``rate`` Hz. They are not changed. From ``fewest_samples`` on, where that is less.

        Returns
        -------
        ndarray of float32, shape ``shape`` or (clips, ``*shape``)

        Raises
        ------
        DataError
            The samples have another shape, or are not floating-point numbers.
        """
        clips = np.asarray(samples)
        if not np.issubdtype(clips.dtype, np.floating):
            raise DataError(
                f"samples of type {clips.dtype}, but a frontend hears floating-point numbers from -1 to 1; "
                "divide whole numbers by their largest value (int16: 32768)"
            )
        if clips.ndim not in (1, 2) or not self.fewest_samples <= clips.shape[-1] <= self.clip_samples:
            least = "" if self.pads else f", or as few as {self.fewest_samples} samples"
            raise DataError(
                f"samples of shape {clips.shape}, but this {self.kind} frontend hears ({self.clip_samples},) or "
                f"(clips, {self.clip_samples}): {self.clip:g} s at {self.rate} Hz{least}; cut the track into clips first"
            )
        batch = np.ascontiguousarray(np.atleast_2d(clips), dtype=np.float32)
        heard = self._hear(_peak(batch) if self.normalise == "peak" else batch)
        return heard[0] if clips.ndim == 1 else heard

    @abstractmethod
    def _shape(self) -> tuple[int, ...]:
        """Return the shape of one clip's output."""

    @abstractmethod
    def _hear(self, clips: Samples) -> Samples:
        """Return a new array (clips, *shape) for samples (clips, clip_samples), C order."""


def _peak(clips: Samples) -> Samples:
    """Return each row scaled to a largest absolute value of 1; rows of zeros stay as they are."""
    peak = np.maximum(clips.max(axis=1), -clips.min(axis=1))[:, None]
    peak[peak == 0] = 1
    scaled: Samples = clips / peak
    return scaled


FRONTENDS: dict[str, type[Frontend]] = {}
"""Every frontend by the name that recipes use."""

_F = TypeVar("_F", bound=type[Frontend])


def register(kind: str, **modules: str) -> Callable[[_F], _F]:
    """Enter a frontend class under a name; docs/extending.md has a complete example.

    Parameters
    ----------
    kind : str
        The name in a recipe.
    modules : str
        ``onnx=``: the module that enters how it is written as ONNX, imported when that is first asked for.

    Raises
    ------
    HarkenError
        Another class has this name.
    """

    def enter(cls: _F) -> _F:
        enter_in(FRONTENDS, kind, cls, f"the frontend {kind!r}")
        cls.kind, cls.modules = kind, modules
        return cls

    return enter


def frontend_from_table(table: Mapping[str, Any], where: str) -> Frontend:
    """Build a frontend from a recipe's ``[frontend]`` table.

    Parameters
    ----------
    table : mapping
        ``kind`` names the frontend; the other keys are its settings.
    where : str
        What a mistake names.

    Raises
    ------
    RecipeError
        With all mistakes of the table.

    Examples
    --------
    >>> frontend = frontend_from_table({"kind": "waveform", "rate": 400, "clip": 3.0}, "[frontend]")
    >>> frontend.shape
    (1200, 1)
    """
    if not isinstance(table, Mapping):
        raise RecipeError(where, ["must be a table with a kind, such as kind = 'mel'"])
    kind = table.get("kind")
    if not isinstance(kind, str):
        raise RecipeError(
            where, [f"the key 'kind' with the frontend's name is missing (known: {', '.join(sorted(FRONTENDS))})"]
        )
    frontend, remark = find(FRONTENDS, kind)
    if frontend is None:
        raise RecipeError(where, [f"unknown frontend {kind!r} ({suggest(kind, FRONTENDS)}){remark}"])
    return frontend.from_table({key: value for key, value in table.items() if key != "kind"}, where)
