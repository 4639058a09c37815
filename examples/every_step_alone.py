"""Every step alone: from a file's samples to a trained network, with nothing hidden between.

For whoever wants one part of Harken inside a program of their own: audio, frontends, nets and the NumPy engine each work on
plain arrays. Run it:  python examples/every_step_alone.py
"""

import tempfile
from pathlib import Path

import numpy as np
import soundfile

from harken.audio import audio_info, load_audio
from harken.engines.numpy import EngineNet
from harken.frontends import Mel
from harken.nets import Net
from harken.nets.layers import BatchNorm, Conv2D, Dense, GlobalAveragePool
from harken.recipes.training import Adam


def write_sound(path, steady, rng):
    """Write two seconds of a tone that stays (steady) or trembles, at 44.1 kHz in stereo."""
    t = np.arange(2 * 44_100) / 44_100
    pitch = rng.uniform(300, 900)
    tremble = 1 if steady else 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(4, 8) * t)
    sound = 0.3 * tremble * np.sin(2 * np.pi * pitch * t)
    soundfile.write(path, np.stack([sound, 0.5 * sound], axis=1), 44_100)


def main(files=40):
    """Hear the files, train a small network by hand, and return the share of right answers on the second half."""
    rng = np.random.default_rng(0)
    mel = Mel(rate=16_000, clip=2.0, n_mels=24, n_fft=1024, hop_length=512, scale="db", range_db=20.0)
    heard, labels = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(files):
            path = Path(folder, f"{number}.wav")
            write_sound(path, steady=number % 2 == 0, rng=rng)
            samples, rate = load_audio(path, mel.rate)  # mono float32 in [-1, 1], resampled
            heard.append(mel(samples))  # (24, 63, 1): mel bands, frames, one channel; in decibels
            labels.append(number % 2)
        print(f"{path.name}: {audio_info(path).duration:g} s, heard at {rate} Hz as {heard[0].shape}")
    x = np.stack(heard)  # (files, 24, 63, 1)
    targets = np.eye(2, dtype=np.float32)[labels]

    layers = [
        BatchNorm(),  # decibels to numbers around 0
        Conv2D(filters=8, kernel=(1, 9), activation="relu"),  # along time, the same in every band: whatever the pitch
        GlobalAveragePool(),
        Dense(units=2, activation="softmax"),
    ]
    net = Net(layers, x.shape[1:])
    print(net.table())
    own = EngineNet(net, loss="cross_entropy", optimizer=Adam(learning_rate=0.01), seed=0)
    half = files // 2
    for step in range(120):
        loss, _ = own.train_step(x[:half], targets[:half])
        if step % 30 == 0:
            print(f"step {step:3d}: loss {loss:.3f}")
    right = own.forward(x[half:]).argmax(axis=1) == targets[half:].argmax(axis=1)
    print(f"right on {right.mean():.0%} of sounds that it has not heard")
    return float(right.mean())


if __name__ == "__main__":
    main()
