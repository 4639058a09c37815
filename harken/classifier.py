"""Classifier: a recipe that learns, names files, is judged, and is kept in one file. The verbs are scikit-learn's.

::

    from harken import Classifier

    model = Classifier(recipe="dance-cnn-small", seed=0).fit("my-songs/")
    model.predict(["unknown.mp3"])
    model.save("my-songs.harken")
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import astuple, replace
from itertools import groupby
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from harken.archive import Model, load_model, save_model
from harken.confidence import Confidence
from harken.datasets import Arrays, read
from harken.decoders import shown
from harken.engines import check, check_names
from harken.errors import DataError, HarkenError, ModelError
from harken.folds import check_seed, group_numbers
from harken.frontends import Arrays as ArraysFrontend
from harken.frontends import Frontend, Views
from harken.judge import Baselines, Evaluation, beside, evaluate_features, measure
from harken.judge.confidence import at_temperature, fit_confidence
from harken.judge.unknown import familiarity, places
from harken.learn import ArrayRows, Decider, class_probabilities, class_probabilities_of, decider
from harken.learn.stack.answer import Jury
from harken.learn.stack.said import Sayings
from harken.metrics import decisions, track_probabilities
from harken.parts import Labelled, hear, hear_parts, holds_rows_for, parts_of, rows_to_name
from harken.prediction import Prediction, Probabilities, answer, failure, tracks_of
from harken.progress import Progress, silent
from harken.recipes import Recipe, load_recipe
from harken.recipes.neighbours import votes_of
from harken.store import Features, Stream, as_it_is, hear_many, sharing_cores
from harken.tracks import Track, Tracks

if TYPE_CHECKING:
    from harken.explain import Explanation

logger = logging.getLogger("harken")

Data = Tracks | Arrays | Features | str | os.PathLike[str]
"""What can be learnt from: tracks, arrays, features of either, or DATA as the command takes it."""
Files = str | os.PathLike[str] | Iterable[str | os.PathLike[str] | Track]
"""What can be named: a file, a folder, or many of them."""

BATCH = 64
"""Clips that are heard and classified at once."""
AT_ONCE = 1 << 24
"""Bytes that as many clips may have together, of what a net reads; larger ones are classified fewer at a time."""


class Classifier:
    """Learns to tell music apart, and names it.

    Parameters
    ----------
    recipe : str, path or Recipe
        A known system's name (``harken recipes``), a TOML file, or a recipe. The default joins several views of the music.
    seed : int
        Of the split, the initial weights, the order of the clips and the dropout.
    epochs : int, optional
        Instead of the recipe's.
    engine : str, optional
        What does the arithmetic: ``"numpy"``, ``"torch"`` or ``"keras"``. Default: what the recipe names, else ``"numpy"``.
    device : str
        What the engine works on: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    workers : int, optional
        Files worked on at once; default: one a core.

    Raises
    ------
    HarkenError
        The recipe is unknown or wrong, the seed is negative, or engine or device is unknown. Whether the framework of an
        engine is installed is seen when it is first used.

    Examples
    --------
    >>> from harken import Arrays
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> quiet, loud = rng.normal(0, 0.1, (20, 1200)), rng.normal(0, 1, (20, 1200))
    >>> arrays = Arrays(np.float32(np.concatenate([quiet, loud])), np.repeat([0, 1], 20), ("quiet", "loud"))
    >>> model = Classifier(recipe="wave-mlp", epochs=5).fit(arrays)
    >>> model.predict(loud[:2])
    ['loud', 'loud']
    """

    def __init__(
        self,
        recipe: str | os.PathLike[str] | Recipe = "listen",
        *,
        seed: int = 0,
        epochs: int | None = None,
        engine: str | None = None,
        device: str = "auto",
        workers: int | None = None,
    ) -> None:
        check_seed(seed)
        self.recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
        if epochs is not None:
            self.recipe = self.recipe.replace(epochs=epochs)
        self.seed = seed
        self.engine = self.recipe.engine_for(engine)
        check_names(self.engine, device)
        self.device = device
        self.workers = workers
        self._model: Model | None = None
        self._nets = threading.local()

    @classmethod
    def of(cls, model: Model, *, engine: str = "numpy", device: str = "auto", workers: int | None = None) -> Self:
        """Return a classifier that answers with a trained model, on any engine, whichever has trained it."""
        seed = int(model.record.get("seed", 0))
        classifier = cls(model.recipe, seed=seed, engine=engine, device=device, workers=workers)
        classifier._model = model
        return classifier

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, engine: str = "numpy", device: str = "auto", workers: int | None = None
    ) -> Self:
        """Read a ``.harken`` file.

        Raises
        ------
        ModelError
            It is missing, damaged, foreign, or newer than this Harken.
        """
        return cls.of(load_model(path), engine=engine, device=device, workers=workers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.harken`` file: all that prediction needs."""
        save_model(path, self.model)

    @property
    def model(self) -> Model:
        """What was learnt; raises :class:`HarkenError` before that."""
        if self._model is None:
            raise HarkenError("this classifier has not learnt anything yet; call fit, or Classifier.load")
        return self._model

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it tells apart, in the order of the probabilities."""
        return self.model.classes

    def fit(self, tracks: Data, *, validation: Data | None = None, progress: Progress = silent) -> Self:
        """Learn.

        Parameters
        ----------
        tracks : Tracks, Arrays, Features or path
            Labelled, of at least two classes. Data that bring a validation part are validated with it, and a test part that
            they bring is not learnt from.
        validation : the same, optional
            What says which epoch is the best. Default: what the data bring, else a fifth of the tracks, kept apart by their
            groups.
        progress : Progress
            Stages ``"features"`` and ``"training"``.

        Raises
        ------
        DataError
            There is too little to learn from, no file can be read, or features were made otherwise than the recipe hears.
        """
        from harken.learn.recipe import learn  # noqa: PLC0415 (who predicts needs no run's folder, and what that loads)

        check(self.engine, self.device)
        name, given = _given(tracks, progress)
        if validation is not None:
            other = _given(validation, progress)[1]
            given["valid"] = other.get("valid", other["train"])
        heard = hear_parts(name, given, self.recipe.frontend, workers=self.workers, progress=progress)
        if heard.failed:
            first = heard.failed[0]
            many = "1 file failed and is" if len(heard.failed) == 1 else f"{len(heard.failed)} files failed and are"
            logger.warning("%s: %s not learnt from (%s: %s)", name, many, *astuple(first))
        parts = parts_of(heard, seed=self.seed, test=False)
        learnt = learn(
            self.recipe,
            parts.train,
            parts.valid,
            seed=self.seed,
            engine_name=self.engine,
            device=self.device,
            progress=progress,
        )
        self._model = learnt.best
        self._nets = threading.local()
        if parts.valid is not None:
            self.calibrate(parts.valid, learnt=parts.train)
        if learnt.everything is not None:
            self._model = replace(learnt.everything(), confidence=self.model.confidence)
            self._nets = threading.local()
        return self

    def calibrate(self, tracks: Data, *, learnt: Data | None = None, progress: Progress = silent) -> Self:
        """Learn how sure to be, from tracks whose groups were not trained on (:func:`harken.judge.confidence.fit_confidence`).

        No answer changes. :meth:`fit` and ``harken train`` do this with their validation part.

        Parameters
        ----------
        tracks : Tracks, Arrays, Features or path
            Their labels must be classes of the model.
        learnt : the same, optional
            What the model was trained on, so that it knows what is unfamiliar (:mod:`harken.judge.unknown`).
        progress : Progress
            Stages ``"features"`` and ``"predicting"``.

        Raises
        ------
        DataError
            A label is missing, or none that the model knows, or features were made otherwise than the model hears.
        """
        heard = self._heard(tracks, None, progress)
        labels = heard.tracks.labels
        if (labels < 0).any():
            raise DataError(f"{(labels < 0).sum()} of {len(labels)} tracks have no label, and confidence is learnt from labels")
        clips = self._of_clips(heard, progress)
        means = track_probabilities(clips, heard.track, len(heard.tracks))
        groups = group_numbers(heard.tracks.groups, heard.hashes)
        confidence = fit_confidence(
            labels,
            means,
            groups,
            places=places(clips, heard.track, len(heard.tracks)),
            examples=None if learnt is None else self._places(learnt, progress),
            votes=votes_of(self.model.recipe),
        )
        self._model = replace(self.model, confidence=confidence)
        return self

    def familiarity(self, tracks: Data, *, progress: Progress = silent) -> npt.NDArray[np.float64]:
        """Return how familiar tracks are (:func:`harken.judge.unknown.familiarity`), shape (tracks,); NaN without an answer.

        Raises
        ------
        ModelError
            The model does not remember what it was trained on.
        """
        examples = self.model.confidence.places
        if not len(examples):
            raise ModelError("this model does not know what is familiar: train it again, with a validation part of its own")
        return familiarity(self._places(tracks, progress), examples)

    def _places(self, tracks: Data, progress: Progress) -> npt.NDArray[np.float64]:
        heard = self._heard(tracks, None, progress)
        return places(self._of_clips(heard, progress), heard.track, len(heard.tracks))

    def predict(self, files: Files | npt.NDArray[np.floating]) -> list[str]:
        """Name files, or the rows of an array.

        Returns
        -------
        list of str
            A label for each; empty where a file failed (:meth:`predict_files` says why), or a row holds NaN or infinity.
        """
        return ["" if decided < 0 else self.classes[decided] for decided in decisions(self.predict_proba(files))]

    def predict_proba(self, files: Files | npt.NDArray[np.floating], *, raw: bool = False) -> npt.NDArray[np.float64]:
        """Return the probability of every class, at the model's temperature where it has one.

        Parameters
        ----------
        files : path, paths, tracks, or array (rows, …)
            Folders are walked. An array holds what the network reads, a row an example.
        raw : bool
            Leave the temperature out.

        Returns
        -------
        ndarray of float64, shape (files, classes)
            NaN where a file failed, or a row holds NaN or infinity.
        """
        if isinstance(files, np.ndarray):
            known = self._confidence(raw)
            return at_temperature(self._of_rows(files), known.temperature, known.votes)
        found = [prediction.probabilities for prediction in self.predict_files(files, raw=raw)]
        return np.array(found).reshape(len(found), len(self.classes))

    def predict_files(
        self, files: Files, *, workers: int | None = None, raw: bool = False, stream: Stream = as_it_is
    ) -> Generator[Prediction, None, None]:
        """Name files one after another, with the probabilities of every clip.

        Each file's probabilities are taken at the model's temperature, unless ``raw`` is asked for; those of its clips never.
        Several files are decoded, heard and classified at once; the answers come in the files' order. A file that fails
        has its reason in its own answer. Of a table of features (``.csv``, ``.npz``) every row is named, where the model reads
        such rows (:meth:`names_rows_of`); their columns may stand in any order.

        Parameters
        ----------
        files : path, paths, or tracks
            Folders are walked.
        workers : int, optional
        stream : callable
            ``(track, rate) → blocks of samples``: what is heard of each file instead of its own sound.

        Raises
        ------
        ModelError
            The model was trained on arrays, and the files are audio.
        DataError
            A table has other columns than the model reads, or was made otherwise.
        """
        tracks = list(tracks_of(files))
        confidence = self._confidence(raw)
        runs = [(rows, list(run)) for rows, run in groupby(tracks, lambda track: self.names_rows_of(track.path))]
        sounds = [run for rows, run in runs if not rows]
        if sounds and self._frontend.kind == ArraysFrontend.kind:
            raise self._deaf_to(sounds[0][0].path)
        for rows, run in runs:
            if rows:
                yield from self._answers_of_rows(run, confidence)
                continue
            with sharing_cores(workers or self.workers, len(run)) as count:
                yield from self._answers(run, count, confidence, stream)

    def explain(
        self, path: str | os.PathLike[str] | Track, *, label: str | None = None, at: float | None = None
    ) -> Explanation:
        """Say why a file is answered as it is (:mod:`harken.explain`; docs/explaining.md).

        Parameters
        ----------
        path : path or Track
        label : str, optional
            The class that is explained; default: the answer.
        at : float, optional
            The clip around this second is explained; default: the one that says most for the class.

        Returns
        -------
        harken.explain.Explanation
            ``findings`` (of a stack also ``joint``), ``to_table()`` for JSON; ``harken.explain.words.lines`` says it in words.

        Raises
        ------
        ModelError
            The model hears no audio, or does not know the mean of what it was trained on.
        AudioError, DataError
            The file cannot be read, or is too short; the model gives no number for it, or no clip lies at that second.
        HarkenError
            The label is none of the model's, or nothing was learnt yet.
        """
        from harken.explain import explain  # noqa: PLC0415 (who predicts explains nothing)

        return explain(self.model, self._net(), path, label=label, at=at)

    def names_rows_of(self, path: str) -> bool:
        """Return whether a file is a table of numbers whose rows the model would name, each by itself."""
        return holds_rows_for(path, self._frontend)

    def score(self, tracks: Data) -> float:
        """Return the track accuracy on labelled tracks: the share of those with an answer that is right."""
        return self.evaluate(tracks).track.value

    def evaluate(
        self,
        tracks: Data,
        *,
        seed: int = 0,
        workers: int | None = None,
        raw: bool = False,
        baselines: bool = False,
        progress: Progress = silent,
    ) -> Evaluation:
        """Judge the model on labelled tracks, with intervals over groups.

        Parameters
        ----------
        tracks : Tracks, Arrays, Features or path
            Their labels must be classes of the model.
        seed : int
            Of what is drawn by lot: the baselines' folds, what chance makes of the confidence.
        workers : int, optional
        raw : bool
            Leave the model's temperature out.
        baselines : bool
            Whether loudness, duration, tempo and format are judged beside the model (:mod:`harken.judge.baselines`).
        progress : Progress

        Raises
        ------
        DataError
            A label that the model does not know, or features that were made otherwise than the model hears.
        """
        heard = self._heard(tracks, workers, progress)
        model = self.model
        evaluation = evaluate_features(
            self._of_clips(heard, progress),
            heard,
            trained_on=model.trained_on,
            confidence=model.confidence,
            raw=raw,
            seed=seed,
        )
        if not (baselines and evaluation.track.n):
            return evaluation
        kept = Baselines.from_table(self.model.record.get("baselines"), len(self.classes))
        return beside(evaluation, measure(heard, progress), kept, hashes=heard.hashes, seed=seed)

    def _heard(self, tracks: Data, workers: int | None, progress: Progress) -> Features:
        """Return the features of labelled data, as the model hears."""
        data = read(tracks, progress=progress).judged if isinstance(tracks, str | os.PathLike) else tracks
        if isinstance(data, Tracks) and self._frontend.kind == ArraysFrontend.kind:
            raise self._deaf_to("these are tracks of audio")
        return hear(data, self._frontend, self.classes, workers=workers or self.workers, progress=progress)

    def _of_clips(self, heard: Features, progress: Progress) -> Probabilities:
        """Return the probabilities of the clips of features."""
        batch = max(1, min(BATCH, AT_ONCE // (4 * prod(self.model.input_shape))))
        return class_probabilities_of(self._net(), heard, batch, progress)

    @property
    def _frontend(self) -> Frontend:
        """How the model hears: the recipe's way, unless it was trained on arrays."""
        return self.model.recipe.frontend

    def _confidence(self, raw: bool) -> Confidence:
        known = self.model.confidence
        return replace(known, temperature=None) if raw else known

    def _deaf_to(self, what: str) -> ModelError:
        return ModelError(
            f"{what}: this model ({self.model.recipe.name}) was trained on arrays, and what made them of audio is not known to "
            f"it; give it an .npz of rows of shape {self.model.input_shape} of the same making, or train on the audio itself"
        )

    def _net(self) -> Decider:
        """Return what answers in the calling thread: nets keep buffers and are not shared."""
        if not hasattr(self._nets, "net"):
            self._nets.net = decider(self.model, engine=self.engine, device=self.device)
        net: Decider = self._nets.net
        return net

    def _said(self, x: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.floating], list[Sayings]]:
        """Return the outputs for a batch, and of a stack what its views say."""
        net = self._net()
        if not isinstance(net, Jury):
            return net.forward(x), []
        said = net.sayings(x)
        return net.joint(said), [said]

    def _needs(self, seconds: float) -> str:
        """Return why sound of so many seconds has no answer by its length; empty where that is not why."""
        net = self._net()
        return net.needs(seconds) if isinstance(net, Jury) else ""

    def _of_rows(self, rows: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        shape = self.model.input_shape
        if rows.ndim == 0 or rows.size != len(rows) * int(np.prod(shape)):
            raise DataError(f"an array of shape {rows.shape}, but the model reads rows of shape {shape}")
        x = np.asarray(rows, dtype=np.float32).reshape(len(rows), *shape)
        return class_probabilities_of(self._net(), ArrayRows(x), BATCH)

    def _answers_of_rows(self, tracks: Sequence[Track], confidence: Confidence) -> Iterator[Prediction]:
        """Name every row of tables."""
        for track in tracks:
            for arrays, names in rows_to_name(Path(track.path), self._frontend):
                times = arrays.times if arrays.times is not None else np.zeros((len(arrays), 2))
                probabilities = self._of_rows(arrays.x)
                for name, (start, end), row in zip(names, times.tolist(), probabilities, strict=True):
                    yield answer(name, self.classes, [(start, end)], row[None], confidence)

    def _answers(self, tracks: Sequence[Track], workers: int, confidence: Confidence, stream: Stream) -> Iterator[Prediction]:
        """Classify what workers hear, a few clips at a time, and answer in the tracks' order."""
        clips: dict[int, tuple[list[tuple[float, float]], list[Probabilities], list[Sayings]]] = {}
        ready: dict[int, Prediction] = {}
        said, short = 0, _Short(self._frontend)
        for heard in hear_many(tracks, self._frontend, workers, stream):
            times, probabilities, views = clips.setdefault(heard.position, ([], [], []))
            if heard.x is not None:
                times += heard.times
                outputs, said_of_it = self._said(heard.x)
                probabilities.append(class_probabilities(outputs))
                views += said_of_it
                continue
            path = tracks[heard.position].path
            del clips[heard.position]
            if heard.failure:
                ready[heard.position] = failure(path, self.classes, heard.failure)
            else:
                if heard.silent:
                    logger.warning("%s %s", shown(path), heard.silent)
                short.note(path, times)
                joint = Sayings.together(views) if views else None
                every = np.concatenate(probabilities)
                ready[heard.position] = answer(
                    path, self.classes, times, every, confidence, said=joint, silent=bool(heard.silent), needs=self._needs
                )
            while said in ready:
                yield ready.pop(said)
                said += 1
        short.tell()


class _Short:
    """Takes note of files of which the views of a stack hear too little, as nothing is put behind them, and says so."""

    def __init__(self, frontend: Frontend) -> None:
        self._least = min(ear.clip for ear in frontend.ears) / 2 if isinstance(frontend, Views) else 0.0
        self._count, self._one = 0, ""

    def note(self, path: str, times: Sequence[tuple[float, float]]) -> None:
        """Take note of a file and its clips."""
        if times[-1][1] - times[0][0] < self._least:
            self._count += 1
            self._one = self._one or f"{shown(path)} ({times[-1][1] - times[0][0]:.2g} s)"

    def tell(self) -> None:
        """Say of how many files there is too little sound."""
        if self._count:
            others = f" and {self._count - 1} more" if self._count > 1 else ""
            logger.warning(
                "%s%s: less than half of the %g s that any view of this model listens to at once; such answers say little",
                self._one,
                others,
                2 * self._least,
            )


def _given(data: Data, progress: Progress) -> tuple[str, dict[str, Labelled]]:
    """Return a name for messages, and the parts to learn from; a test part stays unheard."""
    if isinstance(data, str | os.PathLike):
        dataset = read(data, progress=progress)
        return dataset.name, {name: part for name, part in dataset.parts.items() if name != "test"}
    return data.name if isinstance(data, Arrays) else "the tracks", {"train": data}
