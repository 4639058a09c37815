"""The raw-waveform lesson: a fully connected net against a convolutional one, and what order means to each.

The published lesson tells classical music from rock in three seconds at 400 Hz, 1,200 samples, with a multilayer perceptron and
with one-dimensional convolutions. It claims that shuffling the 1,200 samples, in the same way for all clips, changes nothing
for the perceptron and everything for the convolutions. This page shows it on sounds made here: a bass and a fiddle, which is
the louder one more often than not. What the perceptron hears is mostly the loudness, which no shuffling changes; what the
convolutions hear beyond that is the shape of the waves, which shuffling destroys. Run it:  python examples/wave_lesson.py
"""

import sys

import numpy as np

from harken import Arrays, Classifier

RATE, SECONDS = 400, 3  # Hz, s
SAMPLES = RATE * SECONDS
PITCHES = [(20, 70), (90, 180)]  # Hz, of the bass and of the fiddle


def melody(rng, lowest, highest):
    """Return a clip of four notes of random pitches (Hz) and phases, each swelling and dying away, shape (1200,)."""
    t = np.arange(SAMPLES // 4) / RATE
    tones = np.sin(2 * np.pi * (rng.uniform(lowest, highest, (4, 1)) * t + rng.uniform(0, 1, (4, 1))))
    return (tones * np.hanning(len(t))).ravel()


def clips(count, seed):
    """Return as many clips of each instrument, from a random place on; the fiddle is louder, but not always."""
    rng = np.random.default_rng(seed)
    labels = np.arange(2 * count) % 2
    x = np.stack([np.roll(melody(rng, *PITCHES[label]), rng.integers(SAMPLES)) for label in labels])
    x *= (0.1 * np.exp(labels + rng.normal(0, 0.5, len(x))) / x.std(axis=1))[:, None]
    return Arrays(x.astype(np.float32), labels, ("bass", "fiddle"))


def shuffled(arrays, order):
    """Return the same clips with their 1,200 samples in another order."""
    return Arrays(arrays.x[:, order], arrays.labels, arrays.classes)


def main(count=400, epochs=10):
    """Train both nets on both orders and return the four clip accuracies."""
    train, test = clips(count, seed=1), clips(200, seed=2)
    order = np.random.default_rng(3).permutation(SAMPLES)
    figures = {}
    for recipe in ("wave-mlp", "wave-conv"):
        for how, change in (("in order", lambda a: a), ("shuffled", lambda a: shuffled(a, order))):
            model = Classifier(recipe=recipe, seed=0, epochs=epochs).fit(change(train))
            figures[recipe, how] = model.score(change(test))
            print(f"{recipe:<10} samples {how}: clip accuracy {figures[recipe, how]:.2f}")
    return figures


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
