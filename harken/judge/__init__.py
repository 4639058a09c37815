"""Judgement: figures with honest intervals. Evaluation of probabilities, and the intervals that it rests on."""

from harken.judge.evaluation import Baseline, Evaluation, Figure, Seen, evaluate, evaluate_features
from harken.judge.intervals import Interval, ratio_interval

__all__ = ["Baseline", "Evaluation", "Figure", "Interval", "Seen", "evaluate", "evaluate_features", "ratio_interval"]
