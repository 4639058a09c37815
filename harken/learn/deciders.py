"""What answers for a model, whatever its kind: a net on an engine, remembered rows, a classical classifier, a stack of several.

:data:`DECIDERS` is where kinds of recipes are entered.
"""

from __future__ import annotations

from collections.abc import Callable

from harken.archive import Model
from harken.engines import build
from harken.learn.batches import Decider
from harken.learn.classical import Logits
from harken.learn.neighbours import Voters
from harken.learn.stack.answer import Jury
from harken.recipes import ClassicalRecipe, NeighboursRecipe, NetRecipe, StackRecipe
from harken.recipes.classical import Fitted
from harken.recipes.neighbours import References
from harken.recipes.stack import Joined, own_arrays


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


def _stack(model: Model, engine: str, device: str) -> Decider:
    recipe, declared = model.recipe, model.declared
    assert isinstance(recipe, StackRecipe) and isinstance(declared, Joined)
    views = {
        name: decider(own, engine=engine if own.recipe.engines else "numpy", device=device)
        for name, own in view_models(model).items()
    }
    return Jury(recipe, declared, views, model.weights)


def view_models(model: Model) -> dict[str, Model]:
    """Return the views of a stack that answer, by name, each as a model of its own."""
    recipe, declared = model.recipe, model.declared
    assert isinstance(recipe, StackRecipe) and isinstance(declared, Joined)
    found = {}
    for name, view in recipe.named().items():
        if name in declared.views:
            begin = f"{name}/"
            sizes = {key.removeprefix(begin): size for key, size in model.sizes.items() if key.startswith(begin)}
            found[name] = Model(view, model.classes, own_arrays(model.weights, name), view.frontend.shape, sizes=sizes)
    return found


DECIDERS: dict[str, Callable[[Model, str, str], Decider]] = {
    NetRecipe.KIND: _net,
    NeighboursRecipe.KIND: _neighbours,
    ClassicalRecipe.KIND: _classical,
    StackRecipe.KIND: _stack,
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
