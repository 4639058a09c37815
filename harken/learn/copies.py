"""Altered copies of the training tracks, learnt from beside them: heard when a training asks for them, kept in the store."""

from __future__ import annotations

import logging

from harken.augment import Sounds
from harken.augment.sounds import altered
from harken.errors import DataError
from harken.progress import Progress, silent
from harken.store import Features, features, joined

logger = logging.getLogger("harken")


def with_copies(train: Features, sounds: Sounds | None, progress: Progress = silent) -> Features:
    """Return the training part with its altered copies behind it.

    Parameters
    ----------
    train : Features
        Of tracks whose files are there.
    sounds : Sounds, optional
        None: there are no copies.
    progress : Progress
        Stages of :func:`harken.store.features`.

    Raises
    ------
    DataError
        No track of the training part could be heard again.
    """
    if sounds is None:
        return train
    if train.ready:
        logger.warning("[augment.sounds] is left out: the data are rows of numbers, and no sounds to alter")
        return train
    found = [
        features(train.tracks, train.frontend, progress=progress, altered=altered(sounds, number))
        for number in range(1, sounds.copies + 1)
    ]
    for copies in found:
        if not len(copies):
            reason = f"; the first: {copies.failed[0].path}: {copies.failed[0].reason}" if copies.failed else ""
            raise DataError(f"[augment.sounds]: no track of the training part could be heard again{reason}")
        if copies.failed:
            logger.warning(
                "[augment.sounds]: %d of %d copies failed and are not learnt from; the first: %s: %s",
                len(copies.failed),
                len(copies.tracks),
                copies.failed[0].path,
                copies.failed[0].reason,
            )
    return joined([train, *found])
