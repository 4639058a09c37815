"""The ``[training]`` table of a recipe: loss, optimizer, schedule, and when to stop. Settings only; ``learn`` acts on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from harken.errors import RecipeError, suggest
from harken.settings import Count, Fraction, NotNegative, Positive, Range, Settings

Loss = Literal["cross_entropy", "mean_squared_error", "binary_cross_entropy"]
EngineName = Literal["numpy", "torch", "keras"]


@dataclass(frozen=True, kw_only=True)
class SGD(Settings):
    """Stochastic gradient descent: ``v ← momentum · v - rate · g``, ``w ← w + v``."""

    kind: ClassVar[str] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Fraction = 0.0


@dataclass(frozen=True, kw_only=True)
class Adam(Settings):
    """Adam (D. Kingma, J. Ba, 2015): bias-corrected, epsilon outside the square root, as in PyTorch."""

    kind: ClassVar[str] = "adam"
    learning_rate: Positive = 1e-3
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-8


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (I. Loshchilov, F. Hutter, 2019): ``w ← w - rate · weight_decay · w`` of kernels."""

    kind: ClassVar[str] = "adamw"
    weight_decay: NotNegative = 0.01


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {cls.kind: cls for cls in (SGD, Adam, AdamW)}


@dataclass(frozen=True, kw_only=True)
class Constant(Settings):
    """The same learning rate throughout."""

    kind: ClassVar[str] = "constant"


@dataclass(frozen=True, kw_only=True)
class Cosine(Settings):
    """Half a cosine from the learning rate down to ``final`` times it over all epochs, after ``warmup`` rising epochs."""

    kind: ClassVar[str] = "cosine"
    final: Fraction = 0.0
    warmup: Annotated[int, Range(low=0)] = 0


@dataclass(frozen=True, kw_only=True)
class ReduceOnPlateau(Settings):
    """Multiply the rate by ``factor`` whenever the validation loss has not fallen for ``patience`` epochs."""

    kind: ClassVar[str] = "reduce_on_plateau"
    factor: Annotated[float, Range(above=0, below=1)] = 0.5
    patience: Count = 5
    least: NotNegative = 1e-6


SCHEDULES: dict[str, type[Constant] | type[Cosine] | type[ReduceOnPlateau]] = {
    cls.kind: cls for cls in (Constant, Cosine, ReduceOnPlateau)
}


@dataclass(frozen=True, kw_only=True)
class Training(Settings):
    """How a net is trained.

    Attributes
    ----------
    loss : str
        ``"cross_entropy"`` (categorical), ``"binary_cross_entropy"`` or ``"mean_squared_error"``; each is the mean over the
        batch, the mean squared error also over the outputs.
    optimizer, schedule : Settings
    batch : int
        Clips in a step.
    epochs : int
        The most epochs.
    clip_value, clip_norm : float, optional
        Bounds of each gradient value, and of the norm of all gradients together.
    early_stopping : int, optional
        Stop when the monitored figure has not improved for so many epochs.
    monitor : str
        What says which epoch is the best: the validation part's accuracy (ties: lower loss) or loss.
    class_weights : str
        ``"balanced"`` weighs each class by the inverse of its share of the clips.
    engine : str, optional
        What does the arithmetic of a training, unless whoever starts it names another; ``"numpy"`` where nobody does.
    """

    kind: ClassVar[str] = "training"
    loss: Loss = "cross_entropy"
    optimizer: SGD | Adam | AdamW = Adam()
    schedule: Constant | Cosine | ReduceOnPlateau = Constant()
    batch: Count = 32
    epochs: Count = 10
    clip_value: Positive | None = None
    clip_norm: Positive | None = None
    early_stopping: Count | None = None
    monitor: Literal["accuracy", "loss"] = "accuracy"
    class_weights: Literal["none", "balanced"] = "none"
    engine: EngineName | None = None

    @classmethod
    def from_table(cls, table: Mapping[str, Any], where: str) -> Training:
        """Build from a recipe's table; ``optimizer`` and ``schedule`` are tables with a ``kind``."""
        table = dict(table)
        mistakes: list[str] = []
        for key, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if key in table and not isinstance(table[key], Settings):
                try:
                    table[key] = _choose(table[key], known, key)
                except RecipeError as error:
                    mistakes += [f"{key}: {mistake}" for mistake in error.mistakes]
                    del table[key]
        try:
            training = super().from_table(table, where)
        except RecipeError as error:
            raise RecipeError(where, [*mistakes, *error.mistakes]) from None
        if mistakes:
            raise RecipeError(where, mistakes)
        return training

    def mistakes(self) -> list[str]:
        """Say what does not go together."""
        if isinstance(self.schedule, Cosine) and self.schedule.warmup >= self.epochs:
            return [
                f"schedule: warmup = {self.schedule.warmup} with epochs = {self.epochs}: the rate would rise and never fall; "
                "take fewer warmup epochs than epochs"
            ]
        return []

    def to_table(self) -> dict[str, Any]:
        """Return the table that a recipe holds."""
        table = super().to_table()
        for key in ("optimizer", "schedule"):
            table[key] = {"kind": getattr(self, key).kind, **table[key]}
        return table


def _choose(table: Any, known: Mapping[str, type[Any]], key: str) -> Any:
    if isinstance(table, str):
        table = {"kind": table}
    if not isinstance(table, Mapping) or not isinstance(table.get("kind"), str):
        raise RecipeError(key, ["must be a table with a kind, such as { kind = 'adam' }"])
    kind = table["kind"]
    if kind not in known:
        raise RecipeError(key, [f"unknown kind {kind!r} ({suggest(kind, known)})"])
    return known[kind].from_table({name: value for name, value in table.items() if name != "kind"}, key)
