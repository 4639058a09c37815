"""Judgement: figures with honest intervals. Evaluation of probabilities, and the intervals that it rests on."""

from harken.judge.baselines import Baselines, Trivial, fit_features
from harken.judge.evaluation import Baseline, Evaluation, Seen, beside, evaluate, evaluate_features
from harken.judge.figure import Figure
from harken.judge.intervals import Interval, difference_interval, macro_f1, macro_f1_interval, ratio_interval
from harken.judge.measures import measure

__all__ = [
    "Baseline",
    "Baselines",
    "Evaluation",
    "Figure",
    "Interval",
    "Seen",
    "Trivial",
    "beside",
    "difference_interval",
    "evaluate",
    "evaluate_features",
    "fit_features",
    "macro_f1",
    "macro_f1_interval",
    "measure",
    "ratio_interval",
]
