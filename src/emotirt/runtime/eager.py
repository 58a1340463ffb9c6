"""Runners on PyTorch: the reference that exported graphs are compared with. Not on the serving path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import numpy_helper
from torch import nn

from emotirt.bundle.contract import DECODER, PROMPT_ENCODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER, stage_contract
from emotirt.bundle.store import Bundle
from emotirt.errors import BackendError
from emotirt.models.acoustic import Decoder, TextEncoder
from emotirt.models.config import ModelConfig
from emotirt.models.prompt import PromptEncoder
from emotirt.models.reference import ReferenceEncoder
from emotirt.models.vocoder import build_vocoder, without_weight_norm
from emotirt.runtime.runner import Array, check_feeds
from emotirt.types import TensorSpec

TRANSPOSED = ".transposed"
"""Suffix of an initializer that holds a linear layer's weight transposed, as ONNX MatMul takes it."""
HALF = ".half"
"""Suffix of an initializer that is stored in float16 and cast to float32 by a node."""
_TABLE = "embedding.table"
_TABLE_SHAPED = "embedding.own.weight"


T = TypeVar("T")


class EagerRunner:
    """A stage as a PyTorch module on the CPU."""

    def __init__(
        self, stage: str, module: nn.Module, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...]
    ) -> None:
        """Wrap ``module``, whose forward takes ``inputs`` in order and gives ``outputs`` in order."""
        self.inputs = inputs
        self.outputs = outputs
        self._stage = stage
        self._module = module.eval()

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the stage; see ``Runner.run``."""
        check_feeds(self._stage, self.inputs, feeds)
        arguments = [torch.tensor(feeds[spec.name]) for spec in self.inputs]
        try:
            with torch.no_grad():
                values = self._module(*arguments)
        except (RuntimeError, IndexError) as exc:
            detail = " ".join(str(exc).split())
            raise BackendError(f"stage {self._stage} failed in torch: {type(exc).__name__}: {detail}") from exc
        tensors = values if isinstance(values, tuple) else (values,)
        return {spec.name: tensor.numpy() for spec, tensor in zip(self.outputs, tensors, strict=True)}

    def close(self) -> None:
        """Nothing to release."""


def runner_from_bundle(bundle: Bundle, stage: str) -> EagerRunner:
    """Open a stage; raises as ``module_from_bundle``."""
    contract = stage_contract(stage, bundle.manifest.dimensions)
    return EagerRunner(stage, module_from_bundle(bundle, stage), contract.inputs, contract.outputs)


def module_from_bundle(bundle: Bundle, stage: str) -> nn.Module:
    """Rebuild a stage's module from the manifest's model configuration and the weights inside its graph.

    Raises:
        BackendError: the graph's weights do not fit the configuration.
        BundleError: the stage's file or the manifest's model configuration is bad.
    """
    config = _model_config(bundle)
    makers: dict[str, Callable[[], nn.Module]] = {
        REFERENCE_ENCODER: lambda: ReferenceEncoder(_present(config.reference, stage)),
        PROMPT_ENCODER: lambda: PromptEncoder(_present(config.prompt, stage)),
        TEXT_ENCODER: lambda: TextEncoder(config.acoustic),
        DECODER: lambda: Decoder(config.acoustic),
        VOCODER: lambda: without_weight_norm(build_vocoder(config)),
    }
    try:
        graph = onnx.load_from_string(bundle.stage_bytes(stage)).graph
    except DecodeError as exc:
        raise BackendError(f"stage {stage} is not an ONNX graph: {exc}") from exc
    module = makers[stage]()
    _load(module, _weights(graph), stage)
    return module.eval()


def _present(section: T | None, stage: str) -> T:
    if section is None:
        raise BackendError(f"the manifest's model configuration has no section for the stage {stage}")
    return section


def _model_config(bundle: Bundle) -> ModelConfig:
    """Put the symbols back, which the manifest holds only once."""
    model = bundle.manifest.model
    acoustic = model.get("acoustic")
    if isinstance(acoustic, Mapping):
        model = {**model, "acoustic": {**acoustic, "symbols": bundle.symbols}}
    return ModelConfig.from_dict(model)


def _weights(graph: onnx.GraphProto) -> dict[str, torch.Tensor]:
    weights = {}
    for item in graph.initializer:
        array: Any = numpy_helper.to_array(item)
        name = item.name.removesuffix(HALF)
        if name.endswith(TRANSPOSED):
            name, array = name.removesuffix(TRANSPOSED), array.T
        weights[name] = torch.from_numpy(np.array(array))
    return weights


def _load(module: nn.Module, weights: dict[str, torch.Tensor], stage: str) -> None:
    own = module.state_dict()
    parts = [name for name in own if name.startswith("embedding.")]
    if parts:  # the graph holds their sum
        own = {name: value for name, value in own.items() if name not in parts}
        module.get_submodule("embedding").table = own[_TABLE] = torch.zeros_like(module.get_parameter(_TABLE_SHAPED))
    missing = sorted(name for name in own if name not in weights or weights[name].shape != own[name].shape)
    if missing:
        raise BackendError(f"graph of stage {stage} lacks weights of its model configuration: {missing[:4]}")
    module.load_state_dict({name: weights[name].to(own[name].dtype) for name in own}, strict=False)
