"""Decoders: any audio file to blocks of mono float32 at the file's own rate.

Two libraries behind one face. libsndfile (through soundfile) comes first: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and more.
FFmpeg (through PyAV) takes what libsndfile does not know (AAC, M4A, WMA) and finds the place where libsndfile breaks off.
PyAV is imported only when it is needed. ``harken.audio`` is the door for everybody else; nothing outside it needs this module.
A file of which less than 99 % of what it announces can be decoded, or that is damaged in its midst, is an AudioError.

Conventions: a *frame* is one sample of every channel; positions count frames from the file's start at the file's own rate (Hz).
Blocks are mono (the mean of the channels) float32, shape (frames,), full scale ±1; integers are divided by 2^(bits - 1).

What is exact: blocks do not depend on how the file is cut into them. Reading from a position gives the same samples as
reading from the start: bit for bit in PCM and FLAC; in compressed files within 1e-6, because the decoder starts
``RUN_UP`` earlier. (libsndfile's Vorbis lands wrong within the last page of a file, and Opus and MP3 need frames to settle.)
"""

from harken.decoders.common import LOUDEST, RATES, RUN_UP, Decoder, Room, Samples, UndecodableError
from harken.decoders.plain import check_plain, open_plain, shown
from harken.decoders.source import Source

__all__ = [
    "LOUDEST",
    "RATES",
    "RUN_UP",
    "Decoder",
    "Room",
    "Samples",
    "Source",
    "UndecodableError",
    "check_plain",
    "open_plain",
    "shown",
]
