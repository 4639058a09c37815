"""Recipes whose network decides: ``kind = "net"``, with ``[frontend]``, ``[training]``, ``[augment]`` and ``[[net]]``."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Annotated, Any, ClassVar, Self

from harken.augment import NOTHING, Augment
from harken.errors import NetError, RecipeError, brief
from harken.frontends import Frontend
from harken.nets import Layer, Net, follow_classes
from harken.nets.layers import Dense, layers_from_tables
from harken.recipes.base import Head, Recipe, Shape
from harken.recipes.training import Cosine, Training
from harken.settings import Count, Range

MOST_WEIGHTS, MOST_OUTPUTS, MOST_IN_A_STEP = 1 << 30, 1 << 30, 1 << 36
"""Numbers of 4 bytes that a net may have to learn (4 GiB), that its layers may give for a clip together, and for a batch
(256 GiB). What is refused would not run anywhere; what is not may still be too much for a machine."""

logger = logging.getLogger("harken")


@dataclass(frozen=True, kw_only=True)
class NetHead(Head):
    """The top level of a net's recipe: the count of its parameters too, for so many classes."""

    parameters: Count | None = None
    parameters_classes: Annotated[int, Range(low=2)] = 2


@dataclass(frozen=True, kw_only=True)
class NetRecipe(Recipe):
    """A network: what is heard, its layers, and how it is trained.

    Attributes
    ----------
    name : str
        A known system's name, or the file's name without ``.toml``.
    frontend : Frontend
    training : Training
    augment : Augment
        What is changed in training examples: nothing, unless the recipe says so.
    net : tuple of Layer
        As declared: its last layer follows the number of classes (:meth:`bind`).
    title : str
    kind : str
        ``"net"``.
    source : str
        Where the system was described.
    published : dict, optional
        ``figure``, ``value`` (0 to 1), ``data``.
    parameters : int, optional
        Of the net for ``parameters_classes`` classes; checked.
    parameters_classes : int
    notes : str

    Raises
    ------
    RecipeError
        The parts do not fit together.
    NetError
        The net's shapes are impossible; the message shows the layer table up to the fault.
    """

    KIND: ClassVar[str] = "net"
    training: Training
    net: tuple[Layer, ...]
    augment: Augment = NOTHING
    parameters: int | None = None
    parameters_classes: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            net = self.bind(self.parameters_classes)
            counted = net.parameters
        except NetError as error:
            raise NetError(f"recipe {self.name}: the net cannot be built\n{error}") from None
        if self.parameters not in (None, counted):
            raise RecipeError(
                self.name,
                [f"parameters = {self.parameters}, but for {self.parameters_classes} classes the net has {counted}"],
            )
        too_large = _too_large(net, self.training.batch)
        if too_large:
            raise RecipeError(self.name, [too_large])
        misfits = self.augment.misfits(self.frontend)
        if misfits:
            raise RecipeError(self.name, [f"[augment] {key} = {getattr(self.augment, key)}: {misfits[key]}" for key in misfits])
        last = self.net[-1]
        if self.training.loss == "cross_entropy" and isinstance(last, Dense) and last.activation == "sigmoid":
            raise RecipeError(
                self.name,
                [
                    "loss = 'cross_entropy' compares probabilities that sum to 1, and the last layer ends in 'sigmoid'; "
                    "choose 'softmax', or the loss 'binary_cross_entropy' or 'mean_squared_error'"
                ],
            )

    @property
    def engines(self) -> bool:
        """There is."""
        return True

    @property
    def epochs(self) -> int:
        """How many epochs it is trained for, at most."""
        return self.training.epochs

    @property
    def pace(self) -> str:
        """Why the number of epochs cannot change while a run goes on; empty where it can."""
        if not isinstance(self.training.schedule, Cosine):
            return ""
        return "the course of its learning rate (schedule = cosine) depends on the number of epochs"

    def bind(self, classes: int, input_shape: Shape | None = None, sizes: Mapping[str, int] | None = None) -> Net:
        """Return the net for a number of classes.

        Parameters
        ----------
        classes : int
            From 2 on; the last layer follows it (:func:`harken.nets.follow_classes`).
        input_shape : tuple of int, optional
            Default: the frontend's.
        sizes : mapping of str to int, optional
            A net has none.

        Raises
        ------
        NetError
            The layers do not fit; the message shows the layer table up to the fault.
        """
        if sizes:
            raise NetError(f"a net has no sizes that depend on the data, and receives {', '.join(map(brief, sizes))}")
        return Net(follow_classes(self.net, classes), self.frontend.shape if input_shape is None else input_shape)

    def decides(self) -> dict[str, Any]:
        """Return the tables ``training`` and ``net``, and ``augment`` where there is one."""
        augment = {"augment": self.augment.to_table()} if self.augment.changes else {}
        return {"training": self.training.to_table(), **augment, "net": [layer.to_table() for layer in self.net]}

    def decides_alike(self) -> dict[str, Any]:
        """Return these without the engine, which may change, and without the epochs, unless the schedule reckons with them."""
        table = self.decides()
        free = {"engine"} if self.pace else {"engine", "epochs"}
        return {**table, "training": {key: value for key, value in table["training"].items() if key not in free}}

    def engine_for(self, asked: str | None = None) -> str:
        """Return the name of the engine of a training: the one that is asked for, else the recipe's, else ``"numpy"``."""
        return asked or self.training.engine or "numpy"

    def replace(self, **changes: Any) -> Self:
        """Return the recipe with other training settings.

        Parameters
        ----------
        **changes
            Keys of the ``[training]`` table (``epochs``, ``batch``, ``early_stopping`` …), or ``learning_rate``, which is
            the optimizer's. None takes an option away. Where ``epochs`` are too few for the schedule's warmup, that is
            shortened, and the log says so.

        Raises
        ------
        RecipeError
            Unknown keys, or values that cannot be.
        """
        rate = changes.pop("learning_rate", None)
        if "schedule" not in changes:
            changes |= self._shorter_warmup(changes.get("epochs"))
        table = {key: value for key, value in {**self.training.to_table(), **changes}.items() if value is not None}
        training = Training.from_table(table, f"{self.name} [training]")
        if rate is not None:
            training = replace(training, optimizer=replace(training.optimizer, learning_rate=rate))
        return replace(self, training=training)

    def _shorter_warmup(self, epochs: Any) -> dict[str, Any]:
        """Return the schedule for so few epochs that its warmup would fill them all; nothing where it would not."""
        schedule = self.training.schedule
        if type(epochs) is not int or epochs < 1 or not isinstance(schedule, Cosine) or schedule.warmup < epochs:
            return {}
        logger.warning(
            "recipe %s: the warmup of the learning rate is shortened from %d to %d, as %d %s to be learnt for",
            self.name,
            schedule.warmup,
            epochs - 1,
            epochs,
            "epoch is" if epochs == 1 else "epochs are",
        )
        return {"schedule": {"kind": schedule.kind, **schedule.to_table(), "warmup": epochs - 1}}

    def with_frontend(self, frontend: Frontend) -> Self:
        """Return the recipe listening another way, as for arrays; the count of parameters is then not checked any more.

        Changes of training examples that such features do not allow are left out, and the log says so.
        """
        misfits = self.augment.misfits(frontend)
        for key, reason in misfits.items():
            logger.warning("recipe %s: [augment] %s is left out: %s", self.name, key, reason)
        return replace(self, frontend=frontend, parameters=None, augment=self.augment.fitting(frontend))

    def _counted(self) -> dict[str, Any]:
        return {"parameters": self.parameters, "parameters_classes": self.parameters_classes}


def _too_large(net: Net, batch: int) -> str:
    """Say what no machine could hold; empty where nothing is."""
    largest = max(net.rows, key=lambda row: max(row.parameters, prod(row.output_shape)))
    outputs = sum(prod(row.output_shape) for row in net.rows)
    cure = f"the largest layer is {largest.name}: {largest.parameters:,} weights, outputs of the shape {largest.output_shape}"
    if net.parameters > MOST_WEIGHTS:
        return f"the net would have {net.parameters:,} weights, and at most {MOST_WEIGHTS:,} can be held; {cure}"
    if outputs > MOST_OUTPUTS:
        return f"the net would compute {outputs:,} numbers for a clip, and at most {MOST_OUTPUTS:,} can be held; {cure}"
    if outputs * batch > MOST_IN_A_STEP:
        return (
            f"batch = {brief(batch)}: the net would compute {outputs * batch:,} numbers for a batch, and at most "
            f"{MOST_IN_A_STEP:,} can be held; take a smaller batch"
        )
    return ""


def read_training(table: Mapping[str, Any]) -> Training:
    """Read a recipe's ``[training]``."""
    return Training.from_table(table, "[training]")


def read_augment(table: Mapping[str, Any]) -> Augment:
    """Read a recipe's ``[augment]``."""
    return Augment.from_table(table, "[augment]")


def read_net(tables: Sequence[Any]) -> tuple[Layer, ...]:
    """Read a recipe's ``[[net]]``."""
    layers = layers_from_tables(tables, "[[net]]")
    if not layers:
        raise RecipeError("[[net]]", ["holds no layers"])
    return layers
