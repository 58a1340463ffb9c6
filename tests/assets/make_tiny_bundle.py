"""Make a tiny but real bundle: the real networks with random weights in small sizes, really exported.

Its speech is noise of a sensible length; everything else about it is as in a trained bundle. Tests make it afresh in
each session, so that it always matches the code: ``python -m tests.assets.make_tiny_bundle DIRECTORY`` makes one too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emotirt.build.parity import ShapeCase
from emotirt.build.recipe import Built, Description, build_bundle
from emotirt.bundle.contract import PROMPT_ENCODER, STAGES
from emotirt.bundle.manifest import EmotionEntry, ProsodyEntry, VoiceEntry
from emotirt.models.checkpoint import Networks, build_networks
from emotirt.models.config import (
    AcousticConfig,
    BlockConfig,
    ModelConfig,
    PredictorConfig,
    ReferenceConfig,
    VocoderConfig,
)
from emotirt.text.symbols import DEFAULT_TABLE

TINY_STAGES = tuple(stage for stage in STAGES if stage != PROMPT_ENCODER)
SEED = 7
FRAMES_PER_TOKEN = 5.0
RESIDUAL_GAIN = 1.5
LAST_GAIN = 0.005
"""Gains at which audio peaks near half of full scale and depends on every frame that the vocoder sees."""

DESCRIPTION = Description(
    name="tiny",
    languages=("en", "zh"),
    voices=(
        VoiceEntry("ada", "en", "female", "random", "nobody", "CC0-1.0"),
        VoiceEntry("bo", "en", "male", "random", "nobody", "CC0-1.0"),
        VoiceEntry("chen", "zh", "female", "random", "nobody", "CC0-1.0"),
    ),
    emotions=(
        EmotionEntry("neutral", ("中性", "普通")),
        EmotionEntry("happy", ("joyful", "高兴", "开心"), True, "random", ProsodyEntry(1.1, 2.0, 1.3, 2.0)),
        EmotionEntry("sad", ("悲伤", "难过"), True, "random", ProsodyEntry(0.9, -1.5, 0.8, -3.0)),
    ),
    default_voice={"en": "ada", "zh": "chen"},
    licence="CC0-1.0",
)


def tiny_config() -> ModelConfig:
    """Return the smallest sizes that still have every part."""
    block = BlockConfig(hidden=16, heads=2, filter=24, kernel=3, blocks=1)
    predictor = PredictorConfig(filter=16, kernel=3, layers=2)
    return ModelConfig(
        acoustic=AcousticConfig(
            symbols=DEFAULT_TABLE.symbols,
            encoder=block,
            decoder=block,
            duration=predictor,
            pitch=predictor,
            energy=predictor,
        ),
        vocoder=VocoderConfig(channels=16),
        reference=ReferenceConfig(channels=8, blocks=1),
    )


def tiny_networks() -> Networks:
    """Return seeded random networks whose durations and loudness are sensible."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED)
        networks = build_networks(tiny_config())
        networks.acoustic.text_encoder.duration_predictor.out.bias.fill_(float(np.log1p(FRAMES_PER_TOKEN)))
        for name, module in networks.vocoder.named_modules():
            if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
                gain = LAST_GAIN if name == "last" else RESIDUAL_GAIN if name.startswith("branches") else 1.0
                fan_in = module.weight[0].numel() / module.stride[0]
                module.weight = torch.randn_like(module.weight) * gain / fan_in**0.5
    return networks


def tiny_vectors() -> dict[str, np.ndarray]:
    """Return seeded random unit vectors for every voice and emotion."""
    rng = np.random.default_rng(SEED)
    names = [f"voice/{item.name}" for item in DESCRIPTION.voices] + [
        f"emotion/{item.name}" for item in DESCRIPTION.emotions
    ]
    drawn = rng.standard_normal((len(names), 256))
    return dict(zip(names, (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32), strict=True))


def make_tiny_bundle(directory: Path) -> Built:
    """Write the bundle."""
    cases = (ShapeCase("min", 1, 1, 1), ShapeCase("batch", 2, 20, 90))
    return build_bundle(directory, tiny_networks(), tiny_vectors(), DESCRIPTION, "tests", cases)


if __name__ == "__main__":
    made = make_tiny_bundle(Path(sys.argv[1]))
    sys.stdout.write(f"{made.bundle.path}: {made.bundle.size_bytes} bytes, {made.bundle.digest}\n")
