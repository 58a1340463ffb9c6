"""The default bundle's voices and emotions: whose recordings they are, what they are called, and their vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from emotirt.build.recipe import Description
from emotirt.bundle.manifest import EmotionEntry, ProsodyEntry, VoiceEntry
from emotirt.models.acoustic import AcousticModel
from emotirt.models.reference import ReferenceEncoder
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import DEFAULT_TABLE
from emotirt.training.features import DeviceData, TokenTargets
from emotirt.training.vectors import (
    ACTED_CORPUS,
    NEUTRAL,
    acted_shifts,
    emotion_vectors,
    mean_vectors,
    model_shift,
    remaining_prosody,
)
from emotirt.types import FloatArray

SPEAKERS = {
    "kathleen_f": VoiceEntry(
        "kathleen",
        "en",
        "female",
        "American English, calm, reads prompts",
        "dataset-voice-kathleen (rhasspy)",
        "CC0-1.0",
    ),
    "lj_f": VoiceEntry("linda", "en", "female", "American English, reads books", "LJ Speech 1.1", "public domain"),
    "so_7001_m_26": VoiceEntry(
        "ming", "en", "male", "English with a Mandarin accent, careful", "speechocean762", "CC BY 4.0"
    ),
    "ai_S0150": VoiceEntry("lan", "zh", "female", "Mandarin, even, reads news", "AISHELL-1 sample", "Apache-2.0"),
    "ai_S0252": VoiceEntry("jun", "zh", "male", "Mandarin, even, reads news", "AISHELL-1 sample", "Apache-2.0"),
    "yuetan_f": VoiceEntry("yue", "zh", "female", "Mandarin, clear, single words", "Yue Tan, audio-cmn", "CC BY-SA"),
}
"""Speaker of the corpora to the voice made from their recordings."""
ACTED = {
    "happy": ("happy", ("joyful", "开心", "高兴", "快乐")),
    "sad": ("sad", ("sorrowful", "悲伤", "难过", "伤心")),
    "angry": ("angry", ("anger", "生气", "愤怒")),
    "fearful": ("fearful", ("afraid", "恐惧", "害怕")),
    "disgust": ("disgusted", ("disgust", "厌恶")),
    "bored": ("bored", ("boredom", "无聊")),
}
"""Label in the acted corpus to the name and aliases in the bundle."""
NEUTRAL_ALIASES = ("normal", "中性", "普通", "平静")
PRESETS = {
    "surprised": (("惊讶", "吃惊"), ProsodyEntry(1.05, 3.0, 1.6, 1.5)),
    "excited": (("兴奋", "激动"), ProsodyEntry(1.12, 2.0, 1.5, 2.5)),
}
"""Emotions that no recording here holds: prosody chosen by us."""
SENTENCES = (
    "The train leaves in five minutes, and we are still at home.",
    "She asked him whether the letter had arrived.",
    "今天下午我们一起去公园散步。",
    "他说明天会有一个重要的会议。",
)
ATTRIBUTION = (
    "dataset-voice-kathleen (rhasspy), CC0-1.0",
    "LJ Speech 1.1 (Keith Ito, Linda Johnson), public domain",
    "speechocean762 (Zhang et al. 2021), CC BY 4.0",
    "AISHELL-1 sample (Beijing Shell Shell Technology), Apache-2.0",
    "audio-cmn words (Yue Tan) and syllables (Chen Wang), CC BY-SA",
    "EMO-DB (Burkhardt et al. 2005), CC0-1.0 as re-released by audEERING",
    "LibriSpeech (Panayotov et al. 2015), CC BY 4.0",
)


def neutral_vector(data: DeviceData, reference: ReferenceEncoder) -> FloatArray:
    """Average the emotion vectors of the offered voices' own, unacted recordings; unit norm."""
    total = np.sum([mean_vectors(data, reference, [(speaker, NEUTRAL)])[1] for speaker in SPEAKERS], axis=0)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def bundle_vectors(data: DeviceData, reference: ReferenceEncoder) -> dict[str, FloatArray]:
    """Make every vector of the bundle.

    An emotion is the neutral vector moved as acting moves the actors' own neutral, so that what names the acted
    recordings' room does not come along.
    """
    vectors = {
        f"voice/{voice.name}": mean_vectors(data, reference, [(speaker, NEUTRAL)])[0]
        for speaker, voice in SPEAKERS.items()
    }
    neutral = neutral_vector(data, reference)
    acted = emotion_vectors(data, reference, [NEUTRAL, *ACTED])
    vectors[f"emotion/{NEUTRAL}"] = neutral
    for label, (name, _) in ACTED.items():
        moved = neutral + acted[label] - acted[NEUTRAL]
        vectors[f"emotion/{name}"] = np.asarray(moved / np.linalg.norm(moved), dtype=np.float32)
    return vectors | {f"emotion/{name}": neutral for name in PRESETS}


def emotion_entries(
    data: DeviceData, targets: TokenTargets, acoustic: AcousticModel, vectors: Mapping[str, FloatArray]
) -> tuple[EmotionEntry, ...]:
    """Describe the emotions; acted ones get the prosody that their vector alone does not bring about."""
    frontend = Frontend()
    readings = [frontend.symbols(text) for text in SENTENCES]
    sentences = [(symbols, torch.from_numpy(DEFAULT_TABLE.ids_from_symbols(symbols))) for symbols in readings]
    voices = [vectors[f"voice/{voice.name}"] for voice in SPEAKERS.values()]
    wanted = acted_shifts(data, targets)
    entries = [EmotionEntry(NEUTRAL, NEUTRAL_ALIASES, True, "the voice's own way of speaking")]
    for label, (name, aliases) in ACTED.items():
        made = model_shift(acoustic, sentences, voices, vectors[f"emotion/{NEUTRAL}"], vectors[f"emotion/{name}"])
        unlevelled = replace(wanted[label], energy_db=0.0)  # the actors' levels were made alike in recording
        prosody = remaining_prosody(unlevelled, made)
        entry = ProsodyEntry(**{key: round(value, 3) for key, value in asdict(prosody).items()})
        entries.append(EmotionEntry(name, aliases, True, f"learned from acted German speech ({ACTED_CORPUS})", entry))
    entries += [
        EmotionEntry(name, aliases, False, "a prosody preset, not learned", prosody)
        for name, (aliases, prosody) in PRESETS.items()
    ]
    return tuple(entries)


def write_default_description(
    folder: Path, data: DeviceData, targets: TokenTargets, acoustic: AcousticModel, reference: ReferenceEncoder
) -> None:
    """Write ``vectors.npz`` and ``description.json`` as ``emotirt build`` takes them."""
    vectors = bundle_vectors(data, reference)
    description = Description(
        name="default",
        languages=("en", "zh"),
        voices=tuple(SPEAKERS.values()),
        emotions=emotion_entries(data, targets, acoustic, vectors),
        default_voice={"en": "kathleen", "zh": "lan"},
        licence="CC BY-SA 4.0",
        attribution=ATTRIBUTION,
    )
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "vectors.npz", **vectors)  # type: ignore[arg-type]  # names are free
    text = json.dumps(asdict(description), ensure_ascii=False, indent=1)
    (folder / "description.json").write_text(text + "\n", encoding="utf-8")
