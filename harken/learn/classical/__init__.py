"""Classical classifiers: fitted with scikit-learn, kept as arrays, answering with NumPy alone.

:mod:`~harken.learn.classical.answer` is what a model needs to answer, and all that is imported here;
:mod:`~harken.learn.classical.steps` and :mod:`~harken.learn.classical.deciding` fit a model's arrays to rows with settings that
are given; :mod:`~harken.learn.classical.search` chooses those settings in inner folds, and how sure to be.
"""

from harken.learn.classical.answer import Logits, softmax

__all__ = ["Logits", "softmax"]
