"""TensorRT 8.6 has no wheel for this Python, so a network of its kind is written out here."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import onnx
import pytest

from emotirt.build.fold import folded
from emotirt.build.int8 import calibrated_tensors
from emotirt.build.plan_adapter import PlanOrder
from emotirt.build.plan_graph import plan_graph
from emotirt.build.precision import Quantization
from emotirt.build.tensorrt8 import Tensorrt8, constrain_layers, tensor_types
from emotirt.bundle.plans import FLOAT32, FP16, INT8
from emotirt.bundle.store import Bundle
from emotirt.errors import PlanFailed

KINDS = ("CONVOLUTION", "CONSTANT", "SHAPE", "QUANTIZE", "DEQUANTIZE", "SOFTMAX", "ELEMENTWISE", "RECURRENCE")
FLAGS = ("FP16", "INT8", "TF32", "PREFER_PRECISION_CONSTRAINTS")
FEATURES = ("PROFILE_SHARING_0806", "FASTER_DYNAMIC_SHAPES_0805", "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805")
TRT = SimpleNamespace(
    LayerType=SimpleNamespace(**{kind: kind for kind in KINDS}),
    BuilderFlag=SimpleNamespace(**{flag: flag for flag in FLAGS}),
    PreviewFeature=SimpleNamespace(**{feature: feature for feature in FEATURES}),
    TacticSource=SimpleNamespace(CUBLAS=0, CUBLAS_LT=1, CUDNN=2, EDGE_MASK_CONVOLUTIONS=3, JIT_CONVOLUTIONS=4),
    NetworkDefinitionCreationFlag=SimpleNamespace(EXPLICIT_BATCH=0),
    float32="f32",
    float16="f16",
)


@dataclass
class Layer:
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: str = ""
    dtype: str = "f32"
    output_types: dict[int, str] = field(default_factory=dict)

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    @property
    def num_outputs(self) -> int:
        return len(self.outputs)

    def get_input(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(name=self.inputs[index])

    def get_output(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(name=self.outputs[index], dtype=self.dtype)

    def set_output_type(self, index: int, kind: str) -> None:
        self.output_types[index] = kind


class Network:
    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        self.num_layers = len(layers)

    def get_layer(self, index: int) -> Layer:
        return self.layers[index]


class Config:
    def __init__(self) -> None:
        self.flags = {"TF32"}
        self.features: set[str] = set()
        self.sources = 31

    def set_flag(self, flag: str) -> None:
        self.flags.add(flag)

    def clear_flag(self, flag: str) -> None:
        self.flags.discard(flag)

    def get_flag(self, flag: str) -> bool:
        return flag in self.flags

    def set_preview_feature(self, feature: str, is_on: bool) -> None:
        assert is_on
        self.features.add(feature)

    def set_tactic_sources(self, sources: int) -> bool:
        self.sources = sources
        return True


def test_layers_get_the_types_of_the_graph() -> None:
    half = Layer("CONVOLUTION", ("mel", "w"), ("a",))
    wide = Layer("SOFTMAX", ("a",), ("b",))
    shape = Layer("SHAPE", ("b",), ("s",))
    stored = Layer("CONSTANT", (), ("c",))
    pair = Layer("DEQUANTIZE", ("q",), ("d",))
    quantized = Layer("CONVOLUTION", ("d",), ("e",))
    internal = Layer("SOFTMAX", ("e",), ("(unnamed)",))
    layers = (half, wide, shape, stored, pair, quantized, internal)
    types = {"a": "float16", "b": "float32", "c": "float32", "d": "float16", "e": "float16"}
    constrain_layers(TRT, Network(*layers), types)
    assert (half.precision, half.output_types) == ("f16", {0: "f16"})
    assert (wide.precision, wide.output_types) == ("f32", {0: "f32"})
    assert all(layer.precision == "" and not layer.output_types for layer in layers[2:])


def test_inner_layers_of_a_float32_node_are_float32() -> None:
    summed = Layer("ELEMENTWISE", ("x",), ("(unnamed 1)",))
    handed = Layer("RECURRENCE", ("x",), ("(unnamed 2)",))
    counted = Layer("ELEMENTWISE", ("n",), ("(unnamed 3)",), dtype="i32")
    island = Layer("SOFTMAX", ("(unnamed 1)",), ("sum",))
    free = Layer("CONVOLUTION", ("sum",), ("(unnamed 4)",))
    half = Layer("SOFTMAX", ("(unnamed 4)",), ("b",))
    layers = (summed, handed, counted, island, free, half)
    types = {"sum": "float32", "b": "float16"}
    constrain_layers(TRT, Network(*layers), types)
    assert [layer.precision for layer in layers] == ["", "", "", "f32", "", "f16"]
    constrain_layers(TRT, Network(*layers), types, inner=True)
    assert [layer.precision for layer in layers] == ["f32", "", "", "f32", "", "f16"]
    assert not summed.output_types


def test_constraints_are_let_go_once(opened_bundle: Bundle) -> None:
    config = Config()
    assert not Tensorrt8().relax(TRT, config)
    Tensorrt8().configure(
        TRT, Network(), config, PlanOrder("decoder", FP16, opened_bundle.stage_bytes("decoder"), (), ())
    )
    assert Tensorrt8().relax(TRT, config)
    assert config.flags == {"FP16"}
    assert not Tensorrt8().relax(TRT, config)


@pytest.mark.parametrize(
    ("precision", "flags"),
    [
        (FLOAT32, set()),
        (FP16, {"FP16", "PREFER_PRECISION_CONSTRAINTS"}),
        (INT8, {"FP16", "INT8", "PREFER_PRECISION_CONSTRAINTS"}),
    ],
)
def test_flags_follow_the_precision(opened_bundle: Bundle, precision: str, flags: set[str]) -> None:
    config = Config()
    graph = opened_bundle.stage_bytes("decoder")
    order = PlanOrder("decoder", precision, graph, (), ("9.0",))
    Tensorrt8().configure(TRT, Network(), config, order)
    assert config.flags == flags
    assert config.features == set(FEATURES)
    assert not config.sources & 0b111, "no library beside TensorRT's own"
    assert Tensorrt8().network_flags(TRT) == 1


def test_a_rewritten_graph_tells_its_types(opened_bundle: Bundle) -> None:
    graph = opened_bundle.stage_bytes("decoder")
    assert set(tensor_types(plan_graph(graph, "decoder", FLOAT32)).values()) == {"float32"}
    types = tensor_types(plan_graph(graph, "decoder", FP16))
    assert set(types.values()) == {"float32", "float16"}
    assert types["mel"] == "float32"


def test_a_quantized_graph_is_float32_with_the_types_of_its_half(opened_bundle: Bundle) -> None:
    graph = opened_bundle.stage_bytes("vocoder")
    ranges = dict.fromkeys(calibrated_tensors(folded(graph)), 1.0)
    quantization = Quantization(ranges)
    half, wide = (plan_graph(graph, "vocoder", INT8, quantization, half=item) for item in (True, False))
    assert onnx.load_from_string(wide).opset_import[0].version == 17
    assert set(tensor_types(wide).values()) == {"float32"}
    types, tensors = tensor_types(half), set(tensor_types(wide))
    assert sum(kind == "float16" for name, kind in types.items() if name in tensors) > len(tensors) / 2


def test_it_builds_only_for_the_gpu_it_runs_on() -> None:
    assert Tensorrt8().capabilities((), "9.0") == ("9.0",)
    with pytest.raises(PlanFailed, match=r"8\.6 was asked for, .* has 9\.0"):
        Tensorrt8().capabilities(("8.6",), "9.0")
