"""Augmentation: training examples changed a little at every showing, so that a network cannot learn them by heart.

The ``[augment]`` table of a recipe (:class:`Augment`) says how; :class:`Augmenter` does it. What is drawn depends on the seed,
the epoch and the example alone: every engine sees the same, whatever the batches, and a resumed training goes on as if
unbroken. :class:`Sounds` asks for further versions of the training tracks (:mod:`harken.augment.sounds` makes them). Only what
is learnt from is changed, never what validates or tests.
"""

from harken.augment.rows import Augmenter
from harken.augment.settings import NOTHING, Augment, Sounds

__all__ = ["NOTHING", "Augment", "Augmenter", "Sounds"]
