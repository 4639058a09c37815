"""What answers for a model, whatever its kind: a net on an engine, the votes of remembered rows, a classical classifier.

:data:`DECIDERS` is where kinds of recipes are entered.
"""

from __future__ import annotations

from collections.abc import Callable

from harken.archive import Model
from harken.engines import build
from harken.learn.batches import Decider
from harken.learn.classical import Logits
from harken.learn.neighbours import Voters
from harken.recipes import ClassicalRecipe, NeighboursRecipe, NetRecipe
from harken.recipes.classical import Fitted
from harken.recipes.neighbours import References


def _net(model: Model, engine: str, device: str) -> Decider:
    assert isinstance(model.recipe, NetRecipe)
    return build(model.net, model.recipe.training, engine=engine, weights=model.weights, device=device)


def _neighbours(model: Model, engine: str, device: str) -> Decider:
    recipe, declared = model.recipe, model.declared
    assert isinstance(recipe, NeighboursRecipe) and isinstance(declared, References)
    return Voters(recipe.neighbours, declared, model.weights)


def _classical(model: Model, engine: str, device: str) -> Decider:
    recipe, declared = model.recipe, model.declared
    assert isinstance(recipe, ClassicalRecipe) and isinstance(declared, Fitted)
    return Logits(recipe.classifier, declared, model.weights)


DECIDERS: dict[str, Callable[[Model, str, str], Decider]] = {
    NetRecipe.KIND: _net,
    NeighboursRecipe.KIND: _neighbours,
    ClassicalRecipe.KIND: _classical,
}
"""What makes the decider of a model, by the kind of its recipe; called with the model, the engine and the device."""


def decider(model: Model, *, engine: str = "numpy", device: str = "auto") -> Decider:
    """Return what answers for a model.

    Parameters
    ----------
    model : Model
    engine : str
        A key of :data:`harken.engines.ENGINES`; what is no net is worked out with ``"numpy"``.
    device : str
        One of :data:`harken.engines.base.DEVICES`.

    Raises
    ------
    HarkenError
        Engine or device is unknown, not there, or does not suit the kind.
    """
    return DECIDERS[model.recipe.kind](model, model.recipe.engine_for(engine), device)
