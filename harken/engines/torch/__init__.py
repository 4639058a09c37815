"""The PyTorch engine: the same nets, with PyTorch's arithmetic, on a processor or a graphics card.

It has the NumPy engine's files, and no way back in them: PyTorch differentiates by itself. What goes in and comes out is the
house's: NumPy arrays with the channels last, weights in the canonical layout, states that every engine reads.

Frameworks compute differently under the same names. What differs is settled here, so that nobody above need know it:

====================  ==================================================================  ==================
what                  the difference                                                      where it is hidden
====================  ==================================================================  ==================
axes                  PyTorch reads the channels first; here it is given such a view      ``layers/base``
kernels               dense (out, in), convolution (out, in, height, width), transposed   ``layers/dense``, ``conv``
                      when they are loaded and handed out
flatten               the last axis runs fastest, and the last axis is the channels       ``layers/shape``
"same" padding        PyTorch refuses it with strides, and puts an odd zero elsewhere;    ``layers/conv``, ``pool``
                      the zeros of TensorFlow's rule are given explicitly
places of windows     always rounded down (no ``ceil_mode``), after the padding           ``layers/pool``
padding of pools      never wins a maximum, and is not counted into a mean                ``layers/pool``
batch norm, momentum  PyTorch's is 1 minus ours (Keras')                                  ``layers/norm``
batch norm, variance  PyTorch remembers the unbiased one; ours (Keras') is the biased     ``layers/norm``
batch norm, epsilon   PyTorch's default is 1e-5, Keras' 1e-3; ours is always given        ``layers/norm``
batch norm, sums      PyTorch adds up maps with the channels last in plain float32, and   ``layers/norm``
                      a large map's variance is wrong in the third digit
batch norm of one     PyTorch's functions refuse a batch with one value in a channel;     ``layers/norm``
                      here its variance is 0
LSTM, gates           input, forget, cell, output in both; PyTorch's kernels transposed   ``layers/recurrent``
LSTM, biases          PyTorch adds two; the second is zero and never learns               ``layers/recurrent``
dropout               the masks are the house's, keyed by seed, step and layer            ``layers/dropout``
Adam                  both correct the bias, both have epsilon outside the square root    ``optimizers``
                      (Keras' stands elsewhere, and its default is 1e-7)
momentum              PyTorch keeps the learning rate out of the velocity                 ``optimizers``
L2                    part of the loss, of kernels alone; PyTorch's ``weight_decay``      ``optimizers``
                      is half as strong, and takes in biases and norms
decoupled decay       of kernels alone; PyTorch's AdamW takes in all weights              ``optimizers``
clipping by the norm  exactly to the norm; PyTorch divides by norm + 1e-6                 ``optimizers``
cross-entropy         worked out from the logits where the net ends in softmax;           ``losses``
                      elsewhere logarithms are kept finite, as in the NumPy engine
float32 on a card     TF32 is off inside the engine's calls, and sums are repeatable      ``devices``
====================  ==================================================================  ==================

One difference is left: where two values in a window of a *two-dimensional* maximum are equal, the NumPy engine leads the
gradient to the leftmost of them, and there to the topmost, and PyTorch to the topmost, and there to the leftmost.

What makes it fast: maps lie in memory with the channels side by side (on a processor about three times as fast as the other way
round for a spectrogram network's step); activations write over what they read; Adam's formula goes over each weight once; and
the C library is asked to keep memory (:mod:`~harken.engines.torch.memory`): on one core of the machine it was tried on, a step
of ``dance-cnn-small`` with 32 clips then took 0.15 s, not 0.5 s, and the process held 1.1 GB, not 0.8 (``dance-cnn``: 2.3 GB,
not 1.8).
"""

from harken.engines.torch.memory import keep_memory
from harken.engines.torch.net import EngineNet

__all__ = ["EngineNet"]

keep_memory()
