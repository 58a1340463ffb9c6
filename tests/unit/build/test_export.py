"""Exported graphs: contract at the border, dynamic shapes, nothing random, and refusal of what does not fit."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from tests.assets.make_tiny_bundle import TINY_STAGES, tiny_networks

from emotirt.build.export import OPSET, dimensions, export_stage, prepare_networks, stage_modules
from emotirt.bundle.contract import DECODER, TEXT_ENCODER, VOCODER, stage_contract
from emotirt.bundle.store import Bundle
from emotirt.errors import ExportFailed, TrainingError
from emotirt.models.checkpoint import Networks


def graph_of(bundle: Bundle, stage: str) -> onnx.ModelProto:
    return onnx.load_from_string(bundle.stage_bytes(stage))


def border(values: object) -> list[tuple[str, int, tuple[int | str, ...]]]:
    return [
        (
            item.name,
            item.type.tensor_type.elem_type,
            tuple(axis.dim_param or axis.dim_value for axis in item.type.tensor_type.shape.dim),
        )
        for item in values  # type: ignore[attr-defined]  # a repeated protobuf field
    ]


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_border_is_the_contract_with_its_dynamic_axes(
    opened_bundle: Bundle, tiny_prepared: Networks, stage: str
) -> None:
    model, contract = graph_of(opened_bundle, stage), stage_contract(stage, dimensions(tiny_prepared))
    types = {"float32": onnx.TensorProto.FLOAT, "int64": onnx.TensorProto.INT64}
    for values, specs in ((model.graph.input, contract.inputs), (model.graph.output, contract.outputs)):
        assert border(values) == [(spec.name, types[spec.dtype], spec.shape) for spec in specs]
        assert all("batch" in spec.shape for spec in specs)
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_graphs_are_deterministic_and_say_nothing_of_the_builder(opened_bundle: Bundle, stage: str) -> None:
    model = graph_of(opened_bundle, stage)
    random = {"Dropout", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}
    assert not {node.op_type for node in model.graph.node} & random
    assert not any(node.doc_string for node in model.graph.node)
    assert (model.producer_name, model.producer_version, model.doc_string) == ("emotirt", "", "")


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_every_weight_is_an_initializer_named_after_its_parameter(
    opened_bundle: Bundle, tiny_prepared: Networks, stage: str
) -> None:
    graph = graph_of(opened_bundle, stage).graph
    names = {item.name.removesuffix(".half").removesuffix(".transposed") for item in graph.initializer}
    module = stage_modules(tiny_prepared)[stage]
    known = {name for name, _ in module.named_parameters() if not name.startswith("embedding.")}
    assert known - names == set()
    if stage == TEXT_ENCODER:
        assert "embedding.table" in names
    inlined = [node for node in graph.node if node.op_type == "Constant" and len(node.attribute[0].t.dims) > 1]
    assert not inlined


def test_export_is_reproducible(opened_bundle: Bundle, tiny_prepared: Networks) -> None:
    assert export_stage(tiny_prepared, DECODER) == opened_bundle.stage_bytes(DECODER)


def test_preparing_leaves_the_trained_networks_alone() -> None:
    networks = tiny_networks()
    before = {key: value.clone() for key, value in networks.vocoder.state_dict().items()}
    mel = torch.randn(1, 80, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wav = networks.vocoder(mel)
        prepared = prepare_networks(networks)
        assert torch.equal(networks.vocoder(mel), wav)
    assert networks.vocoder.state_dict().keys() == before.keys()
    assert all(torch.equal(networks.vocoder.state_dict()[key], value) for key, value in before.items())
    assert networks.acoustic.text_encoder.embedding.table is None
    with pytest.raises(TrainingError, match="do not fit"):
        prepare_networks(prepared)


def test_prepared_weights_are_exact_in_float16_and_close_to_the_trained_ones() -> None:
    networks = tiny_networks()
    networks.vocoder.remove_weight_norm()
    prepared = prepare_networks(tiny_networks())
    for name, tensor in prepared.vocoder.state_dict().items():
        if tensor.ndim >= 2:
            assert torch.equal(tensor.half().float(), tensor)
        torch.testing.assert_close(tensor, networks.vocoder.state_dict()[name], rtol=2**-10, atol=1e-7)


class OtherInputs(torch.nn.Module):
    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return spectrum


class Untraceable(torch.nn.Module):
    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return torch.linalg.svd(mel)[1]


@pytest.mark.parametrize(
    ("module", "words"), [(OtherInputs(), ["spectrum", "mel"]), (Untraceable(), ["PyTorch cannot export"])]
)
def test_a_module_that_does_not_fit_is_refused(
    tiny_prepared: Networks, module: torch.nn.Module, words: list[str]
) -> None:
    networks = Networks(tiny_prepared.config, tiny_prepared.acoustic, tiny_prepared.reference, module)
    with pytest.raises(ExportFailed) as caught:
        export_stage(networks, VOCODER)
    assert [word for word in ["stage vocoder", *words] if word not in str(caught.value)] == []


def test_equal_weights_keep_their_own_names() -> None:
    networks = tiny_networks()
    encoder = networks.acoustic.text_encoder
    with torch.no_grad():
        encoder.stack.blocks[0].attention.key.weight.copy_(encoder.stack.blocks[0].attention.query.weight)
    graph = onnx.load_from_string(export_stage(prepare_networks(networks), TEXT_ENCODER)).graph
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    query, key = (arrays[f"stack.blocks.0.attention.{name}.weight.transposed.half"] for name in ("query", "key"))
    np.testing.assert_array_equal(query, key)
