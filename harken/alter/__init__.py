"""Sounds altered: what may happen to music before it is heard, and tracks whose music has been altered so.

:mod:`harken.perturb` judges models by it, and :mod:`harken.augment` makes further versions of training tracks with it.
"""

from harken.alter.stream import Alter, altered_stream, working_rate

__all__ = ["Alter", "altered_stream", "working_rate"]
