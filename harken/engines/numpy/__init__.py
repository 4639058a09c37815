"""The NumPy engine: networks from NumPy alone, to be read by whoever wants to know how they work, and fast enough to be used.

Begin with :mod:`~harken.engines.numpy.layers.dense`, the shortest layer that learns; then ``activation``, ``losses`` (what
training makes small), ``optimizers`` (how), ``net`` (the order of it all), and ``layers/conv``, where the time goes.

Letters: ``x`` is what a layer reads, ``y`` what it gives, ``dx`` and ``dy`` the gradients of the loss by them. All arrays have
the batch first and channels last.

What makes it fast: arrays are kept from step to step (:mod:`~harken.engines.numpy.memory`), work on large maps goes in blocks
that fit the processor's cache, and every sum of products is one matrix product.

What it holds: of each layer the output for one batch and one gradient of its input's size, and of each weight its gradient and
the optimizer's slots. So a step of ``dance-cnn-small`` with 32 clips, whose largest map is 105 MB, peaks at 0.4 GB, the whole
process counted, and ``dance-cnn`` at 1.2 GB (``benchmarks/step.py``). A prediction holds a few examples at a time.
"""

from harken.engines.numpy.net import EngineNet

__all__ = ["EngineNet"]
