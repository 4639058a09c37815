"""Learning: the training loop with its callbacks and schedules, and how a recipe becomes a model.

>>> from harken.learn import class_probabilities
>>> class_probabilities([[0.9, 0.1]])
array([[0.9, 0.1]])
"""

from harken.learn.batches import (
    ArrayRows,
    Batch,
    Decider,
    Examples,
    Part,
    class_probabilities,
    class_probabilities_of,
    decided_by_outputs,
    judge,
    outputs_of,
    part,
    targets,
)
from harken.learn.callbacks import BestEpoch, Callback, Checkpoint, EarlyStopping, Epoch, Job, Report, TrainingState
from harken.learn.deciders import decider
from harken.learn.loop import TrainingResult, fit
from harken.learn.schedules import schedule_callback

__all__ = [
    "ArrayRows",
    "Batch",
    "BestEpoch",
    "Callback",
    "Checkpoint",
    "Decider",
    "EarlyStopping",
    "Epoch",
    "Examples",
    "Job",
    "Part",
    "Report",
    "TrainingResult",
    "TrainingState",
    "class_probabilities",
    "class_probabilities_of",
    "decided_by_outputs",
    "decider",
    "fit",
    "judge",
    "outputs_of",
    "part",
    "schedule_callback",
    "targets",
]
