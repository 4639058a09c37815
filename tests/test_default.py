"""The default on real music: one outer fold of listen, on a few tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harken.datasets import read
from harken.folds import fold_splits
from harken.learn import class_probabilities_of, decider
from harken.learn.recipe import learn
from harken.metrics import track_probabilities
from harken.recipes import StackRecipe, load_recipe
from harken.store import features
from harken.tracks import Track, Tracks

ARTISTS, OF_EACH = 6, 2


def few(tracks: Tracks) -> Tracks:
    """The first tracks of the first artists of each class that have two."""
    chosen: dict[tuple[str | None, str], list[Track]] = {}
    for track in tracks:
        chosen.setdefault((track.label, str(track.group)), []).append(track)
    found: list[Track] = []
    for label in tracks.classes:
        whole = [own for (name, _), own in chosen.items() if name == label and len(own) >= OF_EACH]
        found += [track for own in whole[:ARTISTS] for track in own[:OF_EACH]]
    return Tracks(found)


def test_one_outer_fold_of_the_default_on_real_music(shared_data: Path) -> None:
    recipe = load_recipe("listen")
    assert isinstance(recipe, StackRecipe)
    tracks = few(read(shared_data / "emotify" / "tracks.csv", group="artist", classes=["classical", "rock"]).train)
    assert len(tracks) == 2 * ARTISTS * OF_EACH
    split = fold_splits(tracks.labels, tracks.groups, tracks.classes, folds=3, seed=0)[0]
    parts = [[tracks[place] for place in part.tolist()] for part in (split.train, split.valid, split.test)]
    artists = [{track.group for track in part} for part in parts]
    assert not artists[0] & artists[1] and not (artists[0] | artists[1]) & artists[2]
    heard = features(tracks, recipe.frontend)
    train, valid, test = (heard.select(part.tolist()) for part in (split.train, split.valid, split.test))
    learnt = learn(recipe.replace(epochs=2), train, valid, seed=0)
    model = learnt.best
    assert model.record["stack"] and any(name.startswith(("timbre/", "rhythm/")) for name in model.weights)
    found = track_probabilities(class_probabilities_of(decider(model), test), test.track, len(test.tracks))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == test.labels).mean() >= 0.75  # by chance 0.5
