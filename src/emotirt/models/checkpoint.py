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
from emotirt.models.reference import ReferenceEncoder
from emotirt.models.vocoder import Generator


@dataclass(frozen=True, slots=True)
class Networks:
    """The trained networks of one bundle."""

    config: ModelConfig
    acoustic: AcousticModel
    reference: ReferenceEncoder
    vocoder: Generator


def build_networks(config: ModelConfig) -> Networks:
    """Make the networks with fresh weights, in evaluation mode."""
    return Networks(
        config,
        AcousticModel(config.acoustic).eval(),
        ReferenceEncoder(config.reference).eval(),
        Generator(config.vocoder).eval(),
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint's dictionary of tensors and plain values.

    Raises: TrainingError: missing, truncated, or holding anything but tensors and plain values.
    """
    try:
        data: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as exc:
        raise TrainingError(f"checkpoint {path} does not exist; train it with 'emotirt train'") from exc
    except Exception as exc:  # torch raises many kinds on a damaged file
        raise TrainingError(
            f"checkpoint {path} cannot be read ({type(exc).__name__}: {exc}); it may be truncated"
        ) from exc
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
            f"weights of {name} do not fit its config: missing {missing[:4]}, extra {extra[:4]}, misshapen {misshapen[:4]}"
        )
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()})


def load_networks(acoustic_path: Path, vocoder_path: Path) -> Networks:
    """Load the acoustic checkpoint (acoustic model and reference encoder) and the vocoder checkpoint.

    Each file holds ``config`` (nested dict) and ``weights`` (module name -> state dict).
    """
    acoustic, vocoder = read_checkpoint(acoustic_path), read_checkpoint(vocoder_path)
    sections = {**acoustic["config"], "vocoder": vocoder["config"]["vocoder"]}
    networks = build_networks(ModelConfig.from_dict(sections))
    load_weights(networks.acoustic, acoustic["weights"]["acoustic"], "acoustic model")
    load_weights(networks.reference, acoustic["weights"]["reference"], "reference encoder")
    load_weights(networks.vocoder, vocoder["weights"]["vocoder"], "vocoder")
    return networks


def half_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a state dict with floating weights in float16, on the CPU."""
    return {
        key: (value.half() if value.is_floating_point() else value).cpu().clone()
        for key, value in module.state_dict().items()
    }
