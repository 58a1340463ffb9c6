"""Real inputs for every stage of a bundle, made from texts by the bundle itself: for parity and for calibration.

No corpus is needed: the float32 stages turn the sentences below into tokens, mels and audio, with the bundle's voices
and emotions in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.manifest import EMOTIVOICE_FRONTEND
from emotirt.bundle.store import Bundle
from emotirt.errors import BuildError
from emotirt.runtime.open import open_runner
from emotirt.runtime.runner import Array, Runner
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import SymbolTable
from emotirt.types import FloatArray, Utterance

Feeds = Mapping[str, Array]

TEXTS = {
    "en": (
        "Yes.",
        "Good morning, everyone.",
        "The ferry leaves at nine, whatever the weather.",
        "Why would anybody hide a violin under the stairs?",
        "She measured the garden twice, then drew a careful map of every tree.",
        "Thick fog rolled over the valley and swallowed the bridge, the mill and the road.",
        "Stop! That box is full of glass, and the floor is wet.",
        "Judge the soup by its smell, the chef by his shoes, and the house by its quiet.",
        "When the orchestra finally returned from its long journey through the northern islands, the children lined "
        "both sides of the harbour, waved yellow scarves and sang until the last lantern had gone out.",
    ),
    "zh": (
        "好。",
        "早上好，大家请坐。",
        "不管天气怎么样，渡船九点准时出发。",
        "谁会把小提琴藏在楼梯下面呢？",
        "她把院子量了两遍，又仔细画下每一棵树的位置。",
        "浓雾越过山谷，吞没了桥、磨坊和那条小路。",
        "站住！箱子里全是玻璃，地上又湿又滑。",
        "听声音判断风向，看颜色判断火候，闻味道判断酒的年份。",
        "乐团在北方的岛屿间走了整整一个冬天，终于回到港口的时候，孩子们站在码头两旁，挥着黄色的围巾，一直唱到最后一盏灯熄灭。",
    ),
}
"""From the shortest utterance to about the longest, with every kind of sound; written for this purpose."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance on its way through the float32 stages.

    Attributes:
        text: what is said.
        voice: who says it.
        feeds: stage to its inputs, a batch of one.
        outputs: stage to its outputs.
    """

    text: str
    voice: str
    feeds: Mapping[str, Feeds]
    outputs: Mapping[str, Mapping[str, Array]]

    @property
    def tokens(self) -> int:
        """Length in tokens."""
        return int(self.feeds[TEXT_ENCODER]["ids"].shape[1])

    @property
    def frames(self) -> int:
        """Length in mel frames."""
        return int(self.feeds[VOCODER]["mel"].shape[2])


def spoken_utterances(
    bundle: Bundle,
    texts: Mapping[str, Sequence[str]] = TEXTS,
    threads: int = 1,
    runners: Mapping[str, Runner] | None = None,
) -> list[Spoken]:
    """Say texts with every stage of a bundle.

    Args:
        bundle: of either family.
        texts: language to sentences; languages that the bundle lacks are left out.
        threads: of ONNX Runtime, which runs the stages in float32.
        runners: of the stages in place of that; they stay open.

    Returns: the utterances, those of the fewest tokens first: the same order whatever the runners make of them.
    Raises: BuildError: no text in a language of the bundle. BundleError, BackendError: as its stages.
    """
    frontend = _frontend(bundle)
    said = [
        (utterance, language)
        for language, sentences in texts.items()
        if language in bundle.manifest.languages
        for sentence in sentences
        for utterance in frontend.utterances(sentence)
    ]
    if not said:
        raise BuildError(f"no text in {', '.join(bundle.manifest.languages)}; there are some in {', '.join(texts)}")
    opened = {} if runners else {stage: open_runner(bundle, stage, threads=threads) for stage in bundle.manifest.stages}
    try:
        spoken = [
            _said(utterance, *condition, runners or opened, bundle)
            for (utterance, _), condition in zip(said, _conditions(bundle, [item for _, item in said]), strict=True)
        ]
    finally:
        for runner in opened.values():
            runner.close()
    return sorted(spoken, key=lambda item: item.tokens)


def _frontend(bundle: Bundle) -> Frontend:
    table = SymbolTable(bundle.symbols)
    if bundle.manifest.frontend != EMOTIVOICE_FRONTEND:
        return Frontend(table)
    from emotirt.text.emotivoice_reader import EmotiVoiceReader

    return Frontend(table, reader=EmotiVoiceReader(table))


def _conditions(bundle: Bundle, languages: Sequence[str]) -> Iterator[tuple[str, FloatArray, FloatArray]]:
    """Give each utterance a voice, of its language if there is one, and an emotion in turn."""
    vectors = bundle.vectors()
    emotions = list(vectors.emotions.values())
    for index, language in enumerate(languages):
        voices = [name for name, voice in bundle.voices.items() if voice.language == language] or list(bundle.voices)
        name = voices[index % len(voices)]
        yield name, vectors.voices[name], emotions[index % len(emotions)]


def _said(
    utterance: Utterance,
    voice: str,
    speaker: FloatArray,
    emotion: FloatArray,
    runners: Mapping[str, Runner],
    bundle: Bundle,
) -> Spoken:
    ones = np.ones(1, dtype=np.float32)
    lengths = np.array([utterance.token_count], dtype=np.int64)
    feeds: dict[str, dict[str, Array]] = {}
    outputs: dict[str, dict[str, Array]] = {}

    def run(stage: str, inputs: dict[str, Array]) -> dict[str, Array]:
        feeds[stage] = inputs
        outputs[stage] = runners[stage].run(inputs)
        return outputs[stage]

    content = {}
    if PROMPT_ENCODER in runners:
        style = run(PROMPT_ENCODER, _pieces(bundle, utterance.text))["style"]
        content = {"content": style} if bundle.manifest.dimensions.content else {}
    encoded = run(
        TEXT_ENCODER,
        {
            "ids": utterance.ids[None], "lengths": lengths, "speaker": speaker[None], "emotion": emotion[None],
            "pitch_shift": 0.0 * ones, "pitch_range": ones, "energy": 0.0 * ones, "speed": ones, **content,
        },
    )  # fmt: skip
    frames = max(1, int(encoded["durations"].sum()))
    mask = np.ones((1, frames), dtype=np.float32)
    decoded = run(DECODER, {**encoded, "lengths": lengths, "frame_mask": mask})
    mel = np.ascontiguousarray(decoded["mel"].transpose(0, 2, 1))
    run(VOCODER, {"mel": mel})
    if REFERENCE_ENCODER in runners:
        run(REFERENCE_ENCODER, {"mel": mel, "frames": np.array([frames], dtype=np.int64)})
    return Spoken(utterance.text, voice, feeds, outputs)


def _pieces(bundle: Bundle, text: str) -> dict[str, Array]:
    from tokenizers import Tokenizer

    ids = Tokenizer.from_buffer(bundle.tokenizer_bytes()).encode(text).ids
    return {"ids": np.array([ids], dtype=np.int64), "mask": np.ones((1, len(ids)), dtype=np.float32)}
