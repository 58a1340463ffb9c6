"""A small made-up pack on the CPU: tones for vowels, noise for consonants, quiet hum around them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from emotirt.audio.mel import DEFAULT_MEL
from emotirt.text.symbols import DEFAULT_TABLE
from emotirt.training.align import flat_ids, token_means
from emotirt.training.corpus import Clip, load_pack, with_offsets, write_clips
from emotirt.training.features import DeviceData, TokenTargets

RATE_HZ = 16_000
SECONDS = {"M": 0.11, "AA1": 0.22, "S": 0.15, "IY1": 0.19}
EDGE_S = 0.35
CLIPS = 60


@dataclass(frozen=True, slots=True)
class Spoken:
    """A made-up recording: samples, its symbols, and the sample span of each phone by its place in the symbols."""

    samples: np.ndarray
    symbols: tuple[str, ...]
    spans: dict[int, tuple[int, int]]


def voice(seconds: float, *formants_hz: float) -> np.ndarray:
    times_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    harmonics = 120.0 * np.arange(1, 30)
    gains = sum(np.exp(-(((harmonics - formant) / 180.0) ** 2)) for formant in formants_hz) + 0.01
    return np.asarray(0.1 * gains @ np.sin(2 * np.pi * harmonics[:, None] * times_s))


def speak(rng: np.random.Generator) -> Spoken:
    """Say three to five phones in any order between edges of hum."""
    sounds = {
        "M": lambda seconds: 0.5 * voice(seconds, 250.0),
        "AA1": lambda seconds: voice(seconds, 750.0, 1200.0),
        "S": lambda seconds: 0.1 * np.diff(rng.normal(size=int(seconds * RATE_HZ) + 1)),
        "IY1": lambda seconds: voice(seconds, 300.0, 2300.0),
    }
    names = [str(name) for name in rng.choice(list(sounds), int(rng.integers(3, 6)))]
    names = [name for place, name in enumerate(names) if place == 0 or name != names[place - 1]]
    pieces = [sounds[name](SECONDS[name] * float(rng.uniform(0.8, 1.25))) for name in names]
    place, spans = int(EDGE_S * RATE_HZ), {}
    total = (2 * place + sum(map(len, pieces))) // 256 * 256
    samples = 0.02 * np.sin(2 * np.pi * 50.0 * np.arange(total) / RATE_HZ) + rng.normal(0, 2e-4, total)
    for index, piece in enumerate(pieces, 1):
        spans[index] = place, place + len(piece)
        samples[place : place + len(piece)] += piece
        place += len(piece)
    return Spoken(samples.astype(np.float32), ("^", *names, ".", "$"), spans)


@pytest.fixture(scope="session")
def recordings() -> list[Spoken]:
    rng = np.random.default_rng(5)
    return [speak(rng) for _ in range(CLIPS)]


@pytest.fixture(scope="session")
def spoken_folder(tmp_path_factory: pytest.TempPathFactory, recordings: list[Spoken]) -> Path:
    """Write the pack: two speakers, two emotions, the last clips held out, the fundamental known."""
    folder = tmp_path_factory.mktemp("packs") / "spoken"
    clips = [
        Clip(f"made/{i}.wav", "made", f"speaker{i % 2}", "en", ("neutral", "happy")[i // 2 % 2], f"text {i}",
             one.symbols, 0, 1.0, 0, len(one.samples), "train" if i < CLIPS - 8 else "test")
        for i, one in enumerate(recordings)
    ]  # fmt: skip
    write_clips(folder, with_offsets(clips))
    audio = np.round(np.concatenate([one.samples for one in recordings]) * 32767).astype(np.int16)
    audio.tofile(folder / "audio.i16")
    np.savez(folder / "f0.npz", f0_hz=np.full(len(audio) // 256, 120.0, dtype=np.float16))
    return folder


@pytest.fixture(scope="session")
def spoken_data(spoken_folder: Path) -> DeviceData:
    with np.load(spoken_folder / "f0.npz") as stored:
        return DeviceData(load_pack(spoken_folder), stored["f0_hz"], DEFAULT_MEL, torch.device("cpu"))


def true_targets(data: DeviceData, recordings: list[Spoken]) -> TokenTargets:
    """What the recordings were made of: symbols, durations, and means of their contours."""
    durations = []
    for one in recordings:
        places = sorted(one.spans)
        ends = [round(one.spans[1][0] / 256), *(round(one.spans[place][1] / 256) for place in places)]
        durations.append(np.diff([*ends, ends[-1], len(one.samples) // 256], prepend=0))
    flat = np.concatenate(durations).astype(np.int64)
    pitch, energy = (token_means(data, part, flat) for part in (data.pitch, data.energy))
    return TokenTargets(flat_ids(data, DEFAULT_TABLE), flat, pitch, energy)
