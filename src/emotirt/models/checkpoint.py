"""Read and write model weights; nothing else of torch's pickling is executed on read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emotirt.errors import TrainingError
from emotirt.models.acoustic import AcousticModel
from emotirt.models.config import ModelConfig
from emotirt.models.prompt import PromptEncoder
from emotirt.models.reference import ReferenceEncoder
from emotirt.models.vocoder import Generator


@dataclass(frozen=True, slots=True)
class Networks:
    """The trained networks of one bundle; what its configuration lacks is None."""

    config: ModelConfig
    acoustic: AcousticModel
    reference: ReferenceEncoder | None
    vocoder: Generator
    prompt: PromptEncoder | None = None


def build_networks(config: ModelConfig) -> Networks:
    """Make the networks with fresh weights, in evaluation mode."""
    return Networks(
        config,
        AcousticModel(config.acoustic).eval(),
        None if config.reference is None else ReferenceEncoder(config.reference).eval(),
        Generator(config.vocoder).eval(),
        None if config.prompt is None else PromptEncoder(config.prompt).eval(),
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary of tensors and plain values.

    Raises: TrainingError: missing, truncated, or holding anything but a dictionary of tensors and plain values.
    """
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as exc:
        raise TrainingError(f"checkpoint {path} does not exist; train it with 'emotirt train'") from exc
    except Exception as exc:  # torch raises many kinds on a damaged file
        detail = " ".join(str(exc).split())
        raise TrainingError(
            f"checkpoint {path} cannot be read ({type(exc).__name__}: {detail}); it may be truncated"
        ) from exc
    if not isinstance(data, dict):
        raise TrainingError(f"checkpoint {path} holds {type(data).__name__}, expected a dict with config and weights")
    return data


def load_weights(module: nn.Module, state: dict[str, torch.Tensor], name: str) -> None:
    """Load a state dict of any float precision.

    Raises: TrainingError: names the missing, extra or misshapen tensors.
    """
    own = module.state_dict()
    missing, extra = sorted(set(own) - set(state)), sorted(set(state) - set(own))
    misshapen = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or extra or misshapen:
        raise TrainingError(
            f"weights of {name} do not fit its config: missing {missing[:4]}, extra {extra[:4]}, "
            f"misshapen {misshapen[:4]}"
        )
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})


def load_networks(acoustic_path: Path, vocoder_path: Path) -> Networks:
    """Load the acoustic checkpoint (acoustic model and reference encoder) and the vocoder checkpoint.

    Each file holds ``config`` (nested dict) and ``weights`` (module name -> state dict).

    Raises:
        TrainingError: a file cannot be read, lacks a part, or its weights do not fit.
        ManifestInvalid: a key of the config is unknown.
    """
    acoustic, vocoder = read_checkpoint(acoustic_path), read_checkpoint(vocoder_path)
    sections = _part(acoustic, acoustic_path, "config")
    vocoder_section = _part(vocoder, vocoder_path, "config", "vocoder")
    networks = build_networks(ModelConfig.from_dict({**sections, "vocoder": vocoder_section}))
    load_weights(networks.acoustic, _part(acoustic, acoustic_path, "weights", "acoustic"), "acoustic model")
    if networks.reference is None:
        raise TrainingError(f"checkpoint {acoustic_path} configures no reference encoder, which training makes")
    load_weights(networks.reference, _part(acoustic, acoustic_path, "weights", "reference"), "reference encoder")
    load_weights(networks.vocoder, _part(vocoder, vocoder_path, "weights", "vocoder"), "vocoder")
    return networks


def _part(checkpoint: dict[str, Any], path: Path, *keys: str) -> dict[str, Any]:
    part: Any = checkpoint
    for key in keys:
        if key not in part:
            raise TrainingError(f"checkpoint {path} lacks {key!r}; it has {sorted(part)}")
        part = part[key]
        if not isinstance(part, dict):
            raise TrainingError(f"checkpoint {path}: {key!r} is {part!r}, expected a dict")
    return part


def half_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a state dict with floating weights in float16, on the CPU."""
    return {
        key: (value.half() if value.is_floating_point() else value).cpu().clone()
        for key, value in module.state_dict().items()
    }
