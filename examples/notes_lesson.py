"""The note lesson: which family of instruments plays a single note, from its first second at 16 kHz.

The published systems learn the ten families of NSynth from the samples alone; here three kinds of tone are made on the spot and
written as WAV files in class folders, so that the page shows the whole way: files, Classifier, a timeline, the saved model.
Pitches in the test are not those in training. Run it:  python examples/notes_lesson.py
"""

import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
import soundfile

from harken import Classifier, Tracks

RATE = 16_000  # Hz
TAKES = 5  # recordings of each note
OVERTONES = {
    "flute": [1, 0.2, 0.05],
    "reed": [1, 0, 0.75, 0, 0.5, 0, 0.14, 0, 0.5],
    "string": [1, 0.7, 0.6, 0.5, 0.4, 0.4, 0.3, 0.3, 0.2],
}


def tone(family, pitch, rng):
    """Return one second of a note, shape (16000,); ``pitch`` is a MIDI number."""
    t = np.arange(RATE) / RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    parts = [
        level * np.exp(rng.normal(0, 0.3)) * np.sin(2 * np.pi * frequency * (k + 1) * t + rng.uniform(0, 2 * np.pi))
        for k, level in enumerate(OVERTONES[family])
        if frequency * (k + 1) < RATE / 2
    ]
    attack = np.minimum(1, t / (0.02 if family != "string" else 0.15))
    return rng.uniform(0.05, 0.3) * attack * np.sum(parts, axis=0) + 1e-3 * rng.standard_normal(RATE)


def write_notes(folder, pitches, rng):
    """Write each family's notes into its class folder and return the tracks, grouped by pitch."""
    paths, labels, groups = [], [], []
    for family in OVERTONES:
        Path(folder, family).mkdir(parents=True)
        for pitch, take in product(pitches, range(TAKES)):
            path = Path(folder, family, f"{pitch}-{take}.wav")
            soundfile.write(path, tone(family, pitch, rng), RATE)
            paths.append(str(path))
            labels.append(family)
            groups.append(f"{family} {pitch}")
    return Tracks.from_files(paths, labels, groups)


def main(epochs=12):
    """Train on three pitches of four, judge on the others, and return the track accuracy."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        train = write_notes(Path(folder, "train"), [pitch for pitch in range(56, 80) if pitch % 4], rng)
        test = write_notes(Path(folder, "test"), range(56, 80, 4), rng)
        model = Classifier(recipe="note-cnn", seed=0, epochs=epochs).fit(train)
        accuracy = model.score(test)
        print(f"note-cnn on pitches that it has not heard: track accuracy {accuracy:.2f} (chance 0.33)")
        model.save(Path(folder, "notes.harken"))
        again = Classifier.load(Path(folder, "notes.harken"))
        for track, label in zip(list(test)[::15], again.predict([track.path for track in list(test)[::15]]), strict=True):
            print(f"  {track.label} {Path(track.path).stem} is heard as {label}")
    return accuracy


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
