"""The speaking stages of a bundle in PyTorch on one device; between them only the durations' sum reaches the host."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emotirt.bundle.contract import DECODER, TEXT_ENCODER, VOCODER, stage_contract
from emotirt.bundle.store import Bundle
from emotirt.runtime.runner import Array, check_feeds
from emotirt.runtime.torch_device import TorchSettings, open_torch_stage

_FULL_SCALE = 32767.0


class TorchSpeech:
    """Text encoder, decoder and vocoder as one call."""

    def __init__(self, bundle: Bundle, settings: TorchSettings) -> None:
        """Load the stages; raises as ``torch_device.open_torch_stage``."""
        self._inputs = stage_contract(TEXT_ENCODER, bundle.manifest.dimensions).inputs
        self._device = settings.device
        self.stages = {stage: open_torch_stage(bundle, stage, settings) for stage in (TEXT_ENCODER, DECODER, VOCODER)}

    def pcm(self, feeds: Mapping[str, Array]) -> list[NDArray[np.int16]]:
        """Speak a batch.

        Args: feeds: of the text encoder.
        Returns: for each row int16 [samples], in host memory.
        Raises: BackendError: feeds that do not fit, or PyTorch failed.
        """
        check_feeds(TEXT_ENCODER, self._inputs, feeds)
        tensors = [torch.from_numpy(feeds[spec.name]).to(self._device) for spec in self._inputs]
        lengths = tensors[1]
        hidden, durations = self.stages[TEXT_ENCODER](*tensors)
        frames = [max(1, int(count)) for count in durations.sum(1).tolist()]
        steps = torch.arange(max(frames), device=self._device)
        mask = (steps < torch.tensor(frames, device=self._device).unsqueeze(1)).float()
        mel = self.stages[DECODER](hidden, durations, lengths, mask)[0]
        if len(set(frames)) == 1:
            return list(self._samples(mel).cpu().numpy())
        return [self._samples(mel[row : row + 1, :count]).cpu().numpy()[0] for row, count in enumerate(frames)]

    def _samples(self, mel: Tensor) -> Tensor:
        """Vocode [B, F, n_mels] of full rows, since the vocoder has no mask; int16 [B, samples]."""
        wave = self.stages[VOCODER](mel.transpose(1, 2).contiguous())[0]
        return (wave.clamp(-1.0, 1.0) * _FULL_SCALE).to(torch.int16)
