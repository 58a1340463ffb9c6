"""The graph contract: names, types and shapes at the boundary of every stage.

Dynamic axes are named ``batch``, ``tokens``, ``frames`` and ``samples``; the rest is fixed by the dimensions of the
bundle. Build checks its graphs against this and serving feeds them by it.
"""

from __future__ import annotations

from dataclasses import dataclass

from emotirt.types import TensorSpec

REFERENCE_ENCODER = "reference_encoder"
PROMPT_ENCODER = "prompt_encoder"
TEXT_ENCODER = "text_encoder"
DECODER = "decoder"
VOCODER = "vocoder"
STAGES = (REFERENCE_ENCODER, PROMPT_ENCODER, TEXT_ENCODER, DECODER, VOCODER)
SPEAKING_STAGES = (TEXT_ENCODER, DECODER, VOCODER)
"""Stages that every bundle has; the reference encoder is needed only to clone a voice, the prompt encoder only where
the text encoder takes a content vector or styles are asked for in words."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Fixed sizes that appear in tensor shapes.

    Attributes:
        n_mels: mel channels.
        hidden: channels between text encoder and decoder.
        speaker: length of the speaker vector.
        emotion: length of the emotion vector, which a style prompt gives too.
        content: length of the vector of what a sentence says, 0 where the text encoder takes none.
    """

    n_mels: int
    hidden: int
    speaker: int
    emotion: int
    content: int = 0


@dataclass(frozen=True, slots=True)
class StageContract:
    """Inputs and outputs of one stage, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def stage_contract(stage: str, dims: Dimensions) -> StageContract:
    """Return the contract of a stage.

    Raises: KeyError: not one of ``STAGES``.
    """
    return {
        REFERENCE_ENCODER: _reference_encoder,
        PROMPT_ENCODER: _prompt_encoder,
        TEXT_ENCODER: _text_encoder,
        DECODER: _decoder,
        VOCODER: _vocoder,
    }[stage](dims)


def _float(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "float32", shape)


def _int(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, "int64", shape)


def _reference_encoder(dims: Dimensions) -> StageContract:
    return StageContract(
        (_float("mel", "batch", dims.n_mels, "frames"), _int("frames", "batch")),
        (_float("speaker", "batch", dims.speaker), _float("emotion", "batch", dims.emotion)),
    )


def _prompt_encoder(dims: Dimensions) -> StageContract:
    return StageContract(
        (_int("ids", "batch", "tokens"), _float("mask", "batch", "tokens")),
        (_float("style", "batch", dims.emotion),),
    )


def _text_encoder(dims: Dimensions) -> StageContract:
    return StageContract(
        (
            _int("ids", "batch", "tokens"),
            _int("lengths", "batch"),
            _float("speaker", "batch", dims.speaker),
            _float("emotion", "batch", dims.emotion),
            _float("pitch_shift", "batch"),
            _float("pitch_range", "batch"),
            _float("energy", "batch"),
            _float("speed", "batch"),
            *((_float("content", "batch", dims.content),) if dims.content else ()),
        ),
        (_float("hidden", "batch", "tokens", dims.hidden), _float("durations", "batch", "tokens")),
    )


def _decoder(dims: Dimensions) -> StageContract:
    return StageContract(
        (
            _float("hidden", "batch", "tokens", dims.hidden),
            _float("durations", "batch", "tokens"),
            _int("lengths", "batch"),
            _float("frame_mask", "batch", "frames"),
        ),
        (_float("mel", "batch", "frames", dims.n_mels),),
    )


def _vocoder(dims: Dimensions) -> StageContract:
    return StageContract(
        (_float("mel", "batch", dims.n_mels, "frames"),),
        (_float("wav", "batch", "samples"),),
    )
