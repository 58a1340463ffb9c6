"""The sizes of a public EmotiVoice model, from its configuration files, as ours."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from emotirt.audio.mel import MelConfig
from emotirt.bundle.manifest import first_problem
from emotirt.errors import ImportFailed
from emotirt.models.config import (
    AcousticConfig,
    BlockConfig,
    LinearVariances,
    ModelConfig,
    PredictorConfig,
    PromptConfig,
    VocoderConfig,
)

NORM_EPS = 1e-12
UPSAMPLING_DELTA = 0.1
FILTER_RATIO = 4
ENERGY_LAYERS, ENERGY_KERNEL = 2, 3
"""Numbers that the public code fixes and its configuration does not hold."""
_LENIENT = ConfigDict(extra="ignore", strict=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, config=_LENIENT)
class PublicNetworks:
    """Section ``model`` of ``config/joint/config.yaml``, as far as it shapes what speaks."""

    bert_embedding: int
    encoder_n_layers: int
    encoder_n_heads: int
    encoder_n_hidden: int
    encoder_kernel_size_conv_mod: int
    decoder_n_layers: int
    decoder_n_heads: int
    decoder_n_hidden: int
    decoder_kernel_size_conv_mod: int
    variance_n_hidden: int
    variance_n_layers: int
    variance_kernel_size: int
    variance_embed_kernel_size: int
    duration_n_layers: int
    duration_kernel_size: int
    resblock: str
    initial_channel: int
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    upsample_initial_channel: int
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, config=_LENIENT)
class PublicConfig:
    """``config/joint/config.yaml``; names are the public ones."""

    sr: int
    n_fft: int
    hop_length: int
    win_length: int
    fmin: float
    n_mels: int
    model: PublicNetworks
    fmax: float | None = None


@dataclass(frozen=True, slots=True, config=_LENIENT)
class PublicBert:
    """``config.json`` of a Hugging Face BERT folder."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    hidden_act: str = "gelu"
    layer_norm_eps: float = NORM_EPS


def public_config(data: dict[str, Any], path: Path) -> PublicConfig:
    """Check the generator's configuration.

    Raises: ImportFailed: names the key that is missing, of another type, or of a value that cannot be.
    """
    config = _parsed(PublicConfig, data, f"configuration {str(path)!r}")
    for problem in _problems(config):
        raise ImportFailed(f"configuration {str(path)!r}: {problem}")
    return config


def prompt_config(data: dict[str, Any], path: Path) -> PromptConfig:
    """Check a BERT folder's configuration; raises as ``public_config``."""
    bert = _parsed(PublicBert, data, f"BERT configuration {str(path)!r}")
    if bert.hidden_act != "gelu":
        raise ImportFailed(f"BERT configuration {str(path)!r}: hidden_act is {bert.hidden_act!r}; only 'gelu' is known")
    if bert.num_attention_heads < 1 or bert.hidden_size % bert.num_attention_heads:
        raise ImportFailed(
            f"BERT configuration {str(path)!r}: {bert.num_attention_heads} heads do not divide {bert.hidden_size}"
        )
    return PromptConfig(
        bert.vocab_size,
        bert.max_position_embeddings,
        bert.hidden_size,
        bert.num_attention_heads,
        bert.intermediate_size,
        bert.num_hidden_layers,
        bert.layer_norm_eps,
    )


def model_config(public: PublicConfig, prompt: PromptConfig, symbols: tuple[str, ...], speaker_dim: int) -> ModelConfig:
    """Put our configuration together."""
    networks = public.model
    return ModelConfig(
        mel=MelConfig(
            public.sr,
            public.n_mels,
            public.n_fft,
            public.hop_length,
            public.win_length,
            public.fmin,
            public.sr / 2 if public.fmax is None else public.fmax,
        ),
        acoustic=AcousticConfig(
            symbols=symbols,
            speaker_dim=speaker_dim,
            emotion_dim=networks.bert_embedding,
            content_dim=networks.bert_embedding,
            n_mels=public.n_mels,
            encoder=_block(
                networks.encoder_n_hidden,
                networks.encoder_n_heads,
                networks.encoder_kernel_size_conv_mod,
                networks.encoder_n_layers,
            ),
            decoder=_block(
                networks.decoder_n_hidden,
                networks.decoder_n_heads,
                networks.decoder_kernel_size_conv_mod,
                networks.decoder_n_layers,
            ),
            duration=_predictor(networks, networks.duration_kernel_size, networks.duration_n_layers),
            pitch=_predictor(networks, networks.variance_kernel_size, networks.variance_n_layers),
            energy=_predictor(networks, ENERGY_KERNEL, ENERGY_LAYERS),
            variance_embed_kernel=networks.variance_embed_kernel_size,
            upsampling_delta=UPSAMPLING_DELTA,
            upsampling_scaled=False,
            upsampling_offset_frames=0.0,
            factored_symbols=False,
            projected_vectors=False,
            whole_durations=True,
            linear_variances=LinearVariances(),
        ),
        vocoder=VocoderConfig(
            public.n_mels,
            networks.upsample_initial_channel,
            networks.upsample_rates,
            networks.upsample_kernel_sizes,
            networks.resblock_kernel_sizes,
            networks.resblock_dilation_sizes[0],
        ),
        reference=None,
        prompt=prompt,
    )


def _block(hidden: int, heads: int, kernel: int, blocks: int) -> BlockConfig:
    return BlockConfig(hidden, heads, FILTER_RATIO * hidden, kernel, blocks, norm_eps=NORM_EPS)


def _predictor(networks: PublicNetworks, kernel: int, layers: int) -> PredictorConfig:
    return PredictorConfig(networks.variance_n_hidden, kernel, layers, norm_eps=NORM_EPS)


def _parsed(kind: type[T], data: dict[str, Any], what: str) -> T:
    try:
        return TypeAdapter(kind).validate_json(json.dumps(data, default=str))
    except ValidationError as exc:
        raise ImportFailed(f"{what}: {first_problem(exc, kind)}; give the file that this checkpoint came with") from exc


def _problems(config: PublicConfig) -> list[str]:
    networks = config.model
    dilations = networks.resblock_dilation_sizes
    upsampled = math.prod(networks.upsample_rates)
    checks = (
        (networks.resblock == "1", f"resblock is {networks.resblock!r}; only '1' is known"),
        (
            networks.encoder_n_hidden == networks.decoder_n_hidden,
            f"encoder_n_hidden {networks.encoder_n_hidden} and decoder_n_hidden {networks.decoder_n_hidden} differ",
        ),
        (
            min(networks.encoder_n_heads, networks.decoder_n_heads) >= 1
            and networks.encoder_n_hidden % networks.encoder_n_heads == 0
            and networks.decoder_n_hidden % networks.decoder_n_heads == 0,
            f"encoder_n_heads or decoder_n_heads does not divide {networks.encoder_n_hidden} channels",
        ),
        (upsampled == config.hop_length, f"upsample_rates multiply to {upsampled}, hop_length is {config.hop_length}"),
        (
            networks.initial_channel == config.n_mels,
            f"initial_channel {networks.initial_channel} and n_mels {config.n_mels} differ",
        ),
        (
            len(networks.upsample_rates) == len(networks.upsample_kernel_sizes),
            "upsample_rates and upsample_kernel_sizes have different lengths",
        ),
        (
            len(dilations) == len(networks.resblock_kernel_sizes) and len(set(dilations)) == 1,
            f"resblock_dilation_sizes {dilations} must be the same for each of resblock_kernel_sizes",
        ),
    )
    return [problem for fine, problem in checks if not fine]
