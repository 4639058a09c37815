"""How a stack answers: each view for its own clips of a piece, their mean, and the joiner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from math import prod

import numpy as np
import numpy.typing as npt

from harken.frontends import Views
from harken.learn.batches import ArrayRows, Decider, class_probabilities_of, flat_rows
from harken.learn.stack.joiner import joined
from harken.learn.stack.said import Sayings
from harken.metrics import track_probabilities
from harken.recipes.stack import BIAS, WEIGHTS, Joined, StackRecipe

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BATCH, AT_ONCE = 64, 1 << 24
"""Clips of a view that are answered at once, and the bytes that they may have together."""


class Jury:
    """Answers with several views. It keeps no state between answers but what theirs do.

    Parameters
    ----------
    recipe : StackRecipe
    declared : Joined
    views : mapping of str to Decider
        Those that answer.
    arrays : mapping of str to ndarray of float32
        The model's; the joiner's are among them.

    Attributes
    ----------
    net : Joined
        What it is declared as.
    device : str
        Of the first view that is not worked out on the processor.
    """

    def __init__(
        self, recipe: StackRecipe, declared: Joined, views: Mapping[str, Decider], arrays: Mapping[str, Floats]
    ) -> None:
        assert isinstance(recipe.frontend, Views)
        self.net, self.views, self._frontend = declared, dict(views), recipe.frontend
        self.device = next((view.device for view in views.values() if view.device != "cpu"), "cpu")
        self._weights, self._bias = arrays[WEIGHTS], arrays[BIAS]
        self._offsets, self._most = self._frontend.offsets, self._frontend.most
        self._places = {name: number for number, name in enumerate(recipe.named())}
        self._bare = len(self.views) == 1 and float(self._weights[0]) == 1 and not self._bias.any()

    def working(self) -> AbstractContextManager[None]:
        """Return what to hold while answering many batches."""
        return _all_of([view.working() for view in self.views.values()])

    def of_views(self, x: npt.ArrayLike) -> dict[str, Doubles]:
        """Return what each view answers by itself, (batch, classes) each; NaN where it has no clip, or its clips no answer."""
        rows = flat_rows(x, self.net.input_shape)
        return {name: self._view(name, rows) for name in self.views}

    def _view(self, name: str, rows: Floats) -> Doubles:
        place = self._places[name]
        shape, offset = self._frontend.ears[place].shape, self._offsets[place]
        counts = np.nan_to_num(rows[:, place]).astype(np.int64).clip(0, self._most[place])
        row = np.repeat(np.arange(len(rows)), counts)
        slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        size = prod(shape)
        clips = rows[:, offset : offset + size * self._most[place]].reshape(len(rows), self._most[place], *shape)[row, slot]
        found = class_probabilities_of(self.views[name], ArrayRows(clips), batch_of(shape))
        return np.asarray(track_probabilities(found, row, len(rows)), dtype=np.float64)

    def sayings(self, x: npt.ArrayLike, /) -> Sayings:
        """Return what the views say of a batch, with what joins them."""
        found = self.of_views(x)
        answers = np.stack(list(found.values()))
        return Sayings(tuple(found), answers, self._weights.astype(np.float64), self._bias.astype(np.float64))

    def joint(self, said: Sayings) -> Floats:
        """Return the joint probabilities of what the views say, (batch, classes); NaN where none that counts has an answer.

        A view that nothing was weighed against (all others stepped aside) answers as it is; one that is left because the
        others have no weight is weighed as it was fitted.
        """
        if self._bare:
            return np.asarray(said.answers[0], dtype=np.float32)
        return joined(said.answers, self._weights, self._bias).astype(np.float32)

    def needs(self, seconds: float) -> str:
        """Return why a piece of so many seconds has no answer: what its views need; empty where one of them hears it."""
        samples = round(seconds * self._frontend.rate)
        if any(self._frontend.clips_of(self._places[name], samples) for name in self.views):
            return ""
        needed = [f"the {self._frontend.least[self._places[name]]:g} s that {name} needs" for name in self.views]
        others = "" if len(self._places) == len(needed) else ", and the model listens with no other view"
        return f"{seconds:.3g} s of sound are shorter than {' and '.join(needed)}{others}; give it a longer file"

    def forward(self, x: npt.ArrayLike, /) -> Floats:
        """Return the joint probabilities, (batch, classes); NaN where no view has an answer."""
        return self.joint(self.sayings(x))


@contextmanager
def _all_of(contexts: Sequence[AbstractContextManager[None]]) -> Iterator[None]:
    with ExitStack() as held:
        for one in contexts:
            held.enter_context(one)
        yield


def batch_of(shape: tuple[int, ...]) -> int:
    """Return how many clips of this shape are answered at once."""
    return max(1, min(BATCH, AT_ONCE // (4 * prod(shape))))
