"""What mel-res was chosen by: variants of the recipe, judged on validation parts alone.

    python benchmarks/mel_res.py DATA --group artist [--seeds 1,2,3] [--engine torch] [--variants …]

For each seed the data are divided by groups into a training part and a validation part; nothing is kept for testing, as tests
belong to ``harken crossval``. Printed are the track accuracy and the log-loss of the last epoch, the clip accuracy, and the
seconds of the processor that a training took.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from harken.augment import NOTHING, Augment
from harken.datasets import read
from harken.engines import build
from harken.learn.batches import class_probabilities_of
from harken.learn.recipe import learn
from harken.parts import hear_parts, parts_of
from harken.recipes import NetRecipe, load_recipe
from harken.store import Features

STRONG = Augment(mixup=0.3, time_mask=0.2, time_masks=2, frequency_mask=0.15, frequency_masks=2, gain=6.0)


def variants() -> dict[str, NetRecipe]:
    """Return what was tried, by name."""
    recipe = load_recipe("mel-res")
    assert isinstance(recipe, NetRecipe)
    longer = recipe.with_frontend(replace(recipe.frontend, clip=6.0, hop_length=1024, n_fft=2048))  # type: ignore[call-arg]
    return {
        "as it is": recipe,
        "no augmentation": replace(recipe, augment=NOTHING),
        "stronger masks and mixup, no tilt": replace(recipe, augment=STRONG),
        "the same, 20 epochs": replace(recipe, augment=STRONG).replace(epochs=20),
        "the same, 6-s clips at half the frames": replace(longer, augment=STRONG),
        "20 epochs": recipe.replace(epochs=20),
    }


def judged(found: Any, valid: Features) -> tuple[float, float, float]:
    """Return track accuracy, log-loss of tracks and clip accuracy of the last epoch's model."""
    net = build(found.last.net, found.last.recipe.training, weights=found.last.weights, engine="numpy")
    clips = class_probabilities_of(net, valid)
    tracks = np.unique(valid.track)
    means = np.stack([clips[valid.track == track].mean(axis=0) for track in tracks])
    truth = valid.tracks.labels[tracks]
    loss = -np.log(np.maximum(means[np.arange(len(truth)), truth], 1e-6)).mean()
    return float((means.argmax(axis=1) == truth).mean()), float(loss), float((clips.argmax(axis=1) == valid.labels).mean())


def line(name: str, seed: str, figures: tuple[float, ...]) -> str:
    """Return one line of the table."""
    track, loss, clip, seconds = figures
    return f"{name:40}  {seed:>4}  {track:.3f}  {loss:8.3f}  {clip:.3f}  {seconds:7.1f}"


def main() -> None:
    """Try the variants that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--group")
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--variants", help="names, separated by ;")
    asked = parser.parse_args()
    known = variants()
    dataset = read(asked.data, group=asked.group)
    print(f"{'variant':40}  seed  track  log-loss  clip   seconds")
    for name in asked.variants.split(";") if asked.variants else known:
        recipe = known[name]
        heard = hear_parts(dataset.name, dataset.parts, recipe.frontend)
        figures = []
        for seed in map(int, asked.seeds.split(",")):
            parts = parts_of(heard, seed=seed, test=False)
            assert parts.valid is not None
            began = time.process_time()
            learnt = learn(recipe, parts.train, parts.valid, seed=seed, engine_name=asked.engine, device="cpu")
            seconds = time.process_time() - began
            figures.append((*judged(learnt, parts.valid), seconds))
            print(
                f"{name:40}  {seed:4d}  {figures[-1][0]:.3f}  {figures[-1][1]:8.3f}  {figures[-1][2]:.3f}  {seconds:7.1f}",
                flush=True,
            )
        mean = np.mean(figures, axis=0)
        print(f"{name:40}  mean  {mean[0]:.3f}  {mean[1]:8.3f}  {mean[2]:.3f}  {mean[3]:7.1f}", flush=True)


if __name__ == "__main__":
    main()
