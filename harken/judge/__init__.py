"""Judgement: figures with honest intervals. Evaluation of probabilities, and the intervals that it rests on."""

from harken.judge.evaluation import Baseline, Evaluation, Figure, Seen, evaluate, evaluate_features
from harken.judge.intervals import Interval, difference_interval, macro_f1, macro_f1_interval, ratio_interval

__all__ = [
    "Baseline",
    "Evaluation",
    "Figure",
    "Interval",
    "Seen",
    "difference_interval",
    "evaluate",
    "evaluate_features",
    "macro_f1",
    "macro_f1_interval",
    "ratio_interval",
]
