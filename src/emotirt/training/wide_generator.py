"""The vocoder's generator as training runs it: its convolutions as flat two-dimensional ones, channels last.

Half-precision tensor cores want the channels innermost. PyTorch keeps that layout for two-dimensional convolutions
only; in the other one every convolution is surrounded by copies. The weights are the generator's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from emotirt.models.vocoder import LAST_LEAKY_SLOPE, LEAKY_SLOPE, Generator, ResidualBlock


def generate_channels_last(generator: Generator, mel: Tensor) -> Tensor:
    """Do what ``generator(mel)`` does, in another memory layout.

    Args:
        generator: with or without weight norm.
        mel: float32 [B, n_mels, T].

    Returns: wav float32 [B, hop * T] in [-1, 1].
    """
    x = mel.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    x = _convolved(generator.first, x)
    for upsampler, branches in zip(generator.upsamplers, generator.branches, strict=True):
        x = _upsampled(upsampler, functional.leaky_relu(x, LEAKY_SLOPE))
        outputs = [_branch(branch, x) for branch in branches.children()]  # type: ignore[arg-type]  # residual blocks
        x = sum(outputs[1:], outputs[0]) / len(outputs)
    x = _convolved(generator.last, functional.leaky_relu(x, LAST_LEAKY_SLOPE))
    return torch.tanh(x).flatten(1)


def _branch(block: ResidualBlock, x: Tensor) -> Tensor:
    for dilated, plain in zip(block.dilated, block.plain, strict=True):
        y = _convolved(dilated, functional.leaky_relu(x, LEAKY_SLOPE))
        x = x + _convolved(plain, functional.leaky_relu(y, LEAKY_SLOPE))
    return x


def _convolved(conv: Any, x: Tensor) -> Tensor:
    weight = conv.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    return functional.conv2d(x, weight, conv.bias, padding=(0, conv.padding[0]), dilation=(1, conv.dilation[0]))


def _upsampled(up: Any, x: Tensor) -> Tensor:
    weight = up.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    return functional.conv_transpose2d(x, weight, up.bias, stride=(1, up.stride[0]), padding=(0, up.padding[0]))
