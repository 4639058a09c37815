"""Whether rows of a table count as made by a frontend: their columns have its names, and nothing in them speaks against it.

A model that learnt from such rows then hears audio. What speaks against it: rows of clips of another length than the
frontend's, where the table tells a length; and numbers that the frontend cannot give, as in a table that somebody scaled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harken.datasets import Arrays
from harken.frontends import Frontend
from harken.frontends.base import AudioFrontend

SHORTER, LONGER = 0.9, 1.01
"""Rows' longest clip, as a share of the frontend's: rows of 30 s stand for a clip of 31 s, which hears a file of 30 s whole."""


def has_names(arrays: Arrays, frontend: Frontend) -> bool:
    """Return whether the rows have a column for each number of a frontend, under its name, and no other; in any order."""
    return bool(frontend.names) and arrays.columns is not None and set(arrays.columns) == set(frontend.names)


def objection(arrays: Arrays, frontend: Frontend) -> str:
    """Return why rows with the names of a frontend are not its own, with the cure; empty where nothing speaks against it.

    Parameters
    ----------
    arrays : Arrays
        Raw rows (:meth:`harken.datasets.Arrays.raw`).
    frontend : Frontend
    """
    assert arrays.columns is not None
    foreign = frontend.foreign(arrays.select_columns(frontend.names).x)
    if foreign:
        return (
            f"{foreign}: its rows were scaled or standardised, and it is not known by what. Give it the raw numbers (what "
            "harken features --standardise writes tells by what, as long as FILE.standard.csv stands beside FILE.csv)"
        )
    seconds = _seconds(arrays, frontend)
    if not isinstance(frontend, AudioFrontend) or seconds is None:
        return ""
    longest = float(seconds.max())
    if SHORTER * frontend.clip <= longest <= LONGER * frontend.clip:
        return ""
    return (
        f"its rows are of clips of {longest:.3g} s, and the {frontend.kind} frontend of the recipe has clips of "
        f"{frontend.clip:g} s. Set clip = {longest:.3g} in the recipe's [frontend] "
        '(and take = "all" where a track has several rows)'
    )


def _seconds(arrays: Arrays, frontend: Frontend) -> npt.NDArray[np.float64] | None:
    """Return how long what each row was computed from is; None where it is not told."""
    if arrays.times is not None and (arrays.times[:, 1] > arrays.times[:, 0]).all():
        return np.asarray(arrays.times[:, 1] - arrays.times[:, 0])
    if arrays.lengths is None or not isinstance(frontend, AudioFrontend):
        return None
    return np.asarray(arrays.lengths / frontend.rate)
