"""Frontends that pass the samples on as they are: as one row, or cut into short frames.

``waveform`` gives (samples, 1), for convolutions along time; ``frames`` gives (steps, features), for recurrent networks, each
step holding ``frame_length`` successive samples.
"""

from __future__ import annotations

from dataclasses import dataclass

from harken.frontends.base import AudioFrontend, Samples, register
from harken.settings import Count


@register("waveform")
@dataclass(frozen=True, kw_only=True)
class Waveform(AudioFrontend):
    """The samples themselves: (clip_samples, 1).

    Examples
    --------
    >>> import numpy as np
    >>> frontend = Waveform(rate=400, clip=3.0)
    >>> frontend(np.zeros(1200)).shape
    (1200, 1)
    """

    def _shape(self) -> tuple[int, ...]:
        return (self.clip_samples, 1)

    def _hear(self, clips: Samples) -> Samples:
        return clips[:, :, None].copy()


@register("frames")
@dataclass(frozen=True, kw_only=True)
class Frames(AudioFrontend):
    """The samples in frames that follow each other without overlap: (steps, frame_length).

    Samples at the end that do not fill a frame are left out.

    Attributes
    ----------
    frame_length : int
        Samples in a step.

    Examples
    --------
    >>> Frames(rate=16000, clip=1.0, frame_length=160).shape
    (100, 160)
    """

    frame_length: Count

    def mistakes(self) -> list[str]:
        """Return what is wrong between the settings."""
        found = super().mistakes()
        if self.frame_length > self.clip_samples > 0:
            found.append(
                f"frame_length = {self.frame_length}: longer than a clip, which has {self.clip_samples} samples "
                f"({self.clip:g} s at {self.rate} Hz); take shorter frames or a longer clip"
            )
        return found

    def _shape(self) -> tuple[int, ...]:
        return (self.clip_samples // self.frame_length, self.frame_length)

    def _hear(self, clips: Samples) -> Samples:
        steps, length = self.shape
        return clips[:, : steps * length].reshape(len(clips), steps, length).copy()
