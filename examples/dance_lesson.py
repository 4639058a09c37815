"""The dance lesson: preprocessing and training apart, and a model of one's own from layers.

The published system first writes mel spectrograms and labels to a file of arrays, and trains on that file, once with a network
written from scratch and once with Keras. This page does the first half of it: a few tunes are synthesised, ``harken.export``
writes ``X_train, y_train, X_test, y_test, labels``, and a net put together here learns from the arrays on the NumPy engine,
whose every line can be read. Run it:  python examples/dance_lesson.py
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from harken import Sequential
from harken.datasets.demo import synthesise
from harken.export import export_features
from harken.frontends import Mel
from harken.nets.layers import BatchNorm, Conv2D, Dense, Dropout, GlobalAveragePool, MaxPool
from harken.recipes.training import Adam

LAYERS = [
    BatchNorm(),
    Conv2D(filters=12, kernel=(32, 3), activation="relu"),  # all bands at once: what sounds together
    MaxPool(size=(1, 2)),
    Conv2D(filters=24, kernel=(1, 16), activation="relu"),  # along time: in which rhythm
    BatchNorm(),
    GlobalAveragePool(),
    Dropout(rate=0.2),
    Dense(units=32, activation="relu"),
    Dense(units=5, activation="softmax"),
]


def main(epochs=15, tunes=8):
    """Write the arrays, train on them, and return the clip accuracy on tunes that the net has not heard."""
    hear = Mel(rate=11025, clip=5.0, n_mels=32, n_fft=512, hop_length=256)
    with tempfile.TemporaryDirectory() as folder:
        demo = synthesise(Path(folder, "dances"), tunes=tunes, unheard=0, seconds=15)
        export_features(demo.train, Path(folder, "dances.npz"), frontend=hear)
        with np.load(Path(folder, "dances.npz")) as arrays:
            x, y, x_test, y_test = (arrays[name] for name in ("X_train", "y_train", "X_test", "y_test"))
            names = arrays["labels"]
        print(f"{len(x)} clips of shape {x.shape[1:]} to learn from, {len(x_test)} to be judged by; {', '.join(names)}")
        model = Sequential(LAYERS, x.shape[1:], seed=0)
        print(model.summary())
        model.compile(loss="cross_entropy", optimizer=Adam(learning_rate=2e-3))
        for row in model.fit(x, y, epochs=epochs, batch=32, validation=(x_test, y_test)):
            print(f"epoch {row.epoch:2d}  loss {row.loss:.3f}  clip accuracy {row.clip_accuracy:.2f}")
        loss, accuracy = model.evaluate(x_test, y_test)
        print(f"tunes that it has not heard: clip accuracy {accuracy:.2f} (chance 0.20), loss {loss:.2f}")
        model.save(Path(folder, "own.harken"))
        again = Sequential.load(Path(folder, "own.harken"))
        assert np.array_equal(again.predict(x_test), model.predict(x_test))
    return accuracy


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
