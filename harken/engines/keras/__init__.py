"""The Keras engine: Keras 3 layers and optimizers, on whichever backend Keras is set to.

The net is a plain ``keras.Model`` (:attr:`~harken.engines.keras.net.EngineNet.model`), made of Keras' own layers alone: it
may be taken out, saved, and trained on with Keras. A step here does not go through ``fit``: Keras works out the loss, a small
function for each backend (:mod:`~harken.engines.keras.backends`) its gradients, and Keras' optimizer takes them.

**Backends.** Torch is the one that this is tested with. On JAX 0.10 (with ``JAX_ENABLE_X64=1``) the first 47
tests of ``tests/test_keras.py`` were run once and passed. TensorFlow's functions are written after Keras' documentation and
were not run; take them as a beginning. Which backend it is, Keras decides (``KERAS_BACKEND``, or its
``keras.json``); only where nothing is set and the backend that Keras would take is not installed, is torch taken.

**Where Keras differs from Harken**, and what is done about it:

- *Adam*: Keras' epsilon is added before the second moment is freed of its bias ("epsilon hat"); it is set anew before each
  step, to ``epsilon · sqrt(1 - β₂ᵗ)``, which is Harken's.
- *Clipping*: a Keras optimizer bounds values or the norm, not both. Values are bounded before it is called, the norm by it.
- *Decay*: AdamW's spares nothing by default; everything but kernels is excluded from it. L2 is a Keras regularizer of kernels.
- *Slots*: Keras' ``momentum`` is ``velocity`` (SGD) or ``first_moment`` (Adam), its ``velocity`` is ``second_moment``; its
  ``iterations`` are the steps done.
- *Batch norm*: momentum has the same sense and the variance is biased, as here; the defaults differ (.99 and 1e-3) and are
  always given. Keras moves the running statistics whenever it is called with ``training=True``; here after a step only.
  And on torch it loses digits, which is why the layers here are given another way to their moments.
- *Dropout* draws its own masks. In training a multiplication with the mask of :func:`harken.engines.base.dropout_mask` stands
  in its place (a Keras layer that reads a further input); the model that is taken out has Keras' dropout.
- *LSTM*: the same weights, gates and order of directions. ``unit_forget_bias`` is off unless the bias begins with 1. A
  ``Bidirectional`` that returns no sequences gives the last *states*; for the last *step* the sequence is cropped.
- *Leaky ReLU*: the slope of Keras' activation of this name is .2 and Harken's .01, so it is a layer of its own.
- *Losses*: Keras' mean squared error keeps all axes but the last, its binary cross-entropy is a mean over the outputs, and
  where they read probabilities they cut these off at 1e-7. Harken's are written with ``keras.ops``.
- *Padding and pooling*: of an odd "same" padding the larger part comes last, and it never wins a maximum. It does not count in
  a mean either, but on torch where its two sides differ; there padding and division are layers of their own. The gradient of
  a maximum goes to the topmost of equal values, then to the leftmost (NumPy engine: the other way round), that of a global
  maximum to all of them in equal parts.
- *Types*: layers take the engine's, whatever Keras' global policy; where an operation looks at the global float type, that is
  set for the time of a call, and put back. Keras makes float32 of what is worked out from float64 (on TensorFlow it does not);
  for the time of a call in float64, which is for proofs, its table of types is changed, and put back.
"""

from harken.engines.keras import backends
from harken.engines.keras.net import EngineNet

__all__ = ["EngineNet", "backends"]
