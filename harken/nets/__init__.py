"""Networks as data: layers, shapes, weights, parameter counts. No arithmetic happens here.

A network is a list of layer declarations (:mod:`harken.nets.layers`) bound to an input shape (:class:`Net`); any engine can
build it. Shapes leave out the batch, which is always axis 0: ``(steps, channels)``, ``(height, width, channels)``,
``(features,)``.

Weights have one canonical layout, to which every engine translates:

==============  ===========================================================================
dense           kernel (in, out), bias (out)
conv1d          kernel (kernel, in, out), bias (out)
conv2d          kernel (height, width, in, out), bias (out)
batch_norm      gamma, beta, mean, variance, each (channels); the variance is the biased one
lstm            kernel (in, 4 · units), recurrent (units, 4 · units), bias (4 · units), the
                gates in the order input, forget, cell, output; of both directions, where
                there are two, under ``forward/`` and ``backward/``
==============  ===========================================================================

Their names are ``<index>_<layer>/<weight>``, as in ``0_conv2d/kernel``; a nested block nests the name:
``3_residual/0_conv2d/kernel``, and its projection is ``3_residual/shortcut/kernel``.
"""

from harken.nets.initial import initial_weights
from harken.nets.layers import LAYERS, Layer, Shape, WeightSpec, layer_from_table
from harken.nets.net import Net, follow_classes

__all__ = ["LAYERS", "Layer", "Net", "Shape", "WeightSpec", "follow_classes", "initial_weights", "layer_from_table"]
