"""Recipes that a classical classifier decides: ``kind = "classical"``, with ``[frontend]``, ``[classifier]`` and ``[augment]``.

What is heard is a vector; its numbers are transformed, perhaps projected, and told apart by logistic regression, linear
discriminant analysis or a support vector machine. Settings and shapes only; :mod:`harken.learn.classical` fits and answers.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from harken.augment import NOTHING, Augment
from harken.errors import RecipeError, brief, suggest
from harken.frontends import Frontend
from harken.recipes.base import MOST_KEPT, Arrays, Kept, Recipe, Shape, kept_table
from harken.settings import Count, Positive, Range, Settings

logger = logging.getLogger("harken")

AXES, VECTORS = "axes", "vectors"
"""The sizes of such a model that depend on the data: how many axes values are projected on, how many support vectors."""
MOST_CLASSES = 1 << 16
MOST_TRIED = 100
"""Combinations of listed settings that may be tried."""

MEAN, DEVIATION, POWER = "transform/mean", "transform/deviation", "transform/power"
CENTRE, MATRIX = "axes/centre", "axes/matrix"
DIRECTIONS, BIAS = "decision/directions", "decision/bias"
SUPPORT, GAMMA = "decision/vectors", "decision/gamma"
"""The arrays that a model keeps; which of them, and of what shape, :class:`Fitted` says."""

Share = Annotated[float, Range(above=0, below=1)]
Tempo = Annotated[float, Range(low=0.5, high=2)]
Intensity = Annotated[float, Range(low=0, high=1)]


@dataclass(frozen=True, kw_only=True)
class Classifier(Settings):
    """What the classifiers have in common.

    Attributes
    ----------
    transform : str
        Of each number, by what the training part shows: ``"standardise"`` (less the mean, over the standard deviation),
        ``"power"`` (a power that makes it as normal as can be, then standardised; I. Yeo, R. Johnson, "A new family of power
        transformations to improve normality or symmetry", 2000) or ``"none"``.
    limit : float, optional
        Transformed numbers beyond ± this are cut to it, so that one odd number does not decide alone.
    pca : int or float, optional
        Keep so many principal components, or as many as hold this share of the variance.
    discriminants : float, optional
        Project on the axes that tell the classes apart best (as many as there are classes, less one), with the covariance
        within classes shrunk by this much, before the classifier.
    tempos : list of float
        Learn from copies of each training row too, as the same music would give it so many times as fast; of a frontend that
        can tell (``rhythm``).
    class_weights : str
        ``"balanced"``: every class weighs the same in all, whatever its number of rows.
    calibrate : bool
        Fit to rows that were not learnt from, in inner folds, how sure the probabilities are: a factor for all logits, which
        changes no answer (of pairs of classes: for the scores of all pairs, which may change a close one).
    folds : int
        How many inner folds choose among listed settings, and calibrate. Groups are kept whole.
    choose_by : str
        What the inner folds choose by: ``"log_loss"`` or ``"accuracy"``.
    one_standard_error : bool
        Choose the most regularised setting that is not worse than the best by more than one standard error (L. Breiman et al.,
        "Classification and regression trees", 1984), instead of the best.
    """

    transform: Literal["standardise", "power", "none"] = "standardise"
    limit: Positive | None = None
    pca: Count | Share | None = None
    discriminants: Intensity | None = None
    tempos: tuple[Tempo, ...] = ()
    class_weights: Literal["none", "balanced"] = "none"
    calibrate: bool = True
    folds: Annotated[int, Range(low=2, high=20)] = 3
    choose_by: Literal["log_loss", "accuracy"] = "log_loss"
    one_standard_error: bool = False

    @property
    def bent(self) -> bool:
        """Whether it draws curved borders, by support vectors; else directions are all that it keeps."""
        return False

    @property
    def pairs(self) -> bool:
        """Whether it has a score for every pair of classes; else one for every class."""
        return False

    def choices(self) -> list[dict[str, Any]]:
        """Return the combinations of its listed settings, the most regularised first."""
        raise NotImplementedError

    def to_table(self) -> dict[str, Any]:
        """Return the settings as a plain table, with the kind."""
        return {"kind": self.kind, **super().to_table()}

    kind: ClassVar[str] = ""

    def mistakes(self) -> list[str]:
        """Say where too much is listed, or nothing."""
        tried = len(self.choices())
        if tried > MOST_TRIED:
            return [f"{tried} combinations of settings are listed, and at most {MOST_TRIED} are tried"]
        return [] if tried else ["a list of settings is empty; expected one value at least"]


@dataclass(frozen=True, kw_only=True)
class Logistic(Classifier):
    """Logistic regression with several classes at once and squared weights as penalty.

    Attributes
    ----------
    c : float or list of float
        How much mistakes cost against large weights: smaller is more regularised. Of a list inner folds choose.
    """

    kind: ClassVar[str] = "logistic"
    c: Positive | tuple[Positive, ...] = (0.001, 0.01, 0.1, 1.0)

    def choices(self) -> list[dict[str, Any]]:
        """Return the values of ``c``, rising."""
        return [{"c": c} for c in sorted(_listed(self.c))]


@dataclass(frozen=True, kw_only=True)
class Discriminant(Classifier):
    """Linear discriminant analysis: normal classes with one covariance (R. Fisher, 1936), which is shrunk.

    Attributes
    ----------
    shrinkage : "auto", float or list of float
        From 0 (as it is) to 1 (distances to the means); ``"auto"``: by the formula of O. Ledoit, M. Wolf ("Honey, I shrunk the
        sample covariance matrix", 2004), of the residuals of all classes. Of a list inner folds choose.
    """

    kind: ClassVar[str] = "lda"
    shrinkage: Literal["auto"] | Intensity | tuple[Intensity, ...] = "auto"

    def choices(self) -> list[dict[str, Any]]:
        """Return the intensities, falling."""
        return [{"shrinkage": one} for one in sorted(_listed(self.shrinkage), reverse=True)]


@dataclass(frozen=True, kw_only=True)
class Machine(Classifier):
    """A support vector machine for every pair of classes (B. Boser, I. Guyon, V. Vapnik, 1992).

    The log-odds of a pair are taken as proportional to its decision value, by a factor for all pairs that ``calibrate`` fits
    (compare J. Platt, "Probabilistic outputs for support vector machines", 1999). The probabilities of all classes follow from
    those of the pairs (D. Price et al., "Pairwise neural network classifiers with probabilistic outputs", 1995).

    Attributes
    ----------
    c : float or list of float
        How much mistakes cost against a wide margin: smaller is more regularised. Of a list inner folds choose.
    kernel : str
        ``"rbf"``: curved borders; ``"linear"``.
    gamma : float or list of float
        How fast likeness falls with the distance, in units of 1 / (numbers · their variance). Of a list inner folds choose.
    """

    kind: ClassVar[str] = "svm"
    c: Positive | tuple[Positive, ...] = (1.0, 10.0)
    kernel: Literal["rbf", "linear"] = "rbf"
    gamma: Positive | tuple[Positive, ...] = 1.0

    @property
    def bent(self) -> bool:
        """Whether it draws curved borders."""
        return self.kernel == "rbf"

    @property
    def pairs(self) -> bool:
        """It has a score for every pair of classes."""
        return True

    def choices(self) -> list[dict[str, Any]]:
        """Return the pairs of ``c`` and ``gamma``, the smoothest first."""
        gammas = sorted(_listed(self.gamma)) if self.bent else [1.0]
        return [{"c": c, "gamma": gamma} for c in sorted(_listed(self.c)) for gamma in gammas]


def _listed(value: Any) -> list[Any]:
    return list(dict.fromkeys(value)) if isinstance(value, tuple) else [value]


CLASSIFIERS: dict[str, type[Classifier]] = {one.kind: one for one in (Logistic, Discriminant, Machine)}
"""By the ``kind`` in ``[classifier]``."""


def read_classifier(table: Mapping[str, Any]) -> Classifier:
    """Read a recipe's ``[classifier]``; without a ``kind`` it is logistic regression."""
    name = table.get("kind", Logistic.kind)
    found = CLASSIFIERS.get(name) if isinstance(name, str) else None
    if found is None:
        raise RecipeError("[classifier]", [f"unknown kind {brief(name)!r} ({suggest(str(name), CLASSIFIERS)})"])
    return found.from_table({key: value for key, value in table.items() if key != "kind"}, "[classifier]")


@dataclass(frozen=True)
class Fitted:
    """What a classical model keeps, as :class:`harken.recipes.base.Declared` has it.

    Attributes
    ----------
    input_shape : tuple of int
    classes : int
    classifier : Classifier
    axes : int, optional
        How many axes are projected on; None where nothing is, or before anything is learnt.
    vectors : int, optional
        How many support vectors there are; None where there are none, or before anything is learnt.
    """

    input_shape: Shape
    classes: int
    classifier: Classifier
    axes: int | None = None
    vectors: int | None = None

    @property
    def output_shape(self) -> Shape:
        """A probability for each class."""
        return (self.classes,)

    @property
    def weights(self) -> dict[str, Kept]:
        """The arrays by name; none that depend on the data before anything is learnt."""
        values = prod(self.input_shape)
        width = values if self.axes is None else self.axes
        found: dict[str, Kept] = {}
        if self.classifier.transform != "none":
            found |= {MEAN: Kept((values,)), DEVIATION: Kept((values,))}
        if self.classifier.transform == "power":
            found |= {POWER: Kept((values,))}
        if self.axes is not None:
            found |= {CENTRE: Kept((values,)), MATRIX: Kept((values, self.axes))}
        if self.vectors is not None:
            found |= {SUPPORT: Kept((self.vectors, width)), GAMMA: Kept((1,))}
        outputs = self.classes * (self.classes - 1) // 2 if self.classifier.pairs else self.classes
        return found | {DIRECTIONS: Kept((self.vectors or width, outputs)), BIAS: Kept((outputs,))}

    @property
    def parameters(self) -> int:
        """All numbers that are kept."""
        return sum(prod(kept.shape) for kept in self.weights.values())

    @property
    def open(self) -> bool:
        """Whether sizes depend on training data that are not known yet."""
        return (projects(self.classifier) and self.axes is None) or (self.classifier.bent and self.vectors is None)

    def table(self) -> str:
        """Return the arrays as text, a line each."""
        values = prod(self.input_shape)
        if self.open:
            return f"{self.classifier.kind} on {values:,} numbers; how much is kept depends on the training part"
        return kept_table(self.weights)


def projects(classifier: Classifier) -> bool:
    """Tell whether numbers are projected on axes before the classifier."""
    return classifier.pca is not None or classifier.discriminants is not None


@runtime_checkable
class AtTempo(Protocol):
    """A frontend that can tell what it would give of the same music at another tempo."""

    def at_tempo(self, rows: npt.ArrayLike, tempo: float) -> npt.NDArray[np.float32]:
        """Return rows as of music so many times as fast."""


def sizes_of(arrays: Arrays) -> dict[str, int]:
    """Return the sizes of a model's arrays that depend on the data it was fitted to."""
    found = {AXES: arrays[MATRIX].shape[1]} if MATRIX in arrays else {}
    return found | ({VECTORS: len(arrays[SUPPORT])} if SUPPORT in arrays else {})


@dataclass(frozen=True, kw_only=True)
class ClassicalRecipe(Recipe):
    """A classical classifier: what is heard, and what tells it apart.

    Attributes
    ----------
    classifier : Classifier
    augment : Augment
        With ``sounds`` alone, which are further rows to learn from: each row is shown once, and nothing can change at another
        showing. Both beside what every recipe has (:class:`harken.recipes.Recipe`).
    """

    KIND: ClassVar[str] = "classical"
    classifier: Classifier = Logistic()
    augment: Augment = NOTHING

    def __post_init__(self) -> None:
        super().__post_init__()
        mistakes = [f"[augment] {key}: {reason}" for key, reason in self.augment.misfits(self.frontend).items()]
        if self.augment.changes_rows and not mistakes:
            mistakes = [
                "[augment]: a classifier is shown every row once, unchanged; only [augment.sounds] gives it further rows"
            ]
        if self.classifier.tempos and not isinstance(self.frontend, AtTempo):
            kind = self.frontend.kind
            mistakes.append(f"[classifier] tempos: what {kind!r} gives of music at another tempo is unknown; leave them out")
        if mistakes:
            raise RecipeError(self.name, mistakes)

    def bind(self, classes: int, input_shape: Shape | None = None, sizes: Mapping[str, int] | None = None) -> Fitted:
        """Return what is kept for a number of classes.

        Parameters
        ----------
        classes : int
            From 2 on.
        input_shape : tuple of int, optional
            Default: the frontend's.
        sizes : mapping of str to int, optional
            The number of ``"axes"`` where values are projected, and of ``"vectors"`` where there are support vectors.

        Raises
        ------
        RecipeError
            It cannot be, or is more than can be held.
        """
        shape = self.frontend.shape if input_shape is None else input_shape
        if not 2 <= classes <= MOST_CLASSES:
            raise RecipeError(self.name, [f"{brief(classes)} classes, and a classifier tells 2 to {MOST_CLASSES:,} apart"])
        if not shape or min(shape) < 1:
            raise RecipeError(self.name, [f"it reads rows of the shape {shape}, and sizes are from 1 on"])
        wanted = {name for name, there in ((AXES, projects(self.classifier)), (VECTORS, self.classifier.bent)) if there}
        if sizes is not None and set(sizes) != wanted:
            needed = " and ".join(sorted(wanted)) or "nothing"
            raise RecipeError(self.name, [f"its sizes must be those of {needed}, and are {brief(dict(sizes))}"])
        known = dict(sizes or {})
        wrong = [name for name, size in known.items() if type(size) is not int or size < 1]
        if wrong:
            raise RecipeError(self.name, [f"the number of {wrong[0]} is {brief(known[wrong[0]])}; expected 1 or more"])
        found = Fitted(shape, classes, self.classifier, known.get(AXES), known.get(VECTORS))
        if found.parameters > MOST_KEPT:
            raise RecipeError(
                self.name,
                [
                    f"{found.parameters:,} numbers would be kept, and at most {MOST_KEPT:,} can be; take a frontend that makes "
                    "fewer of a clip (summary), fewer tracks, or a linear classifier"
                ],
            )
        return found

    def decides(self) -> dict[str, Any]:
        """Return the table ``classifier``, and ``augment`` where there is one."""
        augment = {"augment": self.augment.to_table()} if self.augment.changes else {}
        return {"classifier": self.classifier.to_table(), **augment}

    def with_frontend(self, frontend: Frontend) -> Self:
        """Return the recipe listening another way, as for arrays, of which there are no altered sounds: the log says so."""
        for key, reason in self.augment.misfits(frontend).items():
            logger.warning("recipe %s: [augment] %s is left out: %s", self.name, key, reason)
        classifier = self.classifier
        if classifier.tempos and not isinstance(frontend, AtTempo):
            logger.warning("recipe %s: [classifier] tempos are left out: arrays have none", self.name)
            classifier = replace(classifier, tempos=())
        return replace(self, frontend=frontend, classifier=classifier, augment=self.augment.fitting(frontend))

    def wrong_values(self, arrays: Arrays, classes: int) -> list[str]:
        """Say where a deviation or a width is not above 0."""
        return [
            f"{name} holds a number that is not above 0"
            for name in (DEVIATION, GAMMA)
            if name in arrays and not (arrays[name] > 0).all()
        ]
