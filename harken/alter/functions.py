"""What may happen to a sound: another tempo, pitch, level or tone, a room, noise, a codec; each a pure function of samples.

A function takes samples (mono float32, full scale ±1, shape (samples,)), their rate in Hz and a random generator, and returns
new samples of the same rate; only a change of tempo returns another number of them.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import numpy.typing as npt

from harken.alter.stretch import as_long, shifted, stretched
from harken.quiet import hush

Samples = npt.NDArray[np.float32]
Function = Callable[[Samples, int, np.random.Generator], Samples]

MP3_RATES = (16000, 22050, 24000, 32000, 44100, 48000)
"""Hz that MP3 knows, without those below 16 kHz, at which 64 kbit/s is the highest there is."""
_LOWEST_NOISE = 20.0  # Hz
_TILT_FROM, _TILT_TO = 60.0, 16000.0  # Hz
_EARLY = 0.002  # s: what a room gives back later than this


def same(samples: Samples, rate: int, random: np.random.Generator) -> Samples:
    """Return the samples as they are."""
    return samples


def tempo(samples: Samples, rate: int, random: np.random.Generator, *, speed: float) -> Samples:
    """Return music at ``speed`` times its tempo, at its pitch; ``round(samples / speed)`` samples."""
    return stretched(samples, rate, speed)


def pitch(samples: Samples, rate: int, random: np.random.Generator, *, semitones: float) -> Samples:
    """Return music so many semitones higher, as long as it was."""
    return shifted(samples, rate, semitones)


def level(samples: Samples, rate: int, random: np.random.Generator, *, decibels: float) -> Samples:
    """Return music louder by so many dB; nothing is cut off at full scale."""
    return samples * np.float32(10 ** (decibels / 20))


def noise(samples: Samples, rate: int, random: np.random.Generator, *, decibels: float) -> Samples:
    """Return music with pink noise (as strong in every octave from 20 Hz on) at this signal-to-noise ratio; silence stays."""
    pink = _pink(len(samples), rate, random)
    loud, noisy = (float(np.mean(np.square(each, dtype=np.float64))) for each in (samples, pink))
    if not loud or not noisy:
        return samples
    return samples + pink * np.float32((loud / noisy) ** 0.5 * 10 ** (-decibels / 20))


def mp3(samples: Samples, rate: int, random: np.random.Generator, *, kilobits: int) -> Samples:
    """Return music written as mono MP3 at a constant bit rate and read again, both in memory.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
    rate : int
        One of :data:`MP3_RATES`.
    random : Generator
        Not used.
    kilobits : int
        kbit/s; below 32 kHz MP3 has no more than 160.
    """
    import soundfile  # noqa: PLC0415

    lowest, highest = (32, 320) if rate >= 32000 else (8, 160)
    strength = (highest - min(kilobits, highest)) / (highest - lowest)
    with BytesIO() as file:
        soundfile.write(
            file, samples, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=strength
        )
        file.seek(0)
        with hush:
            read: Samples = soundfile.read(file, dtype="float32")[0]
    return as_long(read, len(samples))


def cut_off(samples: Samples, rate: int, random: np.random.Generator, *, share: float) -> Samples:
    """Return music whose loudest samples, this share of them, are cut down to the next one's size."""
    limit = np.quantile(np.abs(samples), 1 - share, method="lower")
    return np.clip(samples, -limit, limit).astype(np.float32)


def overdriven(samples: Samples, rate: int, random: np.random.Generator, *, decibels: float) -> Samples:
    """Return music louder by so many dB and cut off at full scale."""
    return np.clip(level(samples, rate, random, decibels=decibels), -1, 1)


def tilted(samples: Samples, rate: int, random: np.random.Generator, *, decibels: float) -> Samples:
    """Return music with its tone tilted by so many dB from 60 Hz to 16 kHz, evenly over the octaves; its power stays."""
    from scipy.fft import irfft, next_fast_len, rfft, rfftfreq  # noqa: PLC0415

    size = next_fast_len(len(samples), real=True)
    octaves = np.log2(np.clip(rfftfreq(size, 1 / rate), _TILT_FROM, _TILT_TO) / _TILT_FROM)
    slope = decibels / np.log2(_TILT_TO / _TILT_FROM)
    made: Samples = irfft(rfft(samples, size) * (10 ** (slope * octaves / 20)).astype(np.float32), size)[: len(samples)]
    return _as_strong(made, samples)


def in_a_room(samples: Samples, rate: int, random: np.random.Generator, *, seconds: float, share: float) -> Samples:
    """Return music as in a room, as long and as strong as it was.

    Parameters
    ----------
    samples : ndarray of float32, shape (samples,)
    rate : int
        Hz.
    random : Generator
        Draws the room: noise that dies away (J. Moorer, "About this reverberation business", 1979).
    seconds : float
        Until the echo is 60 dB weaker.
    share : float
        Of the power that comes as echo, from 0 to 1.
    """
    from scipy.signal import oaconvolve  # noqa: PLC0415

    time = np.arange(max(1, round(seconds * rate))) / rate
    echo = random.standard_normal(len(time)) * 10 ** (-3 * time / seconds) * (time >= _EARLY)
    strength = np.sqrt(np.square(echo).sum())
    if not strength:
        return samples
    response = (echo * (np.sqrt(share) / strength)).astype(np.float32)
    response[0] += np.float32(np.sqrt(1 - share))
    return _as_strong(oaconvolve(samples, response)[: len(samples)].astype(np.float32), samples)


def _as_strong(made: Samples, before: Samples) -> Samples:
    """Return samples scaled to the mean power of others."""
    now, then = (float(np.mean(np.square(each, dtype=np.float64))) for each in (made, before))
    return made * np.float32((then / now) ** 0.5) if now else made


def _pink(count: int, rate: int, random: np.random.Generator) -> Samples:
    """Return pink noise: a spectrum of random phases and sizes, whose power falls by 3 dB an octave."""
    from scipy.fft import irfft, next_fast_len, rfftfreq  # noqa: PLC0415

    size = next_fast_len(count, real=True)
    frequencies = rfftfreq(size, 1 / rate)
    spectrum = random.standard_normal((2, len(frequencies)), dtype=np.float32)
    spectrum[:, frequencies < min(_LOWEST_NOISE, rate / 4)] = 0
    shape = 1 / np.sqrt(np.maximum(frequencies, rate / size))
    made: Samples = irfft((spectrum[0] + 1j * spectrum[1]) * shape.astype(np.float32), size)[:count]
    return made
