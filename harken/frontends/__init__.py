"""Frontends: from a clip's samples to the array that a network reads.

==============  ======================  =====================================================================
``waveform``    (samples, 1)            the samples themselves
``frames``      (steps, frame_length)   the samples in frames without overlap
``mel``         (mels, frames, 1)       the mel spectrogram, as power or in decibels
``summary``     (57,)                   means and variances of what is usually measured, and the tempo, of a whole track
``timbre``      (868,)                  how a track or a note sounds, whatever its level
``rhythm``      (612,)                  what repeats after how long, of a whole track, whatever its tempo
``backbone``    (numbers,)              what a pretrained network of the user's, in an ONNX file, gives for a clip
``views``       (numbers of all,)       what several of the others read of the same piece of a track, for a stack
``arrays``      as the data have it     none: the model was trained on ready-made arrays
==============  ======================  =====================================================================

A frontend is the ``[frontend]`` table of a recipe, and a function:

>>> import numpy as np
>>> from harken.frontends import Mel
>>> mel = Mel(rate=22050, clip=10.0, n_mels=64, n_fft=512, hop_length=256)
>>> mel(np.zeros(220500)).shape
(64, 862, 1)
"""

from harken.frontends.arrays import Arrays
from harken.frontends.backbone import Backbone
from harken.frontends.base import FRONTENDS, AudioFrontend, Frontend, frontend_from_table
from harken.frontends.mel import Mel
from harken.frontends.rhythm import Rhythm
from harken.frontends.summary import Summary
from harken.frontends.timbre import Timbre
from harken.frontends.views import Views
from harken.frontends.waveform import Frames, Waveform

__all__ = [
    "FRONTENDS",
    "Arrays",
    "AudioFrontend",
    "Backbone",
    "Frames",
    "Frontend",
    "Mel",
    "Rhythm",
    "Summary",
    "Timbre",
    "Views",
    "Waveform",
    "frontend_from_table",
]
