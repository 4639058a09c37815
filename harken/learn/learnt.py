"""What a training leaves, whatever was trained: the models, and the record of how they came to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harken.archive import Model, TrainedOn, group_hash, name_hash
from harken.learn.callbacks import Epoch
from harken.learn.loop import TrainingResult
from harken.recipes import StackRecipe
from harken.run import machine
from harken.store import Features
from harken.store.hashes import content_of
from harken.tracks import normal_name


@dataclass(frozen=True, eq=False)
class Learnt:
    """What a training of a recipe leaves.

    Attributes
    ----------
    best, last : Model
        With the weights of the best and of the last epoch; one and the same where there are no epochs.
    result : TrainingResult, optional
        With the history; None where there are no epochs.
    everything : callable, optional
        Learns from the validation part too, as what was chosen without it says, and returns that model: for when the validation
        part has settled how sure to be, and another part judges. None where there is no validation part, or it has chosen
        the epoch.
    """

    best: Model
    last: Model
    result: TrainingResult | None = None
    everything: Callable[[], Model] | None = None

    @property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs; none where the kind of recipe has none."""
        return () if self.result is None else self.result.history

    @property
    def best_epoch(self) -> int | None:
        """From 1 on; None where there are no epochs."""
        return None if self.result is None else self.result.best_epoch

    @property
    def in_epochs(self) -> bool:
        """Whether a net is in the model, whose epoch a validation part chooses: of a stack, in a view that answers."""
        recipe = self.best.recipe
        if isinstance(recipe, StackRecipe):
            return any(view.engines and self.best.sizes.get(view.name, 1) > 0 for view in recipe.views)
        return recipe.engines


def record_of(seed: int, engine: str, device: str, seconds: float, **more: Any) -> dict[str, Any]:
    """Return what is remembered of a training: enough to repeat it.

    Parameters
    ----------
    seed : int
    engine, device : str
    seconds : float
        That the training took.
    **more
        What else is known of it.
    """
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "engine": engine,
        "device": device,
        **more,
        "seconds": round(seconds, 3),
        **machine(),
    }


def trained_on(parts: Sequence[Features]) -> TrainedOn:
    """Return what a model that learnt from these parts remembers of them."""
    tracks = {content_of(held) for features in parts for held in features.hashes if held is not None}
    groups = {group_hash(group) for features in parts for group in features.tracks.groups if group and normal_name(group)}
    names = {name_hash(track.path, track.label or "") for features in parts if features.ready for track in features.tracks}
    return TrainedOn(frozenset(tracks), frozenset(groups), frozenset(names))
