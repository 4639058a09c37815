"""What a training would cost on this machine, as it is now: a few tracks are heard and a few steps made, and reckoned up.

Hearing is measured by as many threads as will hear, each with a clip or two of tracks of all lengths, view by view; what the
store has costs nothing. A net makes a few steps on noise of the right shape; what is fitted at once is fitted to some rows of
noise. All of it ends when it has taken :data:`SHARE` of the budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from harken.audio import audio_info
from harken.augment import Augmenter
from harken.budget.plan import MARGIN, Costs, ViewCost
from harken.budget.watch import Watch
from harken.clips import cut, spans
from harken.datasets import Arrays
from harken.engines import build
from harken.errors import HarkenError
from harken.files import cache_folder
from harken.folds import SHARE as PART
from harken.frontends import AudioFrontend, Views
from harken.learn.batches import targets
from harken.learn.fitting import FITTERS
from harken.learn.stack.slices import sliced
from harken.parts import Parts
from harken.recipes import ClassicalRecipe, NetRecipe, Recipe, StackRecipe
from harken.recipes.classical import Machine
from harken.report.examples import MOST_SOUNDS, SHOWN
from harken.store import as_it_is, features_of_arrays, hear, sharing_cores
from harken.store.hashes import identities
from harken.store.shelf import Shelf
from harken.store.sounds import measure as measure_sound
from harken.threads import usable_cores
from harken.tracks import Track, Tracks

SHARE = 0.05
"""Of the budget, for each kind of measuring."""
LOOKED_AT, STEPS, ROWS = 100, 4, 300
"""Files whose length is asked for; steps of a net, the first of which does not count; rows of noise."""
PLOTS, CLOSING, EXAMPLE = 12, 1.6, 0.1
"""Calibrating, judging, plots and the page take so many times as long as one plot, beside what the judged clips take, or so
many seconds where nobody measures it; and seconds for an example of the report, heard and drawn. Why examples were answered so
is told in the time that is left then."""
LOADING = 5.0
"""Seconds that a first fitting takes at most where it is loading that takes them: a longer one is not repeated."""
AGAIN, SAMPLED = 0.02, 2
"""Of the budget, for measuring again what views take to learn, when all is heard; and tracks whose sounds are measured then."""
SHORT = 10.0
"""Seconds of a budget, below which it is not measured what triviality and plots cost: there is no time for measuring it."""


@dataclass(frozen=True)
class Amounts:
    """How much there is.

    Attributes
    ----------
    train, valid, test : int
        Tracks, or rows, of each part, about.
    classes : int
    seconds : float
        That a track has on average; 0 of rows.
    missing : int
        Tracks that the store has not.
    """

    train: int
    valid: int
    test: int
    classes: int
    seconds: float
    missing: int

    @property
    def examples(self) -> int:
        """How many telling examples the report has, at most."""
        return min(self.test or self.valid, len(SHOWN) * self.classes, MOST_SOUNDS)

    def clips(self, view: Recipe, piece: AudioFrontend | None, rows: bool) -> float:
        """Return how many clips of a view a track has on average."""
        frontend = view.frontend
        if rows or not isinstance(frontend, AudioFrontend):
            return 1.0
        if piece is None:
            return len(spans(frontend.clipping, round(self.seconds * frontend.rate), frontend.rate))
        whole = spans(piece.clipping, round(self.seconds * piece.rate), piece.rate)
        lengths = [round((last - first) / piece.rate * frontend.rate) for first, last in whole]
        return sum(len(spans(frontend.clipping, length, frontend.rate)) for length in lengths)


@dataclass(frozen=True)
class Hearing:
    """What hearing takes, in seconds of one thread for a clip of the whole frontend.

    Attributes
    ----------
    shared : float
        Decoding.
    views : tuple of float
        What each view makes of it.
    heard : tuple of bool
        Whether a view had a clip of any track.
    sound : float
        What measuring a track's level and tempo takes.
    """

    shared: float
    views: tuple[float, ...]
    heard: tuple[bool, ...]
    sound: float


def views_of(recipe: Recipe) -> tuple[Recipe, ...]:
    """Return the views of a stack; another recipe is its own only one."""
    return recipe.views if isinstance(recipe, StackRecipe) else (recipe,)


def measure(
    recipe: Recipe,
    parts: Mapping[str, Tracks | Arrays],
    watch: Watch,
    *,
    engine: str = "numpy",
    device: str = "auto",
    workers: int | None = None,
    baselines: bool = True,
) -> Costs:
    """Return what training a recipe on these data costs.

    Parameters
    ----------
    recipe : Recipe
    parts : mapping of str to Tracks or Arrays
        "train", and what else the data bring.
    watch : Watch
        Says how much time measuring may take.
    engine, device, workers
        What the training will take.
    baselines : bool
        Whether triviality is to be learnt too.
    """
    views, whole = views_of(recipe), parts["train"]
    rows = isinstance(whole, Arrays)
    tracks = [] if rows else [track for part in parts.values() if isinstance(part, Tracks) for track in part]
    missing = [] if rows else _missing(tracks, recipe)
    amounts = _amounts(parts, tracks, len(missing))
    at_once = min(usable_cores() if workers is None else max(1, workers), max(1, len(missing)))
    sampled = _spread(missing or tracks, 2 * at_once)
    limit = SHARE * watch.budget
    asked = baselines and not rows
    sounds = asked and watch.budget >= SHORT
    hearing = None if rows or not sampled else _hearing(recipe, sampled, at_once, limit, sounds=sounds)
    piece = recipe.frontend if isinstance(recipe.frontend, Views) else None
    clips = [amounts.clips(view, piece, rows) for view in views]
    frontend = recipe.frontend
    pieces = (
        0
        if rows
        else len(spans(frontend.clipping, round(amounts.seconds * frontend.rate), frontend.rate))
        if isinstance(frontend, AudioFrontend)
        else 0
    )
    factor = MARGIN * len(missing) * pieces / at_once
    found = []
    judging = 0.0
    for number, view in enumerate(views):
        hear_it = 0.0 if hearing is None else factor * hearing.views[number]
        cost, judged = _training(view, amounts, clips[number], limit / len(views), engine=engine, device=device)
        copies = view.augment.sounds.copies if isinstance(view, NetRecipe | ClassicalRecipe) and view.augment.sounds else 0
        again = 0.0 if hearing is None else hearing.views[number] + hearing.shared
        more = copies * (MARGIN * amounts.train * pieces / at_once * again + cost.training(view.epochs))
        heard = True if hearing is None else hearing.heard[number]
        found.append(replace(cost, hear=hear_it, copies=more, heard=heard))
        judging += 2 * clips[number] * (amounts.valid + amounts.test) * judged
    sound = 0.0 if hearing is None else MARGIN * hearing.sound * sum(map(len, parts.values())) / at_once
    return Costs(
        views=tuple(found),
        shared=0.0 if hearing is None else factor * hearing.shared,
        folds=recipe.stack.folds if isinstance(recipe, StackRecipe) and len(views) > 1 else 0,
        closing=MARGIN
        * ((CLOSING if watch.budget < SHORT else PLOTS * _plot()) + judging + (0.0 if rows else EXAMPLE * amounts.examples)),
        baselines=max(sound, 0.5) if sounds else watch.budget if asked else 0.0,
    )


def measure_again(
    costs: Costs,
    recipe: Recipe,
    parts: Parts,
    watch: Watch,
    *,
    engine: str = "numpy",
    device: str = "auto",
    baselines: bool = True,
    **_: object,
) -> Costs:
    """Return what is known of costs when all is heard: how many clips there are, and how quick this machine is now.

    Parameters
    ----------
    costs : Costs
        As they were measured before.
    recipe : Recipe
        What was heard, with its views as they were asked for.
    parts : Parts
    watch : Watch
    engine, device, baselines
        As :func:`measure` takes them.
    """
    views, tracks = views_of(recipe), parts.train.tracks
    valid, test = (0 if part is None else len(part.tracks) for part in (parts.valid, parts.test))
    amounts = Amounts(len(tracks), valid, test, len(tracks.classes), 0.0, 0)
    limit, found = AGAIN * watch.budget / len(views), []
    for number, view in enumerate(views):
        before = costs.of(view.name)
        clips = parts.train if not isinstance(recipe, StackRecipe) else sliced(parts.train, number)[0]
        if not len(clips) or not before.heard or before.fit > limit or before.begin > limit:
            found.append(before)
            continue
        cost, _judged = _training(view, amounts, len(clips) / len(tracks), limit, engine=engine, device=device)
        found.append(replace(cost, hear=before.hear, copies=before.copies, heard=before.heard))
    known = {view.name: view for view in found}
    trivial, began = costs.baselines, time.perf_counter()
    if baselines and trivial >= watch.budget:
        sampled = _spread(list(tracks), SAMPLED)
        for track in sampled:
            with suppress(HarkenError):  # a file that cannot be read again is the business of what learns from it
                measure_sound(track)
        taken = (time.perf_counter() - began) / max(1, len(sampled))
        trivial = max(MARGIN * taken * (len(tracks) + valid + test), 0.5)
    return replace(costs, views=tuple(known.get(view.name, view) for view in costs.views), baselines=trivial)


def _plot() -> float:
    """Return the seconds that a plot takes, when what draws it is loaded: that is needed in any case, and so done already."""
    from harken.report.plots import confusion_matrix  # noqa: PLC0415 - it loads matplotlib

    timed = _Timed()
    with TemporaryDirectory() as folder:
        for _ in range(2):
            timed()
            confusion_matrix([[1, 0], [0, 1]], ("a", "b"), Path(folder) / "plot.png", "")
    return timed()


def _missing(tracks: Sequence[Track], recipe: Recipe) -> list[Track]:
    """Return the tracks that the store has not heard with this frontend, copies once."""
    root = cache_folder()
    held = {one: track for one, track in zip(identities(tracks, root), tracks, strict=True) if isinstance(one, str)}
    there = Shelf(root, recipe.frontend).contents(held).entries
    return [track for one, track in held.items() if one not in there]


def _amounts(parts: Mapping[str, Tracks | Arrays], tracks: Sequence[Track], missing: int) -> Amounts:
    whole = len(parts["train"])
    valid = len(parts["valid"]) if "valid" in parts else round(PART * whole)
    test = len(parts["test"]) if "test" in parts else round(PART * whole)
    train = whole - (0 if "valid" in parts else valid) - (0 if "test" in parts else test)
    lengths = [seconds for track in _spread(tracks, LOOKED_AT) if (seconds := _length(track)) is not None]
    mean = float(np.mean(lengths)) if lengths else 0.0
    return Amounts(max(train, 1), valid, test, len(parts["train"].classes), mean, missing)


def _length(track: Track) -> float | None:
    """Return a track's seconds; None where its file cannot be read."""
    if track.end is not None:
        return track.end - track.start
    try:
        return max(0.0, audio_info(track.path).duration - track.start)
    except HarkenError:
        return None


def _spread(tracks: Sequence[Track], most: int) -> list[Track]:
    """Return some of the tracks, evenly from all of them."""
    number = min(most, len(tracks))
    return [tracks[round(place)] for place in np.linspace(0, len(tracks) - 1, number).tolist()] if number else []


def _hearing(recipe: Recipe, tracks: Sequence[Track], at_once: int, limit: float, *, sounds: bool) -> Hearing:
    """Hear a clip of each of some tracks, at once as many as will be heard at once, until time is up."""
    began = time.perf_counter()

    def one(track: Track) -> tuple[float, list[float], list[int], float] | None:
        if time.perf_counter() - began > limit and track is not tracks[0]:
            return None
        try:
            return _heard(recipe, track, sounds)
        except HarkenError:
            return None

    one(tracks[0])  # so that nobody is timed who must load what others find loaded
    with sharing_cores(at_once, len(tracks)) as count, ThreadPoolExecutor(count) as pool:
        found = [one for one in pool.map(one, tracks) if one is not None]
    number = len(views_of(recipe))
    if not found:
        return Hearing(0.0, (0.0,) * number, (True,) * number, 0.0)
    shared, views, clips, sound = zip(*found, strict=True)
    mean = np.mean(np.array(views), axis=0)
    return Hearing(
        float(np.mean(shared)),
        tuple(mean.tolist()),
        tuple((np.array(clips).max(axis=0) > 0).tolist()),
        float(np.mean(sound)),
    )


def _heard(recipe: Recipe, track: Track, sounds: bool) -> tuple[float, list[float], list[int], float]:
    """Return the seconds of decoding a clip, those of each view, how many clips each has, and the seconds of the sound."""
    frontend = recipe.frontend
    timed = _Timed()
    if isinstance(frontend, Views):
        clip = next(cut(as_it_is(track, frontend.rate), frontend.rate, frontend.clipping, warn=_silently))
        samples = clip.samples[: round((clip.end - clip.start) * frontend.rate)]
        shared = timed()
        taken, clips = [], []
        for place, view in enumerate(frontend.views):
            alone = replace(frontend, views=(view,), least=frontend.least[place : place + 1])
            clips.append(int(alone(samples)[0]))
            taken.append(timed())
    else:
        times, _ = next(hear(track, frontend, warn=_silently))
        shared, taken, clips = 0.0, [timed() / len(times)], [len(times)]
    if sounds:
        measure_sound(track)
    return shared, taken, clips, timed()


class _Timed:
    """Returns the seconds since it was last called."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def __call__(self) -> float:
        before, self._last = self._last, time.perf_counter()
        return self._last - before


def _silently(text: str) -> None:
    """Leave out the warning that a clip is padded."""


def _training(
    view: Recipe, amounts: Amounts, clips: float, limit: float, *, engine: str, device: str
) -> tuple[ViewCost, float]:
    """Return what training a view costs, and what judging a clip takes."""
    rows, more = amounts.train * clips, amounts.valid * clips
    if isinstance(view, NetRecipe):
        begin, step, judged = _net(view, amounts.classes, view.engine_for(engine), device, limit)
        epoch = MARGIN * (rows * step + more * judged)
        return ViewCost(name=view.name, begin=MARGIN * begin, epoch=epoch, epochs=view.epochs), judged
    fit = MARGIN * _at_once(view, amounts.classes, rows)
    return ViewCost(name=view.name, fit=fit, again=fit if more else 0.0), 0.0


def _net(view: NetRecipe, classes: int, engine: str, device: str, limit: float) -> tuple[float, float, float]:
    """Return the seconds before the first epoch, of learning from a clip, and of judging one."""
    random = np.random.default_rng(0)
    shape, size = view.frontend.shape, view.training.batch
    x = random.standard_normal((size, *shape)).astype(np.float32)
    net = view.bind(classes, shape)
    wanted = targets(np.arange(size) % classes, net, classes)
    augmenter = Augmenter(view.augment, view.frontend, 0) if view.augment.changes_rows else None
    timed, began = _Timed(), time.perf_counter()
    built = build(net, view.training, engine=engine, seed=0, device=device)
    begin, steps = timed(), []
    with built.working():
        for number in range(STEPS):
            shown, marks = x, wanted
            if augmenter is not None:
                shown, marks, _ = augmenter(number + 1, np.arange(size), lambda places: x[places], wanted)
            built.train_step(shown, marks, None)
            steps.append(timed())
            if time.perf_counter() - began > limit and number:
                break
        built.evaluate(x, wanted)
        timed()
        built.evaluate(x, wanted)
        judged = timed()
    return begin, float(np.mean(steps[1:])) / size, judged / size


def _at_once(view: Recipe, classes: int, rows: float) -> float:
    """Return the seconds of a fitting to so many rows, reckoned from one to noise."""
    random = np.random.default_rng(0)
    number = max(2 * classes, min(ROWS, round(rows)))
    fit: Callable[..., object] = FITTERS[view.kind]
    plain = replace(view, augment=replace(view.augment, sounds=None)) if isinstance(view, ClassicalRecipe) else view
    x = random.standard_normal((number, *view.frontend.shape)).astype(np.float32)
    noise = Arrays(x, np.arange(number) % classes, tuple(f"{name:05d}" for name in range(classes)))
    heard = features_of_arrays(noise, view.frontend.shape, made_by=view.frontend)
    timed, took = _Timed(), 0.0
    for _ in range(2):  # the first time, what every other finds loaded may have to be loaded
        fit(plain, heard, None, seed=0)
        took = timed()
        if took > LOADING:
            break
    power = 2 if isinstance(view, ClassicalRecipe) and isinstance(view.classifier, Machine) else 1
    return took * max(1.0, rows / number) ** power
