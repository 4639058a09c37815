"""Sequential: a net on arrays with the five verbs that everybody knows, for who wants to learn how a network works.

The layers are those that recipes name (:mod:`harken.nets.layers`), and the arithmetic is an engine's: with ``engine="numpy"``
every line of it can be read, in ``harken/engines/numpy/layers``.

Examples
--------
A net that learns whether two numbers have different signs, which no straight line tells apart:

>>> import numpy as np
>>> from harken import Sequential
>>> from harken.nets.layers import Dense
>>> from harken.recipes.training import Adam
>>> x = np.random.default_rng(0).uniform(-1, 1, (400, 2)).astype(np.float32)
>>> y = (x[:, 0] * x[:, 1] < 0).astype(int)
>>> model = Sequential([Dense(units=16, activation="relu"), Dense(units=2, activation="softmax")], input_shape=(2,))
>>> print(model.summary())
layer    output shape  parameters
---------------------------------
input    (2,)                   0
0_dense  (16,)                 48
1_dense  (2,)                  34
---------------------------------
total: 82 parameters
>>> model.compile(loss="cross_entropy", optimizer=Adam(learning_rate=0.02))
>>> history = model.fit(x[:300], y[:300], epochs=40, batch=20, validation=(x[300:], y[300:]))
>>> history[-1].valid_clip_accuracy > 0.95
True
>>> model.predict([[0.5, -0.5], [0.5, 0.5]]).argmax(axis=1)
array([1, 0])
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from harken.archive import Model, load_model, save_model
from harken.engines import EngineNet, build
from harken.engines.base import Weights
from harken.errors import DataError, HarkenError, ModelError, NetError
from harken.frontends import Arrays as ArraysFrontend
from harken.learn import ArrayRows, Epoch, Part, fit, judge, outputs_of, targets
from harken.learn.standard import fit_standardise
from harken.nets import Layer, Net
from harken.progress import Progress, silent
from harken.recipes import SGD, Adam, NetRecipe, Training
from harken.recipes.training import Loss

Array = npt.NDArray[np.float32]

BATCH = 64
"""Examples that are answered at once."""


class Sequential:
    """Layers one after another, trained on arrays.

    Parameters
    ----------
    layers : sequence of Layer
        Of :mod:`harken.nets.layers`.
    input_shape : sequence of int
        Of one example, channels last.
    seed : int
        Of the initial weights, the order of the examples, and the dropout.
    engine : str
        What does the arithmetic: ``"numpy"``, ``"torch"`` or ``"keras"``.
    device : str
        What the engine works on: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Raises
    ------
    NetError
        The layers do not fit together; the message shows the layer table up to the fault.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Sequence[int],
        *,
        seed: int = 0,
        engine: str = "numpy",
        device: str = "auto",
    ) -> None:
        self.net = Net(layers, input_shape)
        self.seed = seed
        self.engine = engine
        self.device = device
        self.training = Training()
        self._built: EngineNet | None = None
        self._epochs = 0
        self._standard_known = False

    def summary(self) -> str:
        """Return the layer table: layer, output shape, parameters."""
        return self.net.table()

    def compile(
        self,
        loss: Loss = "cross_entropy",
        optimizer: SGD | Adam | str | None = None,
        *,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ) -> None:
        """Choose what is minimised and how, and begin with fresh weights.

        Parameters
        ----------
        loss : str
            ``"cross_entropy"``, ``"mean_squared_error"`` or ``"binary_cross_entropy"``.
        optimizer : SGD, Adam or AdamW, or "sgd", "adam" or "adamw"
            Default: Adam with a rate of 0.001.
        clip_value, clip_norm : float, optional
            Bounds of each gradient value, and of the norm of all together.
        """
        if isinstance(optimizer, str):
            optimizer = Training.from_table({"optimizer": optimizer}, "compile").optimizer
        chosen = Adam() if optimizer is None else optimizer
        self.training = Training(loss=loss, optimizer=chosen, clip_value=clip_value, clip_norm=clip_norm)
        self._built = build(self.net, self.training, engine=self.engine, seed=self.seed, device=self.device)
        self._epochs = 0
        self._standard_known = False

    def fit(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        epochs: int = 10,
        batch: int = 32,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        weights: npt.ArrayLike | None = None,
        progress: Progress = silent,
    ) -> tuple[Epoch, ...]:
        r"""Learn from examples; a second call goes on from the weights of the first, and shows the examples in new orders.

        A layer ``standardise`` is fitted to the examples of the first call, and then stays as it is; so it does where weights
        were loaded before.

        Parameters
        ----------
        x : array, shape (examples, \*input_shape)
        y : array, shape (examples,) of class numbers, or (examples, outputs)
            Rows may be one-hot or soft.
        epochs, batch : int
        validation : (x, y), optional
            Judged after each epoch.
        weights : array, shape (examples,), optional
            How much each example counts.
        progress : Progress
            Of the stage ``"training"``.

        Returns
        -------
        tuple of Epoch
            Loss and clip accuracy (a clip is an example here) of each epoch. The weights afterwards are the last epoch's.

        Raises
        ------
        DataError
            There are no examples, or they do not fit the net or each other.
        """
        training = Training(**{**vars(self.training), "epochs": epochs, "batch": batch})
        valid = None if validation is None else self._part(*validation)
        shown = self._part(x, y, weights)
        if not self._standard_known:
            fit_standardise(self._ready, shown.examples)
            self._standard_known = True
        result = fit(self._ready, shown, valid, training, seed=self.seed, epochs_before=self._epochs, progress=progress)
        self._epochs += len(result.history)
        return result.history

    def predict(self, x: npt.ArrayLike, *, batch: int = BATCH) -> Array:
        """Return the outputs for examples, shape (examples, outputs)."""
        return outputs_of(self._ready, ArrayRows(self._examples(x)), batch)

    def evaluate(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[float, float]:
        """Return the loss, without L2, and the share of right answers on examples."""
        return judge(self._ready, self._part(x, y), BATCH)

    def weights(self) -> Weights:
        """Return a copy of all weights by name, in the canonical layout (:mod:`harken.nets`)."""
        return self._ready.weights()

    def load_weights(self, weights: Mapping[str, npt.NDArray[np.floating]]) -> None:
        """Take over all weights; raises :class:`harken.errors.NetError` where some do not fit."""
        self._ready.load_weights(weights)
        self._standard_known = True

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.harken`` file, which ``harken info`` and :meth:`load` read.

        Raises
        ------
        NetError
            The net is no classifier: it does not end in a dense layer with softmax, or one sigmoid unit.
        """
        ready = self._ready
        classes = max(2, self.net.output_shape[0])
        try:
            recipe = NetRecipe(
                name="sequential",
                title="A net on arrays",
                frontend=ArraysFrontend(shape=self.net.input_shape),
                training=self.training,
                net=self.net.layers,
                parameters_classes=classes,
            )
        except NetError as error:
            last = self.net.layers[-1]
            raise NetError(
                f"this net cannot be saved as a model: it ends in {last.kind} ({getattr(last, 'activation', last.kind)}) with "
                f"the output shape {self.net.output_shape}. A .harken file keeps classifiers: nets that end in a dense layer "
                "with softmax, or in one sigmoid unit for two classes. Keep its weights with numpy.savez(path, "
                "**net.weights()), and take them back with load_weights"
            ) from error
        names = tuple(str(number) for number in range(classes))
        weights = {name: np.asarray(values, dtype=np.float32) for name, values in ready.weights().items()}
        record = {"seed": self.seed, "engine": self.engine, "device": ready.device, "epochs": self._epochs}
        save_model(path, Model(recipe, names, weights, self.net.input_shape, record))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, engine: str = "numpy", device: str = "auto") -> Self:
        """Read what :meth:`save` wrote, or any model that was trained on arrays.

        Raises
        ------
        ModelError
            The file is damaged or foreign, or the model hears audio (then it is :class:`harken.Classifier`'s).
        """
        model = load_model(path)
        if model.recipe.frontend.kind != ArraysFrontend.kind:
            raise ModelError(f"{path} hears audio ({model.recipe.frontend.kind}), and no arrays; use harken.Classifier.load")
        if not isinstance(model.recipe, NetRecipe):
            raise ModelError(f"{path} holds no net (kind = {model.recipe.kind!r}); use harken.Classifier.load")
        seed = int(model.record.get("seed", 0))
        loaded = cls(model.net.layers, model.input_shape, seed=seed, engine=engine, device=device)
        loaded.training = model.recipe.training
        loaded._epochs = int(model.record.get("epochs", 0))
        loaded._standard_known = True
        loaded._built = build(loaded.net, loaded.training, engine=engine, seed=seed, weights=model.weights, device=device)
        return loaded

    @property
    def _ready(self) -> EngineNet:
        if self._built is None:
            raise HarkenError("this net has no weights yet; call compile first")
        return self._built

    def _examples(self, x: npt.ArrayLike) -> Array:
        rows = np.asarray(x, dtype=np.float32)
        if rows.ndim == 0 or rows.shape[1:] != self.net.input_shape:
            shape = ", ".join(map(str, self.net.input_shape))
            raise DataError(f"an array of shape {rows.shape}, but the net reads (examples, {shape})")
        return rows

    def _part(self, x: npt.ArrayLike, y: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Part:
        rows, wanted = self._examples(x), np.asarray(y)
        if not len(rows):
            raise DataError(f"there are no examples: x has the shape {rows.shape}; give one or more")
        if wanted.ndim == 1:
            wanted = targets(wanted, self.net, max(2, self.net.output_shape[0]))
        if wanted.shape != (len(rows), *self.net.output_shape):
            raise DataError(
                f"{len(rows)} examples with answers of shape {wanted.shape}; expected a class number for each, or "
                f"{(len(rows), *self.net.output_shape)}"
            )
        counts = None if weights is None else np.asarray(weights, dtype=np.float32)
        return Part(ArrayRows(rows), wanted.astype(np.float32), counts)
