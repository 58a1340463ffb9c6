"""Export each stage as an ONNX graph with dynamic shapes.

Opset 17, because TensorRT 8.6 parses no newer one. The tracing exporter of PyTorch is used: it writes opset 17
directly and its graphs need no converter. Weights of two and more dimensions are rounded to float16 *before* the
export, so that storing them in float16 loses nothing: ``half_storage`` puts a Cast to float32 behind each, which
ONNX Runtime folds when it loads the graph. Reference and graph hence hold the very same numbers.
"""

from __future__ import annotations

import hashlib
import inspect
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper, shape_inference
from torch import Tensor, nn

from emotirt.build.cosines import compute_inverse_transform
from emotirt.build.half_storage import store_half
from emotirt.bundle.contract import (
    DECODER,
    PROMPT_ENCODER,
    REFERENCE_ENCODER,
    TEXT_ENCODER,
    VOCODER,
    Dimensions,
    StageContract,
    stage_contract,
)
from emotirt.errors import ExportFailed
from emotirt.models.checkpoint import Networks, build_networks, load_weights
from emotirt.models.vocoder import without_weight_norm
from emotirt.runtime.eager import TRANSPOSED
from emotirt.types import TensorSpec

OPSET = 17
_EXAMPLE_SIZES = {"batch": 2, "tokens": 13, "frames": 37}
_ONNX_TYPES = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


def prepare_networks(networks: Networks, half: bool = True) -> Networks:
    """Return a copy as it will be exported: plain weights, one embedding table, evaluation mode.

    With ``half`` weights of two and more dimensions are rounded to float16.

    Fresh networks take the weights over; a deep copy would share the class that PyTorch makes for a weight-normed
    module, so that folding the copy breaks the original.
    """
    prepared = build_networks(networks.config)
    modules = _modules(prepared)
    for name, module in modules.items():
        load_weights(module, _modules(networks)[name].state_dict(), name)
    without_weight_norm(prepared.vocoder)
    prepared.acoustic.text_encoder.embedding.fold()
    for module in modules.values():
        module.eval().requires_grad_(False)
        for tensor in (*module.parameters(), *module.buffers()):
            if half and tensor.is_floating_point() and tensor.ndim >= 2:
                tensor.copy_(tensor.half().float())
    return prepared


def _modules(networks: Networks) -> dict[str, nn.Module]:
    modules = {
        "acoustic": networks.acoustic,
        "reference": networks.reference,
        "vocoder": networks.vocoder,
        "prompt": networks.prompt,
    }
    return {name: module for name, module in modules.items() if module is not None}


def stage_modules(networks: Networks) -> dict[str, nn.Module]:
    """Return the module of every stage that the networks have, in the order of ``bundle.contract.STAGES``."""
    modules = {
        REFERENCE_ENCODER: networks.reference,
        PROMPT_ENCODER: networks.prompt,
        TEXT_ENCODER: networks.acoustic.text_encoder,
        DECODER: networks.acoustic.decoder,
        VOCODER: networks.vocoder,
    }
    return {stage: module for stage, module in modules.items() if module is not None}


def dimensions(networks: Networks) -> Dimensions:
    """Return the fixed sizes of the graph contract."""
    acoustic = networks.config.acoustic
    return Dimensions(
        acoustic.n_mels, acoustic.encoder.hidden, acoustic.speaker_dim, acoustic.emotion_dim, acoustic.content_dim
    )


def export_stage(networks: Networks, stage: str, half: bool = True) -> bytes:
    """Export one stage.

    Args:
        networks: from ``prepare_networks``.
        stage: one of ``stage_modules``.
        half: store the weights in float16, as they were prepared.

    Returns: a serialized, checked ONNX model.
    Raises: ExportFailed: the module does not fit the graph contract, or PyTorch or ONNX refuse it.
    """
    contract = stage_contract(stage, dimensions(networks))
    module = stage_modules(networks)[stage]
    parameters = inspect.signature(module.forward).parameters.values()
    names = [spec.name for spec in contract.inputs]
    taken = [item.name for item in parameters if item.default is item.empty or item.name in names]
    if taken != names:
        raise ExportFailed(f"stage {stage}: the module takes {taken}, the graph contract {contract.inputs}")
    model = export_module(module, contract, stage)
    if stage == VOCODER:
        compute_inverse_transform(model.graph, networks.config.mel.fft_samples)
    if half:
        store_half(model, stage)
    return checked_bytes(model, stage)


def export_module(module: nn.Module, contract: StageContract, stage: str) -> onnx.ModelProto:
    """Export a module whose forward takes the contract's inputs in order.

    Raises: ExportFailed: PyTorch refuses it.
    """
    model = _traced(module, contract, stage)
    _unshare(model.graph)
    _name_weights(model.graph, module)
    _set_boundary(model, contract)
    return model


def checked_bytes(model: onnx.ModelProto, stage: str) -> bytes:
    """Serialize a graph after checking it.

    Raises: ExportFailed: it is invalid.
    """
    try:
        onnx.checker.check_model(shape_inference.infer_shapes(model, strict_mode=True), full_check=True)
    except (onnx.checker.ValidationError, shape_inference.InferenceError) as exc:
        raise ExportFailed(f"stage {stage}: the exported graph is invalid: {exc}") from exc
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _traced(module: nn.Module, contract: StageContract, stage: str) -> onnx.ModelProto:
    specs = (*contract.inputs, *contract.outputs)
    axes = {spec.name: {i: axis for i, axis in enumerate(spec.shape) if isinstance(axis, str)} for spec in specs}
    try:
        with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            path = Path(scratch) / "stage.onnx"
            warnings.simplefilter("ignore")  # this exporter announces its own deprecation on every call
            torch.manual_seed(0)
            torch.onnx.export(
                module,
                tuple(_example(spec) for spec in contract.inputs),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=[spec.name for spec in contract.inputs],
                output_names=[spec.name for spec in contract.outputs],
                dynamic_axes=axes,
            )
            return onnx.load(path)
    except Exception as exc:  # the exporter raises many kinds
        raise ExportFailed(f"stage {stage}: PyTorch cannot export it: {type(exc).__name__}: {exc}") from exc


def _example(spec: TensorSpec) -> Tensor:
    shape = [_EXAMPLE_SIZES[axis] if isinstance(axis, str) else axis for axis in spec.shape]
    if spec.dtype == "int64":
        return torch.ones(shape, dtype=torch.int64) * (1 if len(shape) > 1 else _EXAMPLE_SIZES["tokens"])
    return torch.rand(shape) if len(shape) > 1 else torch.ones(shape)


def _unshare(graph: onnx.GraphProto) -> None:
    """Give every parameter its own initializer, where the exporter shares one among equal values."""
    initializers = {item.name: item for item in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in initializers]:
        own = TensorProto()
        own.CopyFrom(initializers[node.input[0]])
        own.name = node.output[0]
        graph.initializer.append(own)
        graph.node.remove(node)


def _name_weights(graph: onnx.GraphProto, module: nn.Module) -> None:
    """Name transposed linear weights and the folded table after their parameters, whatever the exporter called them."""
    names: dict[bytes, list[str]] = defaultdict(list)
    known = {name for name, _ in module.named_parameters()}
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        array = tensor.detach().numpy()
        if array.ndim == 2:
            names[_fingerprint(array.T)].append(name + TRANSPOSED)
        if name not in known:
            names[_fingerprint(array)].append(name)
    renamed = {}
    for item in graph.initializer:
        candidates = names[_fingerprint(numpy_helper.to_array(item))]
        if item.name not in known and candidates:
            renamed[item.name] = item.name = candidates.pop(0)  # each name once, though equal weights look alike
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)


def _fingerprint(array: np.ndarray) -> bytes:
    return repr(array.shape).encode() + hashlib.sha256(np.ascontiguousarray(array).data).digest()


def _set_boundary(model: onnx.ModelProto, contract: StageContract) -> None:
    for values, specs in ((model.graph.input, contract.inputs), (model.graph.output, contract.outputs)):
        del values[:]
        values.extend(helper.make_tensor_value_info(spec.name, _ONNX_TYPES[spec.dtype], spec.shape) for spec in specs)
    model.producer_name, model.producer_version, model.doc_string = "emotirt", "", ""
    model.graph.name = "stage"
    for node in model.graph.node:
        node.doc_string = ""
