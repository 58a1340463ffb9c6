"""Configuration of the model family; one architecture, configured by frozen dataclasses and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from emotirt.audio.mel import MelConfig
from emotirt.errors import ManifestInvalid

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BlockConfig:
    """A stack of self-attention and convolution feed-forward blocks.

    Attributes:
        hidden: channels C.
        heads: attention heads; divides hidden.
        filter: channels of the convolution feed-forward.
        kernel: its odd kernel size.
        blocks: how many blocks.
        dropout: probability while training.
        norm_eps: added to the variance in every layer norm.
    """

    hidden: int = 256
    heads: int = 4
    filter: int = 384
    kernel: int = 3
    blocks: int = 4
    dropout: float = 0.1
    norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class PredictorConfig:
    """A variance predictor: convolutions with layer norm, then one value a token."""

    filter: int = 192
    kernel: int = 3
    layers: int = 2
    dropout: float = 0.3
    norm_eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class LinearVariances:
    """Units of pitch and energy where they are predicted on a linear scale: (value - mean) / deviation.

    Attributes:
        pitch_mean_hz: of the recordings.
        pitch_deviation_hz: of the recordings.
        energy_mean: of the L2 norm of a frame's magnitudes.
        energy_deviation: of the same.

    Source of the defaults: configuration of the public EmotiVoice checkpoint.
    """

    pitch_mean_hz: float = 225.089
    pitch_deviation_hz: float = 53.78
    energy_mean: float = 30.610
    energy_deviation: float = 21.78


@dataclass(frozen=True, slots=True)
class AcousticConfig:
    """Text encoder and decoder.

    Attributes:
        symbols: phoneme symbols in id order.
        speaker_dim: length of the speaker vector.
        emotion_dim: length of the emotion (or style) vector.
        content_dim: length of the sentence's content vector, 0 for none.
        n_mels: mel channels of the output.
        encoder: text blocks.
        decoder: frame blocks; same hidden size as the encoder.
        duration: duration predictor.
        pitch: pitch predictor.
        energy: energy predictor.
        variance_embed_kernel: kernel of the convolutions that embed pitch and energy.
        upsampling_delta: sharpness of the Gaussian upsampling (1/frames^2, or 1 if scaled).
        upsampling_scaled: measure distance in units of the token's own duration, so that tokens meet at their borders.
        upsampling_offset_frames: where in a frame its distance to the tokens is measured.
        factored_symbols: embed symbols as sums of shared parts; else each has its own row.
        projected_vectors: project speaker and emotion to ``hidden`` before they are merged; else they are merged as
            they are.
        whole_durations: round every duration by itself before speed is applied; else only their running sum is rounded.
        linear_variances: units of pitch and energy if they are linear; None for semitones and decibels.
    """

    symbols: tuple[str, ...] = ()
    speaker_dim: int = 256
    emotion_dim: int = 256
    content_dim: int = 0
    n_mels: int = 80
    encoder: BlockConfig = BlockConfig()
    decoder: BlockConfig = BlockConfig()
    duration: PredictorConfig = PredictorConfig()
    pitch: PredictorConfig = PredictorConfig()
    energy: PredictorConfig = PredictorConfig()
    variance_embed_kernel: int = 3
    upsampling_delta: float = 12.0
    upsampling_scaled: bool = True
    upsampling_offset_frames: float = 0.5
    factored_symbols: bool = True
    projected_vectors: bool = True
    whole_durations: bool = False
    linear_variances: LinearVariances | None = None


@dataclass(frozen=True, slots=True)
class VocoderConfig:
    """HiFi-GAN generator (Kong et al. 2020, arXiv 2010.05646, V1 shape).

    Attributes:
        n_mels: input channels.
        channels: channels before the first upsampling, halved at each.
        upsample_rates: their product is the hop.
        upsample_kernels: kernel of each transposed convolution.
        resblock_kernels: one parallel residual block a kernel.
        resblock_dilations: dilations in each residual block.
    """

    n_mels: int = 80
    channels: int = 256
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernels: tuple[int, ...] = (16, 16, 4, 4)
    resblock_kernels: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[int, ...] = (1, 3, 5)


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """Reference encoder: a mel of 3-10 s to a speaker and an emotion vector.

    Attributes:
        n_mels: input channels.
        channels: width of the convolutions.
        blocks: residual dilated blocks.
        speaker_dim: length of the speaker vector.
        emotion_dim: length of the emotion vector.
    """

    n_mels: int = 80
    channels: int = 192
    blocks: int = 4
    speaker_dim: int = 256
    emotion_dim: int = 256


@dataclass(frozen=True, slots=True)
class PromptConfig:
    """Prompt encoder (BERT, Devlin et al. 2018, arXiv 1810.04805): words to a style or content vector.

    Attributes:
        vocabulary: word pieces.
        max_tokens: longest text in word pieces.
        hidden: channels, and the length of the vector.
        heads: attention heads; divides hidden.
        filter: channels of the feed-forward.
        blocks: how many blocks.
        norm_eps: added to the variance in every layer norm.
    """

    vocabulary: int = 13_685
    max_tokens: int = 512
    hidden: int = 768
    heads: int = 12
    filter: int = 3072
    blocks: int = 12
    norm_eps: float = 1e-12


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that fixes the shape of the networks; a network whose section is None is absent."""

    mel: MelConfig = field(default_factory=MelConfig)
    acoustic: AcousticConfig = AcousticConfig()
    vocoder: VocoderConfig = VocoderConfig()
    reference: ReferenceConfig | None = ReferenceConfig()
    prompt: PromptConfig | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain dicts for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelConfig:
        """Build from nested dicts.

        Raises: ManifestInvalid: an unknown key, naming the valid ones, or a section that is no table.
        """
        acoustic = dict(_section(data, "acoustic", "acoustic"))
        for name in ("encoder", "decoder"):
            acoustic[name] = _build(BlockConfig, _section(acoustic, name, f"acoustic.{name}"), f"acoustic.{name}")
        for name in ("duration", "pitch", "energy"):
            acoustic[name] = _build(PredictorConfig, _section(acoustic, name, f"acoustic.{name}"), f"acoustic.{name}")
        acoustic["linear_variances"] = _optional(LinearVariances, acoustic, "linear_variances", None)
        unknown = sorted(set(data) - {item.name for item in fields(cls)})
        if unknown:
            raise ManifestInvalid(
                f"model config has unknown sections {unknown}; known: mel, acoustic, vocoder, reference, prompt"
            )
        return cls(
            mel=_build(MelConfig, _section(data, "mel", "mel"), "mel"),
            acoustic=_build(AcousticConfig, acoustic, "acoustic"),
            vocoder=_build(VocoderConfig, _section(data, "vocoder", "vocoder"), "vocoder"),
            reference=_optional(ReferenceConfig, data, "reference", ReferenceConfig()),
            prompt=_optional(PromptConfig, data, "prompt", None),
        )


def _section(data: Mapping[str, Any], key: str, section: str) -> Mapping[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, Mapping):
        raise ManifestInvalid(f"model config section {section!r} is {value!r}; give its keys and values")
    return value


def _optional(kind: type[T], data: Mapping[str, Any], section: str, default: T | None) -> T | None:
    if section not in data:
        return default
    return None if data[section] is None else _build(kind, _section(data, section, section), section)


def _build(kind: type[T], data: Mapping[str, Any], section: str) -> T:
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # every kind is a dataclass
    unknown = sorted(set(data) - known)
    if unknown:
        raise ManifestInvalid(f"model config section {section!r} has unknown keys {unknown}; known: {sorted(known)}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})
