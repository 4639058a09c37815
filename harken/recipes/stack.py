"""Recipes that join several views of the music: ``kind = "stack"``, with ``[stack]`` and ``[[views]]``.

Each view is a recipe of its own, named in ``[stack]`` (``views = ["knn", "mel-res"]``) or written out in ``[[views]]``; a model
holds them written out. Settings and shapes only; :mod:`harken.learn.stack` fits and answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Annotated, Any, ClassVar, Self

from harken.errors import RecipeError, brief, suggest
from harken.frontends import AudioFrontend, Frontend, Views
from harken.frontends.views import MOST_VIEWS
from harken.recipes.base import Arrays, Declared, Kept, Recipe, Shape, Spec
from harken.settings import Range, Settings

JOINER = "joiner"
"""What the joiner's arrays begin with, and what no view may be called."""
WEIGHTS, BIAS = f"{JOINER}/weights", f"{JOINER}/bias"
"""How much each view counts (views,), and what is added to each class' log-probability (classes,)."""


@dataclass(frozen=True, kw_only=True)
class Stack(Settings):
    """How views are joined.

    Attributes
    ----------
    views : tuple of str
        Names of known systems, or files that end in .toml, before those of ``[[views]]``. A recipe that was read has none
        here, but the views themselves.
    folds : int
        Inner folds: each view answers for tracks that it has not learnt, and these answers weigh the views.
    clip : float
        Seconds of a track that the views hear together.
    hop : float, optional
        Seconds from one such piece to the next; default: ``clip``.
    least : dict
        Seconds that a piece must have for a view to be asked, by the view's name; 0 where nothing is said.
    """

    kind: ClassVar[str] = "stack"
    views: tuple[str, ...] = ()
    folds: Annotated[int, Range(low=2, high=20)] = 3
    clip: Annotated[float, Range(above=0, high=3600.0)] = 31.0
    hop: Annotated[float, Range(above=0, high=3600.0)] | None = None
    least: dict = field(default_factory=dict)  # type: ignore[type-arg]

    def mistakes(self) -> list[str]:
        """Say what is no number of seconds."""
        return [
            f"least.{name} = {brief(seconds)}: must be seconds from 0 to those of clip ({self.clip:g})"
            for name, seconds in self.least.items()
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= self.clip
        ]


@dataclass(frozen=True)
class Joined:
    """What a stack keeps, as :class:`harken.recipes.base.Declared` has it.

    Attributes
    ----------
    input_shape : tuple of int
    classes : int
    views : mapping of str to Declared
        Those that answer; the others step aside.
    """

    input_shape: Shape
    classes: int
    views: Mapping[str, Declared]

    @property
    def output_shape(self) -> Shape:
        """A probability for each class."""
        return (self.classes,)

    @property
    def weights(self) -> dict[str, Spec]:
        """The arrays by name: each view's behind its own name, and the joiner's."""
        found: dict[str, Spec] = {
            f"{view}/{name}": spec for view, declared in self.views.items() for name, spec in declared.weights.items()
        }
        return {**found, WEIGHTS: Kept((len(self.views),)), BIAS: Kept((self.classes,))}

    @property
    def parameters(self) -> int:
        """All numbers that are kept."""
        return sum(prod(spec.shape) for spec in self.weights.values())

    def table(self) -> str:
        """Return the views with what each keeps, one behind the other."""
        parts = [f"view {name}:\n{declared.table()}" for name, declared in self.views.items()]
        return "\n\n".join([*parts, f"joiner: a weight for each view, and {self.classes} numbers for the classes"])


@dataclass(frozen=True, kw_only=True)
class StackRecipe(Recipe):
    """Several views, and how they are joined.

    Attributes
    ----------
    views : tuple of Recipe
        Of other kinds than this, with different names, each with a frontend that hears audio.
    stack : Stack
        Beside what every recipe has (:class:`harken.recipes.Recipe`); the frontend is that of the views together.

    Raises
    ------
    RecipeError
        The views cannot be joined.
    """

    KIND: ClassVar[str] = "stack"
    views: tuple[Recipe, ...]
    stack: Stack = Stack()

    @classmethod
    def of(cls, *, views: Sequence[Recipe], stack: Stack, name: str, **top: Any) -> Self:
        """Return the recipe that joins views; its frontend is made of theirs."""
        mistakes = _mistakes(views, stack)
        if mistakes:
            raise RecipeError(name, mistakes)
        ears = [view.frontend for view in views]
        frontend = Views(
            rate=max(ear.rate for ear in ears if isinstance(ear, AudioFrontend)),
            clip=stack.clip,
            hop=stack.hop,
            views=tuple(ears),
            least=tuple(float(stack.least.get(view.name, 0)) for view in views),
        )
        kept = tuple(replace(view, tune={}) for view in views)  # a stack declares ranges of its own
        return cls(name=name, frontend=frontend, views=kept, stack=replace(stack, views=()), **top)

    @property
    def engines(self) -> bool:
        """Whether a net is among the views."""
        return any(view.engines for view in self.views)

    def named(self) -> dict[str, Recipe]:
        """Return the views by name."""
        return {view.name: view for view in self.views}

    def bind(self, classes: int, input_shape: Shape | None = None, sizes: Mapping[str, int] | None = None) -> Joined:
        """Return what is kept for a number of classes.

        Parameters
        ----------
        classes : int
            From 2 on.
        input_shape : tuple of int, optional
            Must be the frontend's, which is the default.
        sizes : mapping of str to int, optional
            For each view by its name 1 where it answers and 0 where it steps aside, and its own sizes behind its name:
            ``"knn/references"``. Default: all answer.

        Raises
        ------
        NetError, RecipeError
            A view cannot be.
        """
        shape = self.frontend.shape
        if input_shape is not None and tuple(input_shape) != shape:
            raise RecipeError(self.name, [f"its views read rows of the shape {shape}, and are given {tuple(input_shape)}"])
        named = self.named()
        if sizes is None:
            return Joined(shape, classes, {name: view.bind(classes) for name, view in named.items()})
        own: dict[str, dict[str, int]] = {name: {} for name in named}
        for key, size in sizes.items():
            name, slash, rest = key.partition("/")
            if name not in named or type(size) is not int or (not slash and size not in (0, 1)):
                raise RecipeError(self.name, [f"its sizes hold {brief(key)} = {brief(size)}, which is none of a view's"])
            if slash:
                own[name][rest] = size
        lacking = [name for name in named if name not in sizes]
        there = {name: view for name, view in named.items() if sizes.get(name)}
        if lacking or not there:
            what = f"do not say whether {lacking[0]} answers" if lacking else "say that no view answers"
            raise RecipeError(self.name, [f"its sizes {what}"])
        return Joined(
            shape, classes, {name: view.bind(classes, view.frontend.shape, own[name]) for name, view in there.items()}
        )

    def decides(self) -> dict[str, Any]:
        """Return the tables ``stack`` and ``views``, the views written out."""
        return {**self._joins(), "views": [view.to_table() for view in self.views]}

    def decides_alike(self) -> dict[str, Any]:
        """Return these without the engines of nets, which may change."""
        views = [{"name": view.name, "frontend": view.frontend.to_table(), **view.decides_alike()} for view in self.views]
        return {**self._joins(), "views": views}

    def _joins(self) -> dict[str, Any]:
        return {"stack": {key: value for key, value in self.stack.to_table().items() if key != "views" and value != {}}}

    def to_table(self) -> dict[str, Any]:
        """Return the recipe as the table that is read: its frontend follows from the views, and is not told."""
        return {key: value for key, value in super().to_table().items() if key != "frontend"}

    def wrong_values(self, arrays: Arrays, classes: int) -> list[str]:
        """Say what cannot be in a view's arrays, and which views weigh less than nothing."""
        faults = [f"{WEIGHTS} holds a number below 0"] if (arrays[WEIGHTS] < 0).any() else []
        for name, view in self.named().items():
            mine = own_arrays(arrays, name)
            faults += [f"{name}: {fault}" for fault in view.wrong_values(mine, classes)] if mine else []
        return faults

    def engine_for(self, asked: str | None = None) -> str:
        """Return the name of the engine of its nets: the one asked for, else the first net's, else ``"numpy"``."""
        if self.engines:
            return next(view for view in self.views if view.engines).engine_for(asked)
        return super().engine_for(asked)

    def replace(self, **changes: Any) -> Self:
        """Return the recipe with other training settings of its nets (:meth:`harken.recipes.NetRecipe.replace`).

        Raises
        ------
        RecipeError
            It has no net, or the settings cannot be.
        """
        if not self.engines:
            return super().replace(**changes)
        return replace(self, views=tuple(view.replace(**changes) if view.engines else view for view in self.views))

    def with_frontend(self, frontend: Frontend) -> Self:
        """Refuse another frontend: the views listen for themselves.

        Raises
        ------
        RecipeError
        """
        raise RecipeError(
            self.name,
            [
                f"its views listen to audio, each in its own way, and cannot read features of the kind {frontend.kind!r}; give "
                "it audio files, or choose a recipe for tables of numbers with --recipe, such as summary-lda"
            ],
        )


def own_arrays(arrays: Arrays, view: str) -> dict[str, Any]:
    """Return a view's arrays under the names that its own recipe gives them; none where it steps aside."""
    begin = f"{view}/"
    return {name.removeprefix(begin): values for name, values in arrays.items() if name.startswith(begin)}


def _mistakes(views: Sequence[Recipe], stack: Stack) -> list[str]:
    """Say why views cannot be joined."""
    if not 1 <= len(views) <= MOST_VIEWS:
        return [f"{len(views)} views, and from 1 to {MOST_VIEWS} can be joined; name them: [stack] views = [...]"]
    names = [view.name for view in views]
    found = [f"the view {brief(name)!r} stands twice" for name, times in Counter(names).items() if times > 1]
    found += [f"a view is called {brief(name)!r}, and must not be" for name in names if "/" in name or name == JOINER]
    found += [f"the view {brief(view.name)!r} is a stack itself" for view in views if isinstance(view, StackRecipe)]
    found += [
        f"the view {brief(view.name)!r} hears no audio ({view.frontend.kind})"
        for view in views
        if not isinstance(view, StackRecipe) and not isinstance(view.frontend, AudioFrontend)
    ]
    found += [f"least.{name}: no view is called so ({suggest(name, names)})" for name in stack.least if name not in names]
    return found


def read_stack(table: Mapping[str, Any]) -> Stack:
    """Read a recipe's ``[stack]``."""
    return Stack.from_table(table, "[stack]")
