"""Distilling: what a student is shown, what it never sees, figures that add up, and requests that cannot be."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from harken import Arrays, jobs
from harken.archive import load_model
from harken.classifier import Classifier
from harken.cli import harken
from harken.datasets.arrays import read_arrays
from harken.distil import PREDICTIONS, RESULT, STUDENT, TABLE, TEACHER, Lesson, distil, lessons
from harken.distil.lessons import answers_of, served
from harken.errors import HarkenError, ModelError
from harken.judge.crossvalidation import Judged
from harken.judge.distillation import Pupil, figures, gaps
from harken.learn import ArrayRows
from harken.learn.recipe import learn
from harken.learn.taught import Joined, Taught, further_rows, hardened, spread_of, tempered
from harken.nets import Net
from harken.nets.layers import layers_from_tables
from harken.recipes import recipe_from_table
from harken.store import features_of_arrays
from harken.tracks import Track, Tracks


def toy(name, epochs=8, *, normed=False, shape=4):
    net = [{"layer": "batch_norm"}] if normed else []
    net.append({"layer": "dense", "units": "classes", "activation": "softmax"})
    training = {"epochs": epochs, "optimizer": {"kind": "adam", "learning_rate": 0.05}}
    table = {"title": name, "kind": "net", "source": "here", "training": training, "net": net}
    return recipe_from_table({**table, "frontend": {"kind": "arrays", "shape": [shape]}}, name)


def voting(k=3):
    table = {"title": "votes", "kind": "neighbours", "neighbours": {"k": k}, "frontend": {"kind": "arrays", "shape": [4]}}
    return recipe_from_table(table, "votes")


GOOD, PLAIN = toy("good", normed=True), toy("plain")


def rows_and_labels(groups=24, classes=2, seed=0):
    """Groups of four rows each, four numbers a row; the classes lie apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(4 * groups) // 4 % classes
    x = rng.standard_normal((4 * groups, 4)) + 3 * np.eye(4)[labels]
    return x.astype(np.float32), labels


def saved(path, x, labels, classes=("jig", "reel"), part=None):
    names = np.array([f"artist {row // 4}" for row in range(len(labels))])
    more = {} if part is None else {"part": part}
    np.savez(path, X=x, y=labels, groups=names, labels=list(classes), **more)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("distil") / "toy.npz", *rows_and_labels())


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """Two students of three neighbours' shares, two seeds, judged on the test part."""
    out = tmp_path_factory.mktemp("runs") / "out"
    lesson = Lesson(soft=True, augment=2)
    return distil(data, voting(), GOOD, also=[PLAIN], lesson=lesson, seeds=2, out=out, workers=1)


@pytest.fixture
def here(monkeypatch):
    """Every training in this process: a new one takes a second, and the test of what is kept begins some."""

    def done(asked, **_):
        return [json.loads(json.dumps(job.call(*job.arguments))) for job in asked]

    monkeypatch.setattr("harken.distil.whole.done", done)


@pytest.fixture
def folded(data, tmp_path, here):
    """Two folds of a net as the teacher."""
    return distil(data, toy("master"), GOOD, seeds=1, folds=2, out=tmp_path / "folds", workers=1)


def features(x, labels, classes=("jig", "reel")):
    return features_of_arrays(read_arrays_of(x, labels, classes))


def read_arrays_of(x, labels, classes):
    return Arrays(np.float32(x), np.asarray(labels), tuple(classes))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- shares


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0, 2.0, 20.0])
def test_a_temperature_keeps_sums_order_and_zeros(temperature):
    shares = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    shares[:, 0] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    found = tempered(shares, temperature)
    assert found.sum(axis=1) == pytest.approx(np.ones(200))
    assert (found[:, 0] == 0).all()
    assert (found.argmax(axis=1) == shares.argmax(axis=1)).all()


def test_temperature_one_leaves_the_shares_and_others_soften_or_sharpen():
    votes = np.array([[0.6, 0.4, 0.0], [1.0, 0.0, 0.0]])
    assert np.array_equal(tempered(votes, 1.0), votes)
    assert tempered(votes, 2.0)[0] == pytest.approx(np.sqrt([0.6, 0.4, 0]) / np.sqrt([0.6, 0.4]).sum())
    assert tempered(votes, 0.5)[0] == pytest.approx(np.array([0.36, 0.16, 0]) / 0.52)
    assert np.array_equal(tempered(votes, 7.0)[1], votes[1])
    assert tempered(votes, 1e9)[0] == pytest.approx([0.5, 0.5, 0.0])
    assert tempered(votes, 1e-4)[0] == pytest.approx([1.0, 0.0, 0.0])


def test_a_temperature_is_that_of_the_logits():
    logits = np.random.default_rng(1).normal(0, 3, (50, 4))

    def softmax(values):
        return np.exp(values) / np.exp(values).sum(axis=1, keepdims=True)

    assert tempered(softmax(logits), 3.0) == pytest.approx(softmax(logits / 3.0))


@pytest.mark.parametrize("temperature", [0, -1, float("nan"), float("inf")])
def test_a_temperature_that_cannot_be(temperature):
    with pytest.raises(HarkenError, match="expected a number above 0"):
        tempered([[0.5, 0.5]], temperature)


def test_rows_without_an_answer_stay_so_and_cannot_be_taught():
    shares = np.array([[0.5, 0.5], [np.nan, np.nan]])
    assert np.isnan(tempered(shares, 2.0)[1]).all() and np.isnan(hardened(shares)[1]).all()
    with pytest.raises(HarkenError, match="no answer for 1 of 2 examples"):
        Taught(ArrayRows(np.zeros((2, 4), np.float32)), shares)
    with pytest.raises(HarkenError, match="not one example"):
        Taught(ArrayRows(np.zeros((0, 4), np.float32)), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="2 examples"):
        Taught(ArrayRows(np.zeros((2, 4), np.float32)), np.zeros((3, 2)))


def net(units, activation="softmax"):
    return Net(layers_from_tables([{"layer": "dense", "units": units, "activation": activation}], "net"), (4,))


def test_soft_targets_are_the_shares_and_one_sigmoid_has_the_second():
    shares = np.array([[0.25, 0.75], [1.0, 0.0]])
    taught = Taught(ArrayRows(np.zeros((2, 4), np.float32)), shares)
    assert np.array_equal(taught.part(net(2)).targets, np.float32(shares))
    assert np.array_equal(taught.part(net(1, "sigmoid")).targets, np.float32([[0.75], [0.0]]))
    assert taught.part(net(2)).weights is None
    with pytest.raises(ValueError, match="cannot learn shares of 2 classes"):
        taught.part(net(3))


def test_balanced_weights_are_those_of_the_answers():
    taught = Taught(ArrayRows(np.zeros((4, 4), np.float32)), np.array([[1, 0], [0.9, 0.1], [0.6, 0.4], [0, 1]]))
    weights = taught.part(net(2), "balanced").weights
    assert weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])


# ---- further rows


ROWS = ArrayRows(np.random.default_rng(3).normal([0, 5, -5, 0], [1, 2, 3, 0], (40, 4)).astype(np.float32))


@pytest.mark.parametrize("jitter", [None, 0.2])
def test_further_rows_are_the_same_whoever_reads_them_and_in_whatever_order(jitter):
    one, two = (further_rows(ROWS, 3, seed=5, jitter=jitter) for _ in range(2))
    whole = one.rows(np.arange(120))
    assert len(one) == 120 and whole.dtype == np.float32
    mixed = np.random.default_rng(0).permutation(120)
    pieces = np.concatenate([two.rows(mixed[first : first + 7]) for first in range(0, 120, 7)])
    assert np.array_equal(pieces, whole[mixed])
    assert not np.array_equal(further_rows(ROWS, 3, seed=6, jitter=jitter).rows(np.arange(120)), whole)


def test_rows_between_lie_between():
    rows = further_rows(ROWS, 50, seed=0).rows(np.arange(2000))
    assert (rows >= ROWS.x.min(axis=0) - 1e-5).all() and (rows <= ROWS.x.max(axis=0) + 1e-5).all()
    assert len(np.unique(rows[:, 0])) > 1500


def test_rows_beside_are_as_far_as_asked():
    moved = further_rows(ROWS, 50, seed=0, jitter=0.5).rows(np.arange(2000)) - np.tile(ROWS.x, (50, 1))
    assert moved.std(axis=0) == pytest.approx(0.5 * ROWS.x.std(axis=0), rel=0.1, abs=1e-6)
    assert abs(moved.mean(axis=0)) == pytest.approx(np.zeros(4), abs=0.1)


def test_the_spread_is_numpys_however_it_is_read(monkeypatch):
    monkeypatch.setattr("harken.learn.standard.BLOCK", 3 * 4)
    far = ArrayRows(ROWS.x + np.float32(1e4))
    assert spread_of(far) == pytest.approx(far.x.std(axis=0, dtype=np.float64), rel=1e-6)


def test_joined_rows_stand_behind_one_another():
    other = ArrayRows(-ROWS.x[:5])
    whole = Joined(ROWS, other)
    assert len(whole) == 45
    places = np.array([44, 0, 40, 39, 1])
    assert np.array_equal(whole.rows(places), np.concatenate([ROWS.x, other.x])[places])
    assert np.array_equal(whole.rows(np.array([3, 2])), ROWS.x[[3, 2]])


@pytest.mark.parametrize(("number", "jitter"), [(0, None), (-1, None), (1, 0.0), (1, -1.0), (1, float("nan"))])
def test_further_rows_that_cannot_be(number, jitter):
    with pytest.raises(HarkenError, match="expected"):
        further_rows(ROWS, number, seed=0, jitter=jitter)


# ---- learning


def test_a_student_of_a_perfect_teacher_is_one_of_the_labels():
    train = features(*rows_and_labels())
    truth = Taught(train, np.eye(2)[train.labels])
    plain, taught = learn(GOOD, train, train, seed=3), learn(GOOD, train, train, seed=3, taught=truth)
    assert all(np.array_equal(plain.last.weights[name], taught.last.weights[name]) for name in plain.last.weights)


def test_a_student_learns_its_teachers_mistakes():
    train = features(*rows_and_labels())
    wrong = Taught(train, np.eye(2)[1 - train.labels])
    model = learn(GOOD, train, None, taught=wrong).last
    assert Classifier.of(model).score(train) < 0.1


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_soft_shares_are_what_is_answered_afterwards(engine):
    if engine == "torch":
        pytest.importorskip("torch")
    train = features(np.zeros((64, 4)), np.arange(64) % 2)
    taught = Taught(train, np.tile([0.3, 0.7], (64, 1)))
    model = learn(toy("long", 60), train, None, engine_name=engine, taught=taught).last
    assert Classifier.of(model, engine=engine).predict_proba(train.x[:1], raw=True)[0] == pytest.approx([0.3, 0.7], abs=0.01)


def test_only_nets_are_taught():
    train = features(*rows_and_labels())
    with pytest.raises(HarkenError, match="learns from labels alone"):
        learn(voting(), train, None, taught=Taught(train, np.eye(2)[train.labels]))


def test_a_clip_has_the_answer_for_it_or_for_its_track():
    x, labels = np.zeros((4, 4)), np.array([0, 0, 1, 1])
    one = features(x, labels)
    shares = np.array([[1.0, 0], [0.5, 0.5], [0, 1], [0.25, 0.75]])
    assert served(shares, one, one) is shares
    pairs = replace(one, tracks=one.tracks.select([0, 2]), track=np.array([0, 0, 1, 1]), hashes=one.hashes[:2])
    single = replace(pairs, x=one.x[:2], track=np.array([0, 1]), start=np.zeros(2), end=np.full(2, 5.0))
    assert np.array_equal(served(shares, pairs, single), [[0.75, 0.25], [0.125, 0.875]])
    assert np.array_equal(served(shares[:2], single, pairs), shares[[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="4 tracks for the teacher and 2 for the student"):
        served(shares, one, pairs)


def test_out_of_fold_every_clip_is_answered_by_who_has_not_learnt_it():
    x, labels = rows_and_labels(groups=12)
    train = features(x, labels)
    teaching = lessons.Teaching(voting(1), lessons.Path(), "out-of-fold", "numpy", "cpu")
    own = teaching._answer(learn(voting(1), train, None).best, train)
    assert np.array_equal(own.argmax(axis=1), labels)  # the nearest is the row itself
    noise = features(np.random.default_rng(0).standard_normal(x.shape), labels)
    assert np.isfinite(teaching._out_of_fold(noise)).all()
    assert np.mean(teaching._out_of_fold(noise).argmax(axis=1) == labels) < 0.8
    few = features(x[:12], labels[:12])
    assert len(lessons._folds(few)) >= 2
    with pytest.raises(HarkenError, match="leave --out-of-fold out"):
        lessons._folds(features(x[2:6], labels[2:6]))


# ---- judging


def judged(rows=40, seeds=2):
    tracks = Tracks([Track(f"{place}", ("jig", "reel")[place % 2], f"a{place // 2}") for place in range(rows)], ("jig", "reel"))
    places = np.tile(np.arange(rows), seeds)
    one = np.ones(len(places), np.int64)
    return Judged(tracks, np.arange(rows) // 2, places, one, one, np.repeat(np.arange(seeds), rows))


def pupil(name, taught, labelled, *, normed=False):
    return Pupil(name, "numpy", "cpu", 10, normed, taught, labelled)


def test_a_copy_has_its_teachers_figures_and_a_fidelity_of_one():
    known = judged()
    teacher = np.where(np.arange(80) % 40 < 30, known.labels, 1 - known.labels)
    accuracy, (copy,) = figures(known, teacher, [pupil("copy", teacher, known.labels)])
    assert accuracy.value == copy.accuracy.figure.value == 0.75 and accuracy.n == 40
    assert copy.fidelity.figure.value == 1.0 and copy.fidelity.by_seed == (1.0, 1.0) and copy.fidelity.spread == 0
    assert copy.labelled_accuracy.figure.value == 1.0 and copy.labelled_fidelity.figure.value == 0.75
    against, labels = gaps(known, "master", teacher, [copy])
    assert against.paired.difference == 0 and "neither to lose to its teacher master nor to pass it" in against.sentence
    assert labels.paired.difference == -0.25 and "learns more from the true labels" in labels.sentence


def test_who_passes_whom_is_said():
    known = judged()
    half = np.where(np.arange(80) % 4 < 2, known.labels, 1 - known.labels)
    accuracy, (good, poor) = figures(
        known, half, [pupil("good", known.labels, half, normed=True), pupil("poor", 1 - known.labels, half)]
    )
    found = {(gap.about, gap.paired.first): gap for gap in gaps(known, "master", half, [good, poor])}
    assert found["teacher", "good"].sentence.startswith("The student good passes its teacher master, by ")
    assert found["teacher", "poor"].sentence.startswith("The student poor loses to its teacher master, by ")
    between = found["recipes", "good"].sentence
    assert between.startswith("Batch norm (good against poor), taught: +100.0 points") and "cannot be told" not in between
    equal = found["recipes, true labels", "good"].sentence
    assert "+0.0 points" in equal and "cannot be told from nothing" in equal
    assert good.fidelity.figure.value == poor.fidelity.figure.value == accuracy.value == 0.5


def test_answers_that_are_none_are_in_no_figure():
    known = judged(seeds=1)
    taught = known.labels.copy()
    taught[:10] = -1
    teacher = known.labels.copy()
    teacher[5:15] = -1
    accuracy, (one,) = figures(known, teacher, [pupil("one", taught, known.labels)])
    assert (accuracy.n, one.accuracy.figure.n, one.fidelity.figure.n) == (30, 30, 25)
    assert one.accuracy.spread is None and one.fidelity.figure.value == 1.0


# ---- the whole


def test_the_figures_are_those_of_the_predictions(done):
    rows = rows_of(done.folder / PREDICTIONS)
    good, plain = done.students
    assert len(rows) == 2 * done.accuracy.n and {row["seed"] for row in rows} == {"0", "1"}

    def share(one, other):
        return np.mean([row[one] == row[other] for row in rows])

    assert done.accuracy.value == pytest.approx(share("teacher", "label"))
    assert good.accuracy.figure.value == pytest.approx(share("good:taught", "label"))
    assert good.fidelity.figure.value == pytest.approx(share("good:taught", "teacher"))
    assert plain.labelled_accuracy.figure.value == pytest.approx(share("plain:true labels", "label"))
    assert good.accuracy.figure.low <= good.accuracy.figure.value <= good.accuracy.figure.high
    assert good.accuracy.figure.value > 0.7


def test_the_document_the_table_and_the_report_are_complete(done):
    document = json.loads((done.folder / RESULT).read_text(encoding="utf-8"))
    assert document == json.loads(json.dumps(done.as_json()))
    assert [each["recipe"] for each in document["students"]] == ["good", "plain"]
    assert document["lesson"] == {"soft": True, "temperature": 1.0, "augment": 2, "jitter": None, "answers": "in-sample"}
    assert len(document["pairs"]) == 6 and document["students"][0]["student"]["accuracy"]["spread"] is not None
    table, text = (done.folder / TABLE).read_text(encoding="utf-8"), done.as_text()
    for words in ("votes (teacher)", "good, taught", "plain, true labels", "agrees with teacher", "Fidelity is not accuracy"):
        assert words in table and words in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_student_is_a_model_like_all_others(done, data):
    student = Classifier.load(done.folder / STUDENT)
    evaluation = student.evaluate(str(data))
    assert evaluation.track.value > 0.7 and evaluation.seen.affected > 0
    rows = [row for row in rows_of(done.folder / PREDICTIONS) if row["seed"] == "0"]
    whole = read_arrays(data)["train"].x
    named = student.predict(whole)
    places = [int(row["path"].rpartition("[")[2].rstrip("]")) for row in rows]
    assert [named[place] for place in places] == [row["good:taught"] for row in rows]
    assert student.model.record["taught"]["teacher"] == "votes"
    assert load_model(done.folder / TEACHER).recipe.name == "votes"


def test_nothing_is_trained_twice_and_seeds_and_recipes_are_added(done, data, tmp_path, monkeypatch):
    out = tmp_path / "copy"
    shutil.copytree(done.folder, out, ignore=shutil.ignore_patterns(".lock"))
    begun = []
    real = jobs._begin
    monkeypatch.setattr(jobs, "_begin", lambda job, **how: begun.append(job.name) or real(job, **how))
    again = distil(data, voting(), GOOD, also=[PLAIN], lesson=Lesson(soft=True, augment=2), seeds=2, out=out, workers=1)
    assert begun == [] and again.as_json()["students"] == done.as_json()["students"]
    (out / "students" / "good-numpy-repeat1-fold1-seed1-taught.json").unlink()
    (out / STUDENT).unlink()
    again = distil(data, voting(), GOOD, also=[PLAIN], lesson=Lesson(soft=True, augment=2), seeds=2, out=out, workers=1)
    assert begun == ["good, repeat 1, fold 1, seed 0, taught", "good, repeat 1, fold 1, seed 1, taught"]
    assert again.as_json()["students"] == done.as_json()["students"]
    with pytest.raises(HarkenError, match="holds another distillation"):
        distil(data, voting(), GOOD, lesson=Lesson(), seeds=2, out=out, workers=1)


def test_a_poisoned_test_part_changes_nothing_in_the_student(tmp_path, here):
    x, labels = rows_and_labels()
    part = np.array(["train", "train", "train", "valid", "test"])[np.arange(96) // 4 % 5]
    lesson = Lesson(soft=True, augment=1, answers="out-of-fold")
    found = []
    for name in ("clean", "poisoned"):
        if name == "poisoned":
            x[part == "test"] = 100.0
            labels = np.where(part == "test", 1 - labels, labels)
        parts = {each: np.flatnonzero(part == each) for each in ("train", "valid", "test")}
        np.savez(
            tmp_path / f"{name}.npz",
            **{f"X_{each}": x[places] for each, places in parts.items()},
            **{f"y_{each}": labels[places] for each, places in parts.items()},
            labels=["jig", "reel"],
        )
        done = distil(tmp_path / f"{name}.npz", voting(), GOOD, lesson=lesson, seeds=1, out=tmp_path / name, workers=1)
        found.append((load_model(done.folder / STUDENT), load_model(done.folder / TEACHER), done.accuracy.value))
    for clean, poisoned in zip(found[0][:2], found[1][:2], strict=True):
        assert all(np.array_equal(clean.weights[name], poisoned.weights[name]) for name in clean.weights)
    assert found[0][2] > 0.7 and found[1][2] < 0.7


def test_folds_judge_every_track_once(folded):
    rows = rows_of(folded.folder / PREDICTIONS)
    assert len(rows) == len({row["path"] for row in rows}) == 96 and {row["fold"] for row in rows} == {"1", "2"}
    assert folded.as_json()["judged"]["tracks"] == 96 and "2 folds" in folded.as_text()
    assert (folded.folder / "teachers" / "repeat1-fold2.harken").exists() and (folded.folder / STUDENT).exists()


# ---- teacher and student hear differently


def listening(name, clip):
    table = {"title": name, "kind": "net", "source": "here", "frontend": {"kind": "waveform", "rate": 400, "clip": clip}}
    layers = [{"layer": "flatten"}, {"layer": "dense", "units": "classes", "activation": "softmax"}]
    return recipe_from_table({**table, "training": {"epochs": 2}, "net": layers}, name)


@pytest.fixture
def songs(tmp_path, tone):
    for number in range(8):
        tone(f"songs/low/{number}.wav", seconds=1.0, rate=400, frequency=20 + number)
        tone(f"songs/high/{number}.wav", seconds=1.0, rate=400, frequency=90 + number)
    return tmp_path / "songs"


def test_the_teacher_listens_in_its_own_way(songs, tmp_path, here, monkeypatch):
    shown = []
    monkeypatch.setattr(lessons, "served", lambda *of: shown.append((of, served(*of))) or shown[-1][1])
    distil(songs, listening("whole", 1.0), listening("half", 0.5), seeds=1, out=tmp_path / "out", workers=1)
    (((own, teachers, students), shares),) = shown
    assert len(own) == len(teachers) == len(teachers.tracks) and len(shares) == len(students) == 2 * len(own)
    assert np.array_equal(shares, np.repeat(own, 2, axis=0))
    assert load_model(tmp_path / "out" / STUDENT).input_shape == (200, 1)
    with pytest.raises(HarkenError, match=r"must hear alike .* clip 1\.0, .* clip 0\.5"):
        how = {"lesson": Lesson(augment=1), "seeds": 1, "out": tmp_path / "more"}
        distil(songs, listening("whole", 1.0), listening("half", 0.5), **how)


# ---- a teacher that is a file


def test_a_teacher_that_had_heard_the_test_part_is_said_loudly(data, tmp_path, caplog, here):
    model = tmp_path / "old.harken"
    Classifier(toy("old")).fit(str(data)).save(model)
    found = distil(data, model, GOOD, seeds=1, out=tmp_path / "out", workers=1)
    assert found.known == found.accuracy.n > 0
    assert "the teacher old.harken has learnt from" in caplog.text and "flatter" in found.as_text()
    known = load_model(found.folder / STUDENT).trained_on
    assert load_model(model).trained_on.tracks <= known.tracks


def test_a_teachers_classes_may_stand_in_another_order(data, tmp_path):
    model = trained(data, tmp_path / "one.harken")
    weights = {name: np.ascontiguousarray(values[..., ::-1]) for name, values in model.weights.items()}
    turned = replace(model, classes=model.classes[::-1], weights=weights)
    known = features(*rows_and_labels())
    one, two = (answers_of(each, known, ("jig", "reel"), "numpy", "cpu") for each in (model, turned))
    assert one == pytest.approx(two) and np.ptp(one[:, 0]) > 0.5


def trained(data, path):
    Classifier(toy("old")).fit(str(data)).save(path)
    return load_model(path)


# ---- requests that cannot be


def test_a_teacher_with_other_classes(data, tmp_path):
    x, labels = rows_and_labels()
    other = saved(tmp_path / "other.npz", x, labels, ("polka", "waltz"))
    model = tmp_path / "other.harken"
    Classifier(toy("old")).fit(str(other)).save(model)
    with pytest.raises(ModelError, match=r"knows 'polka', 'waltz', and the data have 'jig', 'reel'"):
        distil(data, model, GOOD, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_teacher_that_reads_other_rows(data, tmp_path):
    x, labels = rows_and_labels()
    wide = saved(tmp_path / "wide.npz", np.concatenate([x, x], axis=1), labels)
    model = tmp_path / "wide.harken"
    Classifier(toy("old", shape=8)).fit(str(wide)).save(model)
    with pytest.raises(ModelError, match=r"reads rows of shape \(8,\), and the data have rows of shape \(4,\)"):
        distil(data, model, GOOD, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": 2.0}, "--soft"),
        ({"soft": True, "temperature": 0.0}, "above 0"),
        ({"soft": True, "temperature": float("nan")}, "above 0"),
        ({"augment": -1}, "0 or more"),
        ({"jitter": 0.1}, "--augment"),
        ({"augment": 1, "jitter": 0.0}, "above 0"),
        ({"augment": 1, "jitter": float("inf")}, "above 0"),
        ({"answers": "guessed"}, "in-sample"),
    ],
)
def test_lessons_that_cannot_be(settings, words):
    with pytest.raises(HarkenError, match=words):
        Lesson(**settings)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"seeds": 0}, "seeds are 0"),
        ({"folds": 1}, "folds are 1"),
        ({"repeats": 0}, "repeats are 0"),
        ({"repeats": 2}, "no folds to deal again"),
        ({"also": ["good"]}, "good"),
        ({"also": [GOOD]}, "named twice"),
        ({"also": [voting()]}, "learns from labels alone"),
        ({"engine": "abacus"}, "abacus"),
        ({"classes": ["jig"]}, "class"),
        ({"lesson": Lesson(augment=1), "also": [toy("good2")], "folds": 40}, "groups"),
    ],
)
def test_distillations_that_cannot_be(data, tmp_path, how, words):
    with pytest.raises(HarkenError, match=words):
        distil(data, voting(), GOOD, out=tmp_path / "out", **how)


def test_a_file_cannot_learn_anew(data, tmp_path):
    trained(data, tmp_path / "one.harken")
    with pytest.raises(HarkenError, match="out of fold a teacher must learn anew"):
        distil(data, tmp_path / "one.harken", GOOD, lesson=Lesson(answers="out-of-fold"), out=tmp_path / "out")


def test_more_neighbours_than_training_rows(data, tmp_path, here):
    with pytest.raises(HarkenError, match="k = 500"):
        distil(data, voting(500), GOOD, out=tmp_path / "out", workers=1)


def test_a_folder_of_something_else_is_left_alone(data, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.txt").write_text("la")
    with pytest.raises(HarkenError, match="holds files, but no distillation"):
        distil(data, voting(), GOOD, out=tmp_path / "mine")


def test_too_little_for_a_test_part(tmp_path):
    x, labels = rows_and_labels(groups=4)
    small = saved(tmp_path / "small.npz", x, labels)
    with pytest.raises(HarkenError, match="no test part"):
        distil(small, voting(), GOOD, out=tmp_path / "out")


# ---- the command


def test_the_command_prints_what_is_written(data, tmp_path, here):
    out = tmp_path / "copy"
    recipe, teacher = tmp_path / "good.toml", tmp_path / "votes.toml"
    recipe.write_text(GOOD.to_toml(), encoding="utf-8")
    teacher.write_text(voting().to_toml(), encoding="utf-8")
    asked = ["distil", str(data), "--teacher", str(teacher), "--recipe", str(recipe), "--seeds", "1", "--out", str(out)]
    result = CliRunner().invoke(harken, [*asked, "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "votes (teacher)" in result.output and "student.harken and teacher.harken, figures.json" in result.output
    again = CliRunner().invoke(harken, [*asked, "--json"])
    assert json.loads(again.stdout) == json.loads((out / RESULT).read_text(encoding="utf-8"))
    table = CliRunner().invoke(harken, [*asked, "--table"])
    assert table.stdout == (out / TABLE).read_text(encoding="utf-8")
    folds = CliRunner().invoke(harken, [*asked[:-1], str(tmp_path / "folds"), "--folds", "2"])
    assert "student.harken and teacher.harken (those of the first fold), figures.json" in folds.output


@pytest.mark.parametrize(
    "wrong", [["--temperature", "0"], ["--augment", "-1"], ["--jitter", "0"], ["--seeds", "0"], ["--folds", "1"]]
)
def test_options_that_cannot_be(data, wrong):
    result = CliRunner().invoke(harken, ["distil", str(data), "--teacher", "knn", "--recipe", "deep-knn", *wrong])
    assert result.exit_code == 2 and "Error" in result.output
