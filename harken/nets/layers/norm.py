"""Layers that bring numbers of different sizes to one: batch normalisation, and standardisation by the training part."""

from __future__ import annotations

from dataclasses import dataclass

from harken.nets.layers.base import Layer, Shape, WeightSpec, register
from harken.settings import Fraction, Positive


@register("batch_norm")
@dataclass(frozen=True, kw_only=True)
class BatchNorm(Layer):
    """Batch normalisation over all axes but the last (S. Ioffe, C. Szegedy, 2015).

    In training with the batch's mean and biased variance, and ``running ← momentum · running + (1 - momentum) · batch``
    (Keras' sense of momentum; PyTorch's is 1 minus it, and its running variance is unbiased); in prediction with the
    running ones.
    """

    momentum: Fraction = 0.9
    epsilon: Positive = 1e-5

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return gamma, beta, mean and variance, each (channels)."""
        channels = shape[-1:]
        return {
            "gamma": WeightSpec(channels, "ones"),
            "beta": WeightSpec(channels, "zeros"),
            "mean": WeightSpec(channels, "zeros", trained=False),
            "variance": WeightSpec(channels, "ones", trained=False),
        }


@register("standardise")
@dataclass(frozen=True, kw_only=True)
class Standardise(Layer):
    """``y = (x - mean) / deviation`` over all axes but the last, with one mean and one deviation a channel.

    Both are weights that no gradient changes: they are fitted once, from the training part alone, before the first step
    (:func:`harken.learn.standard.fit_standardise`, where it also stands which columns count as constant and get the deviation
    1). So the layer stands first in a net, where it reads the data themselves; elsewhere a recipe with it is refused. It needs
    no options, and treats training and prediction alike.
    """

    def weights(self, shape: Shape) -> dict[str, WeightSpec]:
        """Return mean and deviation, each (channels)."""
        channels = shape[-1:]
        return {
            "mean": WeightSpec(channels, "zeros", trained=False),
            "deviation": WeightSpec(channels, "ones", trained=False),
        }
