"""Perturbations: how a model's answers move under changes that a listener ignores: tempo, pitch, level, noise, MP3, clipping.

>>> sorted(PERTURBATIONS)
['clip', 'level', 'mp3', 'noise', 'pitch', 'tempo']
"""

from harken.perturb.changes import CONTROLS, PERTURBATIONS, Change, changes_named
from harken.perturb.judging import changed_stream, judge_changes
from harken.perturb.report import Changed, Changes

__all__ = ["CONTROLS", "PERTURBATIONS", "Change", "Changed", "Changes", "changed_stream", "changes_named", "judge_changes"]
