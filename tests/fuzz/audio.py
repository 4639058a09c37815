"""Fuzz target: damaged audio gives AudioError or sound, and a stream gives what the whole gives.

python tests/fuzz/audio.py --seconds 60 --seed 1
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from common import Target, main

from harken.audio import audio_info, load_audio, read_tags, stream_audio
from harken.decoders import LOUDEST, RATES
from harken.errors import AudioError

SUBTYPES = {
    "a.wav": "PCM_16",
    "float.wav": "FLOAT",
    "b.wav": "IMA_ADPCM",
    "a.flac": "PCM_16",
    "b.flac": "PCM_24",
    "a.ogg": "VORBIS",
    "a.opus": "OPUS",
    "a.mp3": "MPEG_LAYER_III",
    "a.aiff": "PCM_16",
}
"""What libsndfile writes."""
CODECS = {"a.m4a": "aac", "a.aac": "aac", "a.wma": "wmav2"}
"""What FFmpeg writes."""
MOST_FRAMES = 65_536
"""Frames that a byte of the densest format can hold (a FLAC frame of silence has eleven bytes), with room to spare."""
RATE = 16_000


def seeds(folder: Path) -> Mapping[str, bytes]:
    """Return a third of a second of two tones and noise in every format that can be written."""
    time = np.arange(RATE // 3) / RATE
    noise = np.random.default_rng(0).normal(0, 0.02, (len(time), 2))
    samples = (noise + 0.3 * np.sin(2 * np.pi * time[:, None] * [440.0, 660.0])).astype(np.float32)
    found = {}
    for name, subtype in SUBTYPES.items():
        form = "OGG" if name.endswith((".ogg", ".opus")) else None
        soundfile.write(folder / name, samples, RATE, subtype=subtype, format=form)
        found[name] = (folder / name).read_bytes()
    for name, codec in CODECS.items():
        _write(folder / name, samples, codec)
        found[name] = (folder / name).read_bytes()
    return found


def _write(path: Path, samples: np.ndarray, codec: str) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for piece in (frame, None):
            container.mux(stream.encode(piece))


def judge(path: Path) -> None:
    """Raise AssertionError, or whatever else, where the package breaks its word about a file."""
    for rate in (None, 8000):
        try:
            whole, got = load_audio(path, rate)
        except AudioError as error:
            assert str(path) in str(error), f"the error does not name the file: {error}"
            assert "\n" not in str(error), f"the error has more than one line: {error!r}"
            _refused(path, rate)
            continue
        assert RATES[0] <= got <= RATES[1] and got == (rate or got)
        assert whole.dtype == np.float32 and whole.ndim == 1 and whole.flags.c_contiguous
        assert 0 < len(whole) <= MOST_FRAMES * path.stat().st_size * max(1.0, got / RATES[0])
        assert np.isfinite(whole).all() and np.abs(whole).max() <= 2 * LOUDEST
        streamed = np.concatenate(list(stream_audio(path, rate, block=0.03)))
        assert np.array_equal(streamed, whole), f"the stream has {len(streamed)} samples, the whole has {len(whole)}, or others"
    for tell in (audio_info, read_tags):
        try:
            tell(path)
        except AudioError as error:
            assert str(path) in str(error)


def _refused(path: Path, rate: int | None) -> None:
    """What is refused as a whole is refused as a stream."""
    try:
        for _ in stream_audio(path, rate, block=0.03):
            pass
    except AudioError:
        return
    raise AssertionError("the whole is refused, but not the stream")


if __name__ == "__main__":
    logging.getLogger("harken").setLevel(logging.ERROR)
    main(Target("audio", seeds, judge))
