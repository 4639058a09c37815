"""What every recipe has, whatever decides: a name, what is heard, where it was described, and what becomes of it.

The kinds of recipes, a module each: :mod:`harken.recipes.net`, :mod:`harken.recipes.neighbours` and
:mod:`harken.recipes.classical`; :mod:`harken.recipes.reader` enters them. What a recipe becomes for a number of classes is a
:class:`Declared`: the arrays that a model of it keeps, by name and shape. A :class:`harken.nets.Net` is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Annotated, Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from harken.errors import HarkenError, RecipeError
from harken.frontends import Frontend
from harken.recipes.ranges import TUNE, Ranges, ranges_table
from harken.settings import Range, Settings

Shape = tuple[int, ...]
Arrays = Mapping[str, npt.NDArray[np.float32]]

MOST_KEPT = 1 << 30
"""Numbers of 4 bytes that a model may keep (4 GiB)."""


class Spec(Protocol):
    """An array that a model keeps."""

    @property
    def shape(self) -> Shape:
        """Its sizes."""


class Declared(Protocol):
    """What a recipe becomes for a number of classes: shapes, and the arrays that a model of it keeps. No arithmetic."""

    @property
    def input_shape(self) -> Shape:
        """What is read of a clip, without the batch."""

    @property
    def output_shape(self) -> Shape:
        """What is answered for a clip."""

    @property
    def weights(self) -> Mapping[str, Spec]:
        """The arrays by name, in order."""

    @property
    def parameters(self) -> int:
        """All numbers that are kept."""

    def table(self) -> str:
        """Return what is kept as text, a line a layer or array."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An array that a model keeps: its shape."""

    shape: Shape


def kept_table(kept: Mapping[str, Kept]) -> str:
    """Return arrays as text, a line each: name, shape, how many numbers."""
    cells = [("array", "shape", "numbers")]
    cells += [(name, str(one.shape), f"{prod(one.shape):,}") for name, one in kept.items()]
    width = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = [f"{a:<{width[0]}}  {b:<{width[1]}}  {c:>{width[2]}}" for a, b, c in cells]
    rule = "-" * len(lines[0])
    total = sum(prod(one.shape) for one in kept.values())
    return "\n".join([lines[0], rule, *lines[1:], rule, f"total: {total:,} numbers"])


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
class Head(Settings):
    """The top level of a recipe of any kind, without its tables."""

    name: str | None = None
    title: str = ""
    kind: str = "net"
    source: str = ""
    published: Published | None = None
    notes: str = ""


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
    head : type
        The settings of the top level.
    """

    parts: Mapping[str, Part]
    recipe: Callable[..., Recipe]
    head: type[Head] = Head


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """What is heard, and what decides: the base of all kinds.

    Attributes
    ----------
    name : str
        A known system's name, or the file's name without ``.toml``.
    frontend : Frontend
    title : str
    kind : str
        A key of :data:`harken.recipes.KINDS`; each class has its own.
    source : str
        Where the system was described.
    published : dict, optional
        ``figure``, ``value`` (0 to 1), ``data``.
    notes : str
    tune : mapping of str to Span or Choices
        Between what values its settings may be searched for.
    """

    KIND: ClassVar[str] = ""
    name: str
    frontend: Frontend
    title: str = ""
    kind: str = ""
    source: str = ""
    published: dict[str, Any] | None = None
    notes: str = ""
    tune: Ranges = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in ("", self.KIND):
            raise RecipeError(self.name, [f"kind = {self.kind!r}, and this is a recipe of the kind {self.KIND!r}"])
        object.__setattr__(self, "kind", self.KIND)

    @property
    def epochs(self) -> int | None:
        """How many epochs it is trained for, at most; None where there are none: it is fitted at once."""
        return None

    @property
    def pace(self) -> str:
        """Why the number of epochs cannot change while a run goes on; empty where it can."""
        return ""

    @property
    def engines(self) -> bool:
        """Whether there is a net in it, which engines work on and which learns in epochs."""
        return False

    @abstractmethod
    def bind(self, classes: int, input_shape: Shape | None = None, sizes: Mapping[str, int] | None = None) -> Declared:
        """Return what the recipe becomes for a number of classes.

        Parameters
        ----------
        classes : int
            From 2 on.
        input_shape : tuple of int, optional
            Default: the frontend's.
        sizes : mapping of str to int, optional
            What depends on the training data, such as the number of ``"references"``; of a model as it was learnt.

        Raises
        ------
        NetError, RecipeError
            It cannot be.
        """

    @abstractmethod
    def decides(self) -> dict[str, Any]:
        """Return the tables of its kind, by key: all that it is beside the frontend and the top level."""

    def decides_alike(self) -> dict[str, Any]:
        """Return of these what must stay as it is for a training to be continued."""
        return self.decides()

    def wrong_values(self, arrays: Arrays, classes: int) -> list[str]:
        """Say which arrays of a model, of the right shapes and finite, hold what cannot be."""
        return []

    def engine_for(self, asked: str | None = None) -> str:
        """Return the name of the engine that trains and answers: the one asked for, else the recipe's, else ``"numpy"``.

        Raises
        ------
        HarkenError
            Its kind is worked out by NumPy alone, and another engine is asked for.
        """
        if asked in (None, "numpy"):
            return "numpy"
        raise HarkenError(
            f"the engine {asked!r} was asked for, and the recipe {self.name} (kind = {self.kind!r}) has no net that an engine "
            "could run: it is worked out with NumPy alone; leave out --engine"
        )

    def replace(self, **changes: Any) -> Self:
        """Return the recipe with other training settings, where its kind has any.

        Raises
        ------
        RecipeError
            It has none.
        """
        given = " and ".join(changes) or "training settings"
        raise RecipeError(
            self.name,
            [
                f"{given} cannot be given: a recipe of the kind {self.kind!r} is fitted at once and has no [training]; "
                f"leave {'it' if len(changes) == 1 else 'them'} out" + (" (--epochs)" if "epochs" in changes else "")
            ],
        )

    def with_frontend(self, frontend: Frontend) -> Self:
        """Return the recipe listening another way, as for arrays."""
        return replace(self, frontend=frontend)

    def to_table(self) -> dict[str, Any]:
        """Return the recipe as the table that :func:`harken.recipes.recipe_from_table` reads, complete with all defaults."""
        head = {
            "name": self.name,
            "title": self.title,
            "kind": self.kind,
            "source": self.source,
            "published": None if self.published is None else dict(self.published),
            **self._counted(),
            "notes": self.notes,
        }
        told = {key: value for key, value in head.items() if value is not None}
        tune = {TUNE: ranges_table(self.tune)} if self.tune else {}
        return {**told, "frontend": self.frontend.to_table(), **self.decides(), **tune}

    def _counted(self) -> dict[str, Any]:
        """Return what the top level says of a kind's size."""
        return {}

    def to_toml(self) -> str:
        """Return the recipe as the TOML text that :func:`harken.recipes.load_recipe` reads."""
        import tomli_w  # noqa: PLC0415 (who only reads recipes writes none)

        return tomli_w.dumps(self.to_table())
