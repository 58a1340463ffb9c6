"""The tensors of the public EmotiVoice model under our names."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from emotirt.errors import ImportFailed
from emotirt.models.acoustic import AcousticModel
from emotirt.models.prompt import PromptEncoder
from emotirt.models.vocoder import Generator

logger = logging.getLogger(__name__)

SPEAKER_TABLE = "am.spk_tokenizer.weight"
SYMBOL_TABLE = "am.src_word_emb.weight"
_PARALLEL = "module."
_TRAINING_ONLY = (
    "am.alignment_module.",
    "pitch_clf.",
    "speed_clf.",
    "energy_clf.",
    "emotion_clf.",
    "style_embed_proj.",
)
"""Public networks that take part in training and not in speech."""
_GAIN, _DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"
_WEIGHT_NORM = {".weight_g": _GAIN, ".weight_v": _DIRECTION}
"""Before PyTorch 2.0 weight normalization named its two tensors otherwise."""

_STACK = (
    (r"\.stack\.position_scale$", r".embed.0.alpha"),
    (r"\.stack\.blocks\.(\d+)\.attention\.(query|key|value|out)\.", r".encoders.\1.self_attn.linear_\2."),
    (r"\.stack\.blocks\.(\d+)\.feed_forward\.expand\.", r".encoders.\1.feed_forward.w_1."),
    (r"\.stack\.blocks\.(\d+)\.feed_forward\.contract\.", r".encoders.\1.feed_forward.w_2."),
    (r"\.stack\.blocks\.(\d+)\.norm_attention\.", r".encoders.\1.norm1."),
    (r"\.stack\.blocks\.(\d+)\.norm_feed_forward\.", r".encoders.\1.norm2."),
    (r"\.stack\.norm\.", r".after_norm."),
    (r"self_attn\.linear_query\.", r"self_attn.linear_q."),
    (r"self_attn\.linear_key\.", r"self_attn.linear_k."),
    (r"self_attn\.linear_value\.", r"self_attn.linear_v."),
)
_ACOUSTIC = (
    (r"^text_encoder\.embedding\.own\.", r"am.src_word_emb."),
    (r"^text_encoder\.merge\.", r"am.embed_projection1."),
    (r"^text_encoder\.(duration|pitch|energy)_predictor\.convs\.(\d+)\.", r"am.\1_predictor.conv.\2.0."),
    (r"^text_encoder\.(duration|pitch|energy)_predictor\.norms\.(\d+)\.", r"am.\1_predictor.conv.\2.2."),
    (r"^text_encoder\.(duration|pitch|energy)_predictor\.out\.", r"am.\1_predictor.linear."),
    (r"^text_encoder\.(pitch|energy)_embed\.", r"am.\1_embed.0."),
    (r"^decoder\.to_mel\.", r"am.to_mel."),
    *_STACK,
    (r"^text_encoder\.", r"am.encoder."),
    (r"^decoder\.", r"am.decoder."),
)
_PROMPT = (
    (r"^pieces\.", r"bert.embeddings.word_embeddings."),
    (r"^positions\.", r"bert.embeddings.position_embeddings."),
    (r"^first_segment$", r"bert.embeddings.token_type_embeddings.weight"),
    (r"^norm\.", r"bert.embeddings.LayerNorm."),
    (r"^pooler\.", r"bert.pooler.dense."),
    (r"^blocks\.(\d+)\.attention\.out\.", r"bert.encoder.layer.\1.attention.output.dense."),
    (r"^blocks\.(\d+)\.attention\.", r"bert.encoder.layer.\1.attention.self."),
    (r"^blocks\.(\d+)\.norm_attention\.", r"bert.encoder.layer.\1.attention.output.LayerNorm."),
    (r"^blocks\.(\d+)\.expand\.", r"bert.encoder.layer.\1.intermediate.dense."),
    (r"^blocks\.(\d+)\.contract\.", r"bert.encoder.layer.\1.output.dense."),
    (r"^blocks\.(\d+)\.norm_feed_forward\.", r"bert.encoder.layer.\1.output.LayerNorm."),
)


def generator_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a generator checkpoint with one spelling of weight normalization."""
    tensors = {}
    for name, tensor in state.items():
        ending = next((ending for ending in _WEIGHT_NORM if name.endswith(ending)), None)
        tensors[name if ending is None else name.removesuffix(ending) + _WEIGHT_NORM[ending]] = tensor
    return tensors


def style_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a style encoder checkpoint without the prefix that parallel training leaves.

    The segment table keeps its first row only: a prompt has one segment.
    """
    tensors = {name.removeprefix(_PARALLEL): tensor for name, tensor in state.items()}
    segments = "bert.embeddings.token_type_embeddings.weight"
    if segments in tensors and tensors[segments].ndim == 2:
        tensors[segments] = tensors[segments][0]
    return tensors


def load_generator(acoustic: AcousticModel, vocoder: Generator, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill the networks from ``generator_tensors``.

    Raises: ImportFailed: a tensor is missing, has another shape than the configuration says, or is not finite.
    """
    branch_count = sum(1 for _ in vocoder.branches[0].children())
    names = {own: _renamed(own, _ACOUSTIC) for own in acoustic.state_dict()}
    _fill(acoustic, names, tensors, source)
    spoken = {own: _vocoder_name(own, branch_count) for own in vocoder.state_dict()}
    _fill(vocoder, spoken, tensors, source)
    _warn_of_extra(set(tensors) - {*names.values(), *spoken.values(), SPEAKER_TABLE}, source)


def load_prompt_encoder(prompt: PromptEncoder, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill the prompt encoder from ``style_tensors``; raises as ``load_generator``."""
    names = {own: _renamed(own, _PROMPT) for own in prompt.state_dict()}
    _fill(prompt, names, tensors, source)
    _warn_of_extra(set(tensors) - set(names.values()), source)


def table(tensors: Mapping[str, Tensor], name: str, source: str) -> Tensor:
    """Return a table [rows, channels] in float32.

    Raises: ImportFailed: missing, not a table, or not finite.
    """
    if name not in tensors or tensors[name].ndim != 2:
        raise ImportFailed(f"{source} lacks the table {name!r}; it is no generator of EmotiVoice")
    return _finite(tensors[name], name, source)


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _vocoder_name(own: str, branch_count: int) -> str:
    match = re.fullmatch(r"branches\.(\d+)\.(\d+)\.(dilated|plain)\.(.*)", own)
    if match:
        block = int(match[1]) * branch_count + int(match[2])
        return f"generator.resblocks.{block}.{'convs1' if match[3] == 'dilated' else 'convs2'}.{match[4]}"
    rules = (
        (r"^first\.", "generator.conv_pre."),
        (r"^last\.", "generator.conv_post."),
        (r"^ups\w+\.", "generator.ups."),
    )
    return _renamed(own, rules)


def _fill(module: nn.Module, names: Mapping[str, str], tensors: Mapping[str, Tensor], source: str) -> None:
    own = module.state_dict()
    missing = [name for name in names.values() if name not in tensors]
    if missing:
        raise ImportFailed(
            f"{source} lacks {len(missing)} of its tensors: {', '.join(missing[:4])}; "
            "it is another file, or its configuration says more layers than it has"
        )
    filled = {}
    for key, name in names.items():
        found, expected = tensors[name], own[key]
        if found.shape != expected.shape and not found.numel() == expected.numel() == 1:
            raise ImportFailed(
                f"{source}: {name} has shape {tuple(found.shape)}, its configuration says {tuple(expected.shape)}; "
                "give the configuration that it was trained with"
            )
        filled[key] = _finite(found, name, source).reshape(expected.shape)
    module.load_state_dict(filled)


def _finite(tensor: Tensor, name: str, source: str) -> Tensor:
    if not bool(torch.isfinite(tensor).all()):
        raise ImportFailed(f"{source}: {name} holds values that are not finite; the checkpoint is damaged")
    return tensor.float()


def _warn_of_extra(names: set[str], source: str) -> None:
    extra = sorted(name for name in names if not name.startswith(_TRAINING_ONLY))
    if extra:
        more = f" and {len(extra) - 4} more" if len(extra) > 4 else ""
        logger.warning("%s holds tensors that speech does not need: %s%s", source, ", ".join(extra[:4]), more)
