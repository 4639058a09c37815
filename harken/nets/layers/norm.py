"""Batch normalisation."""

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
