"""The NumPy engine: networks from NumPy alone, to be read by whoever wants to know how they work, and fast enough to be used.

Begin with :mod:`~harken.engines.numpy.layers.dense`, the shortest layer that learns; then ``activation``, ``losses`` (what
training makes small), ``optimizers`` (how), ``net`` (the order of it all), and ``layers/conv``, where the time goes.

Letters: ``x`` is what a layer reads, ``y`` what it gives, ``dx`` and ``dy`` the gradients of the loss by them. All arrays have
the batch first and channels last.

What makes it fast: arrays are kept from step to step (:mod:`~harken.engines.numpy.buffers`), work on large maps goes in blocks
that fit the processor's cache, and every sum of products is one matrix product.
"""

from harken.engines.numpy.net import EngineNet

__all__ = ["EngineNet"]
