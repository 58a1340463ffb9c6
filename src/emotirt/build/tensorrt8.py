"""TensorRT 8.6: networks are weakly typed, so the types that the graph has are set on every layer."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto

from emotirt.build.plan_adapter import PlanOrder
from emotirt.bundle.plans import FLOAT32, FP16, INT8
from emotirt.errors import PlanFailed

_TYPES = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16"}
_UNTYPED = ("CONSTANT", "SHAPE", "CAST", "IDENTITY", "QUANTIZE", "DEQUANTIZE", "ASSERTION", "FILL")
"""Layers that take no precision: they only hold, measure or convert."""
_BORDERS = (
    "TRIP_LIMIT",
    "RECURRENCE",
    "ITERATOR",
    "LOOP_OUTPUT",
    "CONDITION",
    "CONDITIONAL_INPUT",
    "CONDITIONAL_OUTPUT",
)
"""Layers that only hand values in and out of a loop, which is what a CumSum becomes, or of a branch."""

_FEATURES = ("PROFILE_SHARING_0806", "FASTER_DYNAMIC_SHAPES_0805", "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805")
_SOURCES = ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")


class Tensorrt8:
    """Adapter of TensorRT 8.6."""

    needs_gpu = True
    takes_quantized_half = False
    has_lean_runtime = True
    default_level: int | None = 2
    """A vocoder window of 937 frames takes 90 s to build at level 2 on an H200, and more above."""

    def capabilities(self, asked: tuple[str, ...], here: str) -> tuple[str, ...]:
        """Return the GPU's own; see ``Adapter``."""
        return own_capability(asked, here)

    def network_flags(self, trt: Any) -> int:
        """Ask for an explicit batch axis, without which 8.6 parses no ONNX."""
        return 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)

    def configure(self, trt: Any, network: Any, config: Any, order: PlanOrder) -> None:
        """Allow the types that the graph holds, and hold every layer to its own; let contexts share profiles.

        Sharing is what every bucket's own context needs; later TensorRT shares always. Kernels are TensorRT's own, so
        that neither building nor running loads cuDNN or cuBLAS, which later TensorRT does without, too. Types are
        preferred and not obeyed: where no kernel has them one layer changes, and not a build of minutes fails.
        """
        for feature in _FEATURES:
            config.set_preview_feature(getattr(trt.PreviewFeature, feature), True)
        config.set_tactic_sources(sum(1 << int(getattr(trt.TacticSource, name)) for name in _SOURCES))
        config.clear_flag(trt.BuilderFlag.TF32)
        if order.precision == FLOAT32:
            return
        config.set_flag(trt.BuilderFlag.FP16)
        if order.precision == INT8:
            config.set_flag(trt.BuilderFlag.INT8)
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
        constrain_layers(trt, network, tensor_types(order.typed or order.graph), inner=order.precision == FP16)

    def relax(self, trt: Any, config: Any) -> bool:
        """Let TensorRT choose types as it likes rather than refuse the network; see ``Adapter``."""
        if not config.get_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS):
            return False
        config.clear_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
        return True


def own_capability(asked: tuple[str, ...], here: str) -> tuple[str, ...]:
    """Return the capability of the GPU that kernels are measured on.

    Raises: PlanFailed: another one was asked for.
    """
    if asked not in ((), (here,)):
        raise PlanFailed(
            f"compute capability {', '.join(asked)} was asked for, but this TensorRT builds only for the GPU that it "
            f"runs on, which has {here}; build there, or take --target tensorrt-rtx"
        )
    return (here,)


def tensor_types(graph: bytes) -> dict[str, str]:
    """Return ``float32`` or ``float16`` of every tensor that a node of the graph gives and that is a float."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(graph))
    made = {name for node in model.graph.node for name in node.output}
    infos = (*model.graph.value_info, *model.graph.output)
    return {
        info.name: _TYPES[info.type.tensor_type.elem_type]
        for info in infos
        if info.name in made and info.type.tensor_type.elem_type in _TYPES
    }


def constrain_layers(trt: Any, network: Any, types: dict[str, str], inner: bool = False) -> None:
    """Set precision and output types of every layer that gives a tensor of the graph.

    Layers behind a DequantizeLinear are left alone: the pair around them says already that they compute in int8.

    Args:
        trt: TensorRT's module.
        network: parsed.
        types: of the tensors that nodes of the graph give.
        inner: whether layers within a float32 node compute in float32 too. One node becomes several layers, of which
            only the last gives the node's tensor; the others may be computed in float16 if nothing is said of them.
    """
    untyped = {getattr(trt.LayerType, name) for name in _UNTYPED if hasattr(trt.LayerType, name)}
    borders = {getattr(trt.LayerType, name) for name in _BORDERS if hasattr(trt.LayerType, name)}
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    dequantized = {name for layer in layers if layer.type == trt.LayerType.DEQUANTIZE for name in _given(layer)}
    within: list[Any] = []  # of the node whose last layer is still to come
    for layer in layers:
        if layer.type in untyped or _taken(layer) & dequantized:
            continue
        kinds = [types.get(name) for name in _given(layer)]
        for index, kind in enumerate(kinds):
            if kind is not None:
                layer.precision = getattr(trt, kind)
                layer.set_output_type(index, getattr(trt, kind))
        if not any(kinds):
            if layer.type not in borders and layer.get_output(0).dtype == trt.float32:
                within.append(layer)
            continue
        if inner and "float32" in kinds:
            for part in within:
                part.precision = trt.float32
        within = []


def _given(layer: Any) -> list[str]:
    return [layer.get_output(index).name for index in range(layer.num_outputs)]


def _taken(layer: Any) -> set[str]:
    return {layer.get_input(index).name for index in range(layer.num_inputs) if layer.get_input(index)}
