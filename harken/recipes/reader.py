"""Reading recipes: from the known systems' names, from TOML files, from tables; and writing them again.

A recipe's top level holds ``title``, ``kind``, ``source``, ``published``, ``parameters`` and ``notes``, all optional, and the
tables of its kind: for ``kind = "net"`` these are ``[frontend]``, ``[training]`` and ``[[net]]``. :data:`KINDS` is where other
ways to decide are entered.
"""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib import resources
from math import prod
from pathlib import Path
from typing import Annotated, Any, TypeVar

from harken.errors import NetError, RecipeError, brief, suggest
from harken.frontends import Frontend, frontend_from_table
from harken.nets import Layer, Net, follow_classes
from harken.nets.layers import Dense, layers_from_tables
from harken.recipes.training import Cosine, Training
from harken.settings import Count, Range, Settings

SUFFIX = ".toml"
LARGEST_FILE = 1 << 20
"""Bytes that a recipe's file may have."""

MOST_WEIGHTS, MOST_OUTPUTS, MOST_IN_A_STEP = 1 << 30, 1 << 30, 1 << 36
"""Numbers of 4 bytes that a net may have to learn (4 GiB), that its layers may give for a clip together, and for a batch
(256 GiB). What is refused would not run anywhere; what is not may still be too much for a machine."""

_T = TypeVar("_T")

logger = logging.getLogger("harken")


@dataclass(frozen=True, kw_only=True)
class Published(Settings):
    """The figure that a system was published with.

    Attributes
    ----------
    figure : str
        What it measures: ``"clip accuracy"``.
    value : float
        From 0 to 1.
    data : str
        On what it was measured: other data than the user's.
    """

    figure: str
    value: Annotated[float, Range(low=0, high=1)]
    data: str


@dataclass(frozen=True, kw_only=True)
class _Head(Settings):
    """The top level of a recipe, without its tables."""

    name: str | None = None
    title: str = ""
    kind: str = "net"
    source: str = ""
    published: Published | None = None
    parameters: Count | None = None
    parameters_classes: Annotated[int, Range(low=2)] = 2
    notes: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is heard, what decides, and how it is trained.

    Attributes
    ----------
    name : str
        A known system's name, or the file's name without ``.toml``.
    frontend : Frontend
    training : Training
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

    name: str
    frontend: Frontend
    training: Training
    net: tuple[Layer, ...]
    title: str = ""
    kind: str = "net"
    source: str = ""
    published: dict[str, Any] | None = None
    parameters: int | None = None
    parameters_classes: int = 2
    notes: str = ""

    def __post_init__(self) -> None:
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
        last = self.net[-1]
        if self.training.loss == "cross_entropy" and isinstance(last, Dense) and last.activation == "sigmoid":
            raise RecipeError(
                self.name,
                [
                    "loss = 'cross_entropy' compares probabilities that sum to 1, and the last layer ends in 'sigmoid'; "
                    "choose 'softmax', or the loss 'binary_cross_entropy' or 'mean_squared_error'"
                ],
            )

    def bind(self, classes: int, input_shape: tuple[int, ...] | None = None) -> Net:
        """Return the net for a number of classes.

        Parameters
        ----------
        classes : int
            From 2 on; the last layer follows it (:func:`harken.nets.follow_classes`).
        input_shape : tuple of int, optional
            Default: the frontend's.

        Raises
        ------
        NetError
            The layers do not fit; the message shows the layer table up to the fault.
        """
        return Net(follow_classes(self.net, classes), self.frontend.shape if input_shape is None else input_shape)

    def replace(self, **changes: Any) -> Recipe:
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

    def with_frontend(self, frontend: Frontend) -> Recipe:
        """Return the recipe listening another way, as for arrays; the count of parameters is then not checked any more."""
        return replace(self, frontend=frontend, parameters=None)

    def to_table(self) -> dict[str, Any]:
        """Return the recipe as the table that :func:`recipe_from_table` reads, complete with all defaults."""
        head = {
            "name": self.name,
            "title": self.title,
            "kind": self.kind,
            "source": self.source,
            "published": None if self.published is None else dict(self.published),
            "parameters": self.parameters,
            "parameters_classes": self.parameters_classes,
            "notes": self.notes,
        }
        return {
            **{key: value for key, value in head.items() if value is not None},
            "frontend": self.frontend.to_table(),
            "training": self.training.to_table(),
            "net": [layer.to_table() for layer in self.net],
        }

    def to_toml(self) -> str:
        """Return the recipe as the TOML text that :func:`load_recipe` reads."""
        import tomli_w  # noqa: PLC0415 (who only reads recipes writes none)

        return tomli_w.dumps(self.to_table())


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


def _read_frontend(table: Mapping[str, Any]) -> Frontend:
    return frontend_from_table(table, "[frontend]")


def _read_training(table: Mapping[str, Any]) -> Training:
    return Training.from_table(table, "[training]")


def _read_net(tables: Sequence[Any]) -> tuple[Layer, ...]:
    layers = layers_from_tables(tables, "[[net]]")
    if not layers:
        raise RecipeError("[[net]]", ["holds no layers"])
    return layers


@dataclass(frozen=True, slots=True)
class Part:
    """A table of a recipe: how it is headed, what type TOML gives it, and who reads it.

    Attributes
    ----------
    heading : str
        ``"[frontend]"``.
    shape : type
        ``dict`` of a table, ``list`` of an array of tables.
    read : callable
        Builds the part, or raises :class:`RecipeError` with its mistakes.
    required : bool
        Whether a recipe must hold it; else an empty one is read.
    """

    heading: str
    shape: type
    read: Callable[[Any], Any]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to decide: the tables that its recipes hold, and the class that they make.

    Attributes
    ----------
    parts : mapping of str to Part
        By key, which is also the field of ``recipe``.
    recipe : callable
        Takes the parts and the top level's values as keywords.
    """

    parts: Mapping[str, Part]
    recipe: Callable[..., Recipe]


KINDS: dict[str, Kind] = {
    "net": Kind(
        {
            "frontend": Part("[frontend]", dict, _read_frontend),
            "training": Part("[training]", dict, _read_training, required=False),
            "net": Part("[[net]]", list, _read_net),
        },
        Recipe,
    )
}
"""Every kind of recipe by its name."""


def recipe_from_table(table: Mapping[str, Any], name: str) -> Recipe:
    """Build a recipe from the table that its TOML file holds.

    Parameters
    ----------
    table : mapping
        As ``tomllib`` gives it.
    name : str
        The recipe's name, unless the table has a ``name`` of its own; mistakes name it too.

    Raises
    ------
    RecipeError
        Every unknown key, layer and option and every impossible value of the whole table, with the nearest known names.
    NetError
        The layers do not fit together; the message shows the layer table up to the fault.
    """
    try:
        return _read(table, name)
    except RecursionError:
        raise RecipeError(name, ["its blocks are nested too deeply"]) from None


def _read(table: Mapping[str, Any], name: str) -> Recipe:
    mistakes: list[str] = []
    kind = table.get("kind", "net")
    known_kind = KINDS.get(kind) if isinstance(kind, str) else None
    parts = known_kind.parts if known_kind else {key: part for one in KINDS.values() for key, part in one.parts.items()}
    if known_kind is None:
        mistakes.append(f"unknown kind {kind!r} ({suggest(str(kind), KINDS)})")
    head_keys = [field.name for field in fields(_Head)]
    mistakes += [
        f"unknown key {key!r} ({suggest(key, [*head_keys, *parts])})" for key in table if key not in {*head_keys, *parts}
    ]
    values = {key: value for key, value in table.items() if key in head_keys and key != "kind"}
    head = _collect(mistakes, "", _Head.from_table, _with_published(values, mistakes), name)
    built = {key: _build(table, key, part, mistakes) for key, part in parts.items()} if known_kind else {}
    if mistakes or known_kind is None or head is None:
        raise RecipeError(name, mistakes)
    top = {key: getattr(head, key) for key in head_keys if key != "kind"}
    top["name"] = head.name or name
    top["published"] = head.published.to_table() if head.published else None
    return known_kind.recipe(kind=kind, **top, **built)


def _with_published(values: dict[str, Any], mistakes: list[str]) -> dict[str, Any]:
    """Return the top level with its published figure read."""
    published = values.get("published")
    if published is None:
        return values
    others = {key: value for key, value in values.items() if key != "published"}
    if not isinstance(published, Mapping):
        mistakes.append("published must be a table { figure, value, data }")
        return others
    return {**others, "published": _collect(mistakes, "published: ", Published.from_table, published, "published")}


def _build(table: Mapping[str, Any], key: str, part: Part, mistakes: list[str]) -> Any:
    """Return a part of a recipe, or None with its mistakes added."""
    if key not in table and part.required:
        mistakes.append(f"{part.heading} is missing")
        return None
    value = table.get(key, part.shape())
    if not isinstance(value, part.shape):
        mistakes.append(f"{key} must be written as {part.heading}, a table{' for each layer' * (part.shape is list)}")
        return None
    return _collect(mistakes, f"{part.heading} ", part.read, value)


def _collect(mistakes: list[str], prefix: str, read: Callable[..., _T], *values: Any) -> _T | None:
    """Call a reader, or add its mistakes to the others and return None."""
    try:
        return read(*values)
    except RecipeError as error:
        mistakes += [prefix + mistake for mistake in error.mistakes]
        return None


def recipe_names() -> list[str]:
    """Return the names of the known systems, sorted."""
    names = (entry.name for entry in resources.files("harken.recipes").iterdir())
    return sorted(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))


def load_recipe(source: str | os.PathLike[str] | Recipe) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    source : str or path-like
        A known system's name (:func:`recipe_names`), or the path of a ``.toml`` file. A recipe is returned as it is.

    Raises
    ------
    RecipeError
        No system has this name, the file cannot be read or is no TOML (with the line), or it holds mistakes: all of them.
    NetError
        The layers do not fit together.
    """
    if isinstance(source, Recipe):
        return source
    if isinstance(source, str) and not source.endswith(SUFFIX) and Path(source).name == source:
        if source not in recipe_names():
            known = suggest(source, recipe_names())
            raise RecipeError(source, [f"no known system has this name ({known}); a file of your own ends in {SUFFIX}"])
        text = resources.files("harken.recipes").joinpath(source + SUFFIX).read_text("utf-8")
        return recipe_from_table(tomllib.loads(text), source)
    path = Path(source)
    table = _parse(path)
    try:
        return recipe_from_table(table, path.stem)
    except RecipeError as error:
        raise RecipeError(brief(path, 300), error.mistakes) from None
    except NetError as error:
        raise NetError(f"{brief(path, 300)}: {error}") from None


_FOREIGN = {
    b"\xff\xfe": "is text in UTF-16",
    b"\xfe\xff": "is text in UTF-16",
    b"PK\3\4": "is a zip archive (a model, or arrays)",
}
"""What people give by mistake, by how it begins."""


def _parse(path: Path) -> dict[str, Any]:
    """Return a TOML file's table, or raise with the reason and the line."""
    where = brief(path, 300)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise RecipeError(where, [f"is larger than {LARGEST_FILE >> 20} MiB, and no recipe is"])
        foreign = next((what for start, what in _FOREIGN.items() if content.startswith(start)), "")
        if foreign:
            raise RecipeError(where, [f"{foreign}; expected a recipe: TOML, which is text in UTF-8"])
        return tomllib.loads(content.decode("utf-8-sig"))
    except IsADirectoryError as error:
        raise RecipeError(where, [f"cannot be read: it is a folder; expected a file that ends in {SUFFIX}"]) from error
    except OSError as error:
        raise RecipeError(where, [f"cannot be read: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise RecipeError(where, [f"is not UTF-8 text (byte {error.start}); save it as UTF-8"]) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(where, [f"is not TOML: {brief(error, 200)}"]) from error
