"""The ``[augment]`` table of a recipe: what is changed in a training example, and how far. Settings only.

A picture is (bands, frames, channels), with time along axis 1 and frequency along axis 0; (steps, channels) has time along axis
0; a row of numbers has neither. What an array has not is refused, and so is a change of level where the numbers say no level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from harken.errors import RecipeError
from harken.frontends import AudioFrontend, Frontend
from harken.settings import Range, Settings

Few = Annotated[int, Range(low=1, high=20)]
Share = Annotated[float, Range(low=0, high=1)]
Decibels = Annotated[float, Range(low=0, high=60)]

TIMED = ("time_mask", "roll", "noise")
PITCHED = ("frequency_mask", "tilt")
LEVELS = ("gain", "tilt")
SAMPLES = ("waveform", "frames")
"""Frontends that hand on samples."""


BEST_BIT_RATE = 160
"""kbit/s of MP3, from 16 kHz on."""
LATEST = 30.0
"""Seconds that a copy may begin later."""
SHORTEST_CUT = 0.05
"""Seconds that a copy which is cut short has at least."""


@dataclass(frozen=True, kw_only=True)
class Sounds(Settings):
    """How many altered copies of each training track are learnt from beside it, and how far they are altered.

    Attributes
    ----------
    copies : int
        Of each track.
    shift : float
        Seconds that a copy begins later, at most (and at most half of its first minute).
    length : float, optional
        Seconds that a copy has at least: it is cut short, as a note that is let go earlier, somewhere between these and its own
        length (or its first minute), by equal chances in octaves, and fades out within 0.1 s.
    tempo : float
        Share by which a copy is faster or slower, at most, at its own pitch.
    pitch : float
        Semitones that it is higher or lower, at most, at its own tempo.
    tilt : float
        dB of an equaliser, up or down from 60 Hz to 16 kHz, at most.
    room : float
        Seconds until a room's echo is 60 dB weaker, at most; 0: no room.
    gain : float
        dB louder or softer, at most.
    noise : float, optional
        dB that pink noise is weaker than the music, at least.
    codec : int, optional
        kbit/s of MP3, at least; up to 160.
    """

    kind: ClassVar[str] = "augment.sounds"
    copies: Annotated[int, Range(low=1, high=20)] = 1
    shift: Annotated[float, Range(low=0, high=LATEST)] = 0.0
    length: Annotated[float, Range(low=SHORTEST_CUT, high=60)] | None = None
    tempo: Annotated[float, Range(low=0, high=1)] = 0.0
    pitch: Annotated[float, Range(low=0, high=12)] = 0.0
    tilt: Annotated[float, Range(low=0, high=60)] = 0.0
    room: Annotated[float, Range(low=0, high=10)] = 0.0
    gain: Annotated[float, Range(low=0, high=60)] = 0.0
    noise: Annotated[float, Range(low=0, high=80)] | None = None
    codec: Annotated[int, Range(low=32, high=BEST_BIT_RATE)] | None = None

    def mistakes(self) -> list[str]:
        """Return whether nothing is altered."""
        if any(getattr(self, key) for key in ("shift", "tempo", "pitch", "tilt", "room", "gain")):
            return []
        if any(value is not None for value in (self.length, self.noise, self.codec)):
            return []
        return ["nothing says how the copies differ; give some of shift, length, tempo, pitch, tilt, room, gain, noise, codec"]

    def to_table(self) -> dict[str, Any]:
        """Return the table that a recipe holds: only what is not as it is without it."""
        return {key: value for key, value in super().to_table().items() if value != getattr(type(self), key)}


@dataclass(frozen=True, kw_only=True)
class Augment(Settings):
    """How a training example is changed, anew at every showing. What is 0 is left alone.

    Attributes
    ----------
    share : float
        Of the examples at a showing that are changed at all; above 0.
    mixup : float
        Each is mixed with another training example, features and targets alike; the share of the other is drawn from the beta
        distribution with both parameters this, and is at most a half. From 0.1 to 0.4 is usual.
    time_mask : float
        The longest time mask, as a share of the clip: a stretch of frames is set to the clip's mean.
    time_masks : int
        How many of them.
    frequency_mask : float
        The widest frequency mask, as a share of the bands, set to the clip's mean.
    frequency_masks : int
        How many of them.
    roll : float
        How far a clip is rolled in time, either way, as a share of its length: what leaves at one end comes in at the other.
    gain : float
        dB, louder or softer, of the sound.
    tilt : float
        dB by which the highest band becomes louder or softer against the lowest, the others in between.
    noise : float
        Standard deviation of normal noise on every value, as a share of the clip's own.
    sounds : Sounds, optional
        Further versions of each training track, altered as sounds and kept in the store.

    Notes
    -----
    Masks: D. Park et al., "SpecAugment: a simple data augmentation method for automatic speech recognition" (2019). Mixup:
    H. Zhang et al., "mixup: beyond empirical risk minimization" (2018).

    Examples
    --------
    >>> Augment(time_mask=0.2, frequency_mask=0.2, mixup=0.3).to_table()
    {'mixup': 0.3, 'time_mask': 0.2, 'frequency_mask': 0.2}
    """

    kind: ClassVar[str] = "augment"
    share: Annotated[float, Range(above=0, high=1)] = 1.0
    mixup: Annotated[float, Range(low=0, high=10)] = 0.0
    time_mask: Share = 0.0
    time_masks: Few = 1
    frequency_mask: Share = 0.0
    frequency_masks: Few = 1
    roll: Annotated[float, Range(low=0, high=0.5)] = 0.0
    gain: Decibels = 0.0
    tilt: Decibels = 0.0
    noise: Annotated[float, Range(low=0, high=1)] = 0.0
    sounds: Sounds | None = None

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Augment:
        """Build from a recipe's table; ``sounds`` is a table in it."""
        table, mistakes = dict(table), []
        if isinstance(table.get("sounds"), Mapping):
            try:
                table["sounds"] = Sounds.from_table(table["sounds"], "sounds")
            except RecipeError as error:
                mistakes += [f"sounds: {mistake}" for mistake in error.mistakes]
                del table["sounds"]
        try:
            built = super().from_table(table, where)
        except RecipeError as error:
            raise RecipeError(where, [*mistakes, *error.mistakes]) from None
        if mistakes:
            raise RecipeError(where, mistakes)
        return built

    def mistakes(self) -> list[str]:
        """Return where a number of masks stands without their width."""
        return [
            f"{mask}s = {getattr(self, mask + 's')}: {mask}, how wide they are at most, is 0; give it too, such as {mask} = 0.1"
            for mask in ("time_mask", "frequency_mask")
            if getattr(self, mask + "s") > 1 and not getattr(self, mask)
        ]

    @property
    def changes(self) -> bool:
        """Whether anything is changed at all."""
        return self.changes_rows or self.sounds is not None

    @property
    def changes_rows(self) -> bool:
        """Whether what a network reads is changed at its showings."""
        return replace(self, sounds=None) != replace(NOTHING, share=self.share)

    def misfits(self, frontend: Frontend) -> dict[str, str]:
        """Return the keys that cannot change what a frontend gives, each with the reason."""
        axes, shape = len(frontend.shape), frontend.shape
        reasons: dict[str, str] = {}
        if axes < 2:
            reasons |= dict.fromkeys(TIMED, f"{frontend.kind!r} features of shape {shape} have no time axis")
        if axes != 3:
            reasons |= dict.fromkeys(PITCHED, f"{frontend.kind!r} features of shape {shape} have no frequency axis")
        unknown = [key for key in LEVELS if key not in reasons and decibels_of(frontend) is None]
        reasons |= dict.fromkeys(unknown, _no_level(frontend))
        if not isinstance(frontend, AudioFrontend):
            reasons["sounds"] = f"{frontend.kind!r} features come from no sounds"
        return {key: reason for key, reason in reasons.items() if getattr(self, key)}

    def fitting(self, frontend: Frontend) -> Augment:
        """Return the settings without those that cannot change what a frontend gives."""
        nothing: dict[str, Any] = {key: None if key == "sounds" else 0.0 for key in self.misfits(frontend)}
        nothing |= {key + "s": 1 for key in nothing if key.endswith("_mask")}
        return replace(self, **nothing)

    def to_table(self) -> dict[str, Any]:
        """Return the table that a recipe holds: only what is not as it is without it."""
        return {key: value for key, value in super().to_table().items() if value != getattr(NOTHING, key)}


NOTHING = Augment()
"""Training examples are shown as they are."""


def decibels_of(frontend: Frontend) -> float | None:
    """Return what one dB of sound is in what a frontend gives.

    Above 0: so many dB, which are added. Below 0: the negated exponent of the amplitude, by which values are multiplied. None:
    the numbers do not follow the level.
    """
    if frontend.kind in SAMPLES:
        return -1.0
    if frontend.kind != "mel":
        return None
    bands = float(getattr(frontend, "power", 2.0)) * float(getattr(frontend, "exponent", 1.0))  # exponent of the amplitude
    if getattr(frontend, "scale", "power") != "db":
        return -bands
    return None if getattr(frontend, "reference", 1.0) == "max" else bands / 2


def _no_level(frontend: Frontend) -> str:
    if frontend.kind == "mel":
        return "reference = 'max' takes the level out of the decibels"
    return f"what dB are in {frontend.kind!r} features is not known"
