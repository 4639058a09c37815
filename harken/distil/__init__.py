"""Distilling: a student network learns from a teacher's answers, and both are judged on tracks that neither has heard.

:func:`distil` does the whole; :mod:`harken.distil.lessons` is what each training does, in a process of its own.
"""

from harken.distil.lessons import OUT_OF_FOLD, Lesson
from harken.distil.whole import PREDICTIONS, RESULT, STUDENT, TABLE, TEACHER, distil

__all__ = ["OUT_OF_FOLD", "PREDICTIONS", "RESULT", "STUDENT", "TABLE", "TEACHER", "Lesson", "distil"]
