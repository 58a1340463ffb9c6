"""A public EmotiVoice model, read or random, as a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from torch import Tensor, nn

from emotirt.build.emotivoice import PublicModel, full_size_config
from emotirt.build.parity import CASES, ShapeCase
from emotirt.build.recipe import Built, Description, build_bundle
from emotirt.bundle.manifest import EMOTIVOICE_FRONTEND, NEUTRAL, EmotionEntry, VoiceEntry
from emotirt.bundle.store import VOICE_TABLE
from emotirt.models.acoustic import MEAN_LOG_MEL
from emotirt.models.checkpoint import Networks, build_networks
from emotirt.models.config import ModelConfig
from emotirt.models.vocoder import Generator
from emotirt.text.emotivoice_symbols import expected_symbols, rare_symbols
from emotirt.types import FloatArray

LANGUAGES = ("zh", "en")
ANY_LANGUAGE = "mul"
"""Code of ISO 639-2 for several languages: every public voice speaks both, and the list does not tell its own."""
EMOTIONS = {
    NEUTRAL: ("普通", ("normal", "中性", "平静")),
    "happy": ("开心", ("joyful", "高兴", "快乐")),
    "sad": ("悲伤", ("sorrowful", "难过", "伤心")),
    "angry": ("生气", ("anger", "愤怒")),
    "fearful": ("恐惧", ("afraid", "害怕")),
    "disgusted": ("厌恶", ("disgust",)),
    "surprised": ("惊讶", ("surprise", "吃惊")),
}
"""Name to the prompt that stands for it, one of the public list of emotions, and further names."""
LICENCE = "as published with the EmotiVoice checkpoint (NetEase Youdao); its user agreement applies"
ATTRIBUTION = ("EmotiVoice (NetEase Youdao)", "SimBERT, PyTorch port by WangZeJun")

SYMBOL_COUNT = 502
SPEAKER_COUNT = 2014
FRAMES_PER_TOKEN = 5
"""15 s of the public model's speech come from 187 tokens (docs/experiments.md)."""
LOUDNESS = 0.1
"""Root mean square of random audio: neither silent nor clipping."""


def build_public_bundle(
    directory: Path, model: PublicModel, name: str, commit: str = "unknown", cases: tuple[ShapeCase, ...] = CASES
) -> Built:
    """Write a public model as a bundle, its weights exactly as they are.

    Args:
        directory: where; an existing bundle is replaced.
        model: read or random.
        name: of the bundle.
        commit: of the code that builds.
        cases: shapes of the comparison of graphs and networks.

    Raises: as ``build.recipe.build_bundle``.
    """
    description = Description(
        name=name,
        languages=LANGUAGES,
        voices=tuple(VoiceEntry(speaker, ANY_LANGUAGE, attribution=ATTRIBUTION[0]) for speaker in model.speakers),
        emotions=tuple(
            EmotionEntry(emotion, (prompt, *aliases), not model.is_random, f"the prompt {prompt}")
            for emotion, (prompt, aliases) in EMOTIONS.items()
        ),
        default_voice=dict.fromkeys(LANGUAGES, next(iter(model.speakers))),
        licence="none: random weights" if model.is_random else LICENCE,
        attribution=() if model.is_random else ATTRIBUTION,
        frontend=EMOTIVOICE_FRONTEND,
        unit_vectors=False,
        random_weights=model.is_random,
    )
    vectors = {VOICE_TABLE: np.stack(list(model.speakers.values())), **_emotion_vectors(model)}
    tokenizer = model.tokenizer.to_str().encode()
    return build_bundle(directory, model.networks, vectors, description, commit, cases, tokenizer, half=False)


def published_config() -> ModelConfig:
    """Return the published sizes, with symbols that hold everything the front end writes."""
    fillers = (f"unused{index}" for index in range(SYMBOL_COUNT))
    symbols = dict.fromkeys((*expected_symbols(), *rare_symbols(), *fillers))
    return full_size_config(tuple(symbols)[:SYMBOL_COUNT])


def random_public_model(config: ModelConfig, seed: int = 0, speaker_count: int = SPEAKER_COUNT) -> PublicModel:
    """Make a model with random weights, for benchmarks: its speech is noise.

    Every token lasts ``FRAMES_PER_TOKEN`` frames and the audio has the level of speech, so that work and memory are as
    with trained weights.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        networks = build_networks(config)
        predictor = networks.acoustic.text_encoder.duration_predictor.out
        predictor.weight.zero_()
        predictor.bias.fill_(float(np.log1p(FRAMES_PER_TOKEN)))
        _level(networks)
        table = torch.randn(speaker_count, config.acoustic.speaker_dim).numpy()
    speakers: dict[str, FloatArray] = {f"random-{index:04}": row for index, row in enumerate(table, start=1)}
    return PublicModel(networks, speakers, _random_tokenizer(networks), is_random=True)


def _emotion_vectors(model: PublicModel) -> dict[str, FloatArray]:
    assert model.networks.prompt is not None
    vectors = {}
    for name, (prompt, _) in EMOTIONS.items():
        ids = torch.tensor([model.tokenizer.encode(prompt).ids])
        with torch.no_grad():
            vectors[f"emotion/{name}"] = model.networks.prompt(ids, torch.ones(ids.shape))[0].numpy()
    return vectors


def _level(networks: Networks) -> None:
    """Draw the vocoder's weights so that nothing fades or grows on its way, and set the level of its audio."""
    vocoder = networks.vocoder
    assert isinstance(vocoder, Generator)  # as the public configuration says
    for module in vocoder.modules():
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            fan_in = module.weight[0].numel() / module.stride[0]
            module.weight = torch.randn_like(module.weight) / fan_in**0.5
    mel = MEAN_LOG_MEL + torch.randn(1, networks.config.vocoder.n_mels, 64)
    outputs: list[Tensor] = []
    last = vocoder.last
    handle = last.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    vocoder(mel)
    handle.remove()
    gain = LOUDNESS / float(outputs[0].square().mean().sqrt())
    assert isinstance(last, nn.Conv1d)
    last.weight = last.weight * gain


def _random_tokenizer(networks: Networks) -> Tokenizer:
    """Return a tokenizer of the published vocabulary's size: special pieces, ASCII and hanzi."""
    assert networks.config.prompt is not None
    count = networks.config.prompt.vocabulary
    ascii_pieces = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    letters = [f"##{piece}" for piece in ascii_pieces if piece.isalnum()]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ascii_pieces, *letters]
    pieces += [chr(0x4E00 + index) for index in range(count - len(pieces))]
    made = BertWordPieceTokenizer({piece: index for index, piece in enumerate(pieces)})
    return Tokenizer.from_str(made.to_str())
