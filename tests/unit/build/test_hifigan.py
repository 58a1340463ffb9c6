"""What our own kernels are told to compute, done in numpy from the very same layers and packed weights."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from emotirt.build.export import export_module
from emotirt.build.hifigan import hifigan_from_graph, packed_weights, transposed_as_plain
from emotirt.build.kernel_compile import compiled, kernel_source
from emotirt.bundle.contract import VOCODER, Dimensions, stage_contract
from emotirt.bundle.plans import FP16, KERNELS, stage_precision
from emotirt.bundle.profiles import plan_profiles
from emotirt.bundle.store import default_bundle_path, open_bundle
from emotirt.errors import PlanFailed, PlanUnusable
from emotirt.models.config import VocoderConfig
from emotirt.models.vocoder import Generator, without_weight_norm
from emotirt.runtime.kernels import engine as engine_module
from emotirt.runtime.kernels.engine import KernelPlan, plan_from_bytes
from emotirt.runtime.kernels.layers import (
    AVERAGE,
    LEAST_SHARED_BYTES,
    MEAN,
    MEL,
    PAIR,
    SOUND,
    Branch,
    Layer,
    Network,
    json_from_network,
    kernels_of,
    network_from_json,
)
from emotirt.types import FloatArray

CONFIG = VocoderConfig(
    n_mels=80,
    channels=512,
    upsample_rates=(2, 2, 2, 2),
    upsample_kernels=(4, 4, 4, 4),
    resblock_kernels=(3, 5),
    resblock_dilations=(1, 3),
)
"""A stage too wide for pairs, and three that are not."""


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    module: Generator = without_weight_norm(Generator(CONFIG)).eval()
    with torch.no_grad():
        for value in module.parameters():
            value.normal_(0.0, 0.6 / (value.shape[1] * value.shape[2]) ** 0.5 if value.ndim == 3 else 0.1)
    return module


@pytest.fixture(scope="module")
def graph(generator: Generator) -> bytes:
    contract = stage_contract(VOCODER, Dimensions(80, 32, 8, 8))
    data: bytes = export_module(generator, contract, VOCODER).SerializeToString()
    return data


@pytest.fixture(scope="module")
def made(graph: bytes) -> tuple[Network, bytes]:
    return hifigan_from_graph(graph)


def unpacked(data: bytes, place: int, taps: int, channels: int, columns: int) -> FloatArray:
    """The weights [taps, channels, columns] of the order that tensor cores take them in."""
    count = taps * channels * columns
    flat = np.frombuffer(data, dtype=np.float16, count=count, offset=place)
    split = flat.reshape(taps, channels // 16, columns // 16, 8, 4, 2, 2, 2)  # group, quarter, half n, half k, pair
    ordered = split.transpose(0, 1, 6, 4, 7, 2, 5, 3)
    return ordered.reshape(taps, channels, columns).astype(np.float32)


def leaky(x: FloatArray, slope: float) -> FloatArray:
    return np.where(x > 0, x, x * np.float32(slope))


def convolved(
    x: FloatArray, weight: FloatArray, bias: FloatArray, dilation: int, firsts: tuple[int, int]
) -> FloatArray:
    """[rows, columns] of [rows, channels]; the halves of the columns may begin at different rows."""
    rows, columns = len(x), weight.shape[2]
    out = np.tile(bias, (rows, 1))
    for half, first in enumerate(firsts):
        part = slice(half * columns // 2, (half + 1) * columns // 2)
        for tap, matrix in enumerate(weight):
            offset = first + tap * dilation
            source = np.zeros_like(x)
            low, high = max(0, -offset), min(rows, rows - offset)
            if low < high:
                source[low:high] = x[low + offset : high + offset]
            out[:, part] += source @ matrix[:, part]
    return out


class Interpreter:
    """Computes a network as its kernels do, for one mel."""

    def __init__(self, network: Network, weights: bytes) -> None:
        self.network, self.weights = network, weights
        self.buffers: dict[str, FloatArray] = {}

    def floats(self, place: int, count: int) -> FloatArray:
        return np.frombuffer(self.weights, dtype=np.float32, count=count, offset=place)

    def plain(self, x: FloatArray, layer: Layer, branch: Branch) -> FloatArray:
        weight = unpacked(self.weights, branch.weight, branch.taps, layer.channels, layer.columns)
        bias = self.floats(branch.bias, layer.columns)
        return convolved(x, weight, bias, branch.dilation, (branch.first, branch.second))

    def pair(self, layer: Layer, branch: Branch) -> FloatArray:
        x = self.buffers[branch.reads]
        inner = leaky(self.plain(x, layer, branch), layer.residual_slope)
        weight = unpacked(self.weights, branch.second_weight, branch.taps, layer.channels, layer.columns)
        reach = -((branch.taps - 1) // 2)
        out = convolved(inner, weight, self.floats(branch.second_bias, layer.columns), 1, (reach, reach))
        return out + leaky(x, 1.0 / layer.residual_slope)

    def run(self, mel: FloatArray) -> FloatArray:
        frames = mel.shape[1]
        self.buffers["mel"] = mel.T
        for layer in self.network.layers:
            rows = frames * layer.rows_a_frame
            given = [self.result(layer, branch) for branch in layer.branches]
            if layer.source in (MEAN, AVERAGE):
                given = [sum(given[1:], given[0]) / len(given)]
            for branch, value in zip(layer.branches, given, strict=False):
                if layer.source == SOUND:
                    return np.tanh(value[:, 0])
                self.buffers[branch.writes] = leaky(value, layer.slope)
                assert value.size == rows * layer.columns
        raise AssertionError("no last layer")

    def result(self, layer: Layer, branch: Branch) -> FloatArray:
        x = self.buffers[branch.reads]
        x = x.reshape(-1, layer.channels)
        self.buffers[branch.reads] = x
        if layer.source == AVERAGE:
            return x
        if layer.source in (PAIR, MEAN):
            return self.pair(layer, branch)
        if layer.source == SOUND:
            weight = self.floats(branch.weight, branch.taps * layer.channels).reshape(branch.taps, layer.channels, 1)
            return convolved(x, weight, self.floats(branch.bias, 1), 1, (0, branch.first))
        out = self.plain(x, layer, branch)
        if branch.residual:
            out += leaky(self.buffers[branch.residual].reshape(out.shape), 1.0 / layer.residual_slope)
        return out


@pytest.mark.parametrize("frames", [1, 3, 20])
def test_the_layers_compute_the_generator(generator: Generator, made: tuple[Network, bytes], frames: int) -> None:
    mel = np.random.default_rng(frames).normal(-2.0, 1.0, (80, frames)).astype(np.float32)
    with torch.inference_mode():
        wanted = generator(torch.from_numpy(mel)[None])[0].numpy()
    found = Interpreter(*made).run(mel)
    assert found.shape == wanted.shape == (frames * 16,)
    assert np.abs(wanted).max() > 0.05
    noise, power = np.mean((found - wanted) ** 2), np.mean(wanted**2)
    assert 10.0 * np.log10(power / noise) > 45.0  # weights in float16, nothing else


@pytest.mark.parametrize(("rate", "columns"), [(2, 8), (4, 6), (8, 2)])
def test_a_transposed_convolution_is_a_plain_one_with_two_taps(rate: int, columns: int) -> None:
    rng = np.random.default_rng(rate)
    weight = rng.normal(size=(5, columns, 2 * rate)).astype(np.float32)
    x = rng.normal(size=(9, 5)).astype(np.float32)
    with torch.inference_mode():
        wanted = torch.nn.functional.conv_transpose1d(
            torch.from_numpy(x.T)[None], torch.from_numpy(weight), stride=rate, padding=rate // 2
        )[0].numpy()
    taps = transposed_as_plain(weight, rate)
    found = convolved(x, taps, np.zeros(rate * columns, dtype=np.float32), 1, (-1, 0))
    np.testing.assert_allclose(found.reshape(9 * rate, columns).T, wanted, atol=1e-5)


def test_packed_weights_come_back() -> None:
    weight = np.random.default_rng(0).normal(size=(3, 32, 48)).astype(np.float16).astype(np.float32)
    packed = packed_weights(weight)
    assert packed.dtype == np.float16
    assert len(packed) == weight.size + 16 * 48
    np.testing.assert_array_equal(unpacked(packed.tobytes(), 0, 3, 32, 48), weight)


def test_no_layer_writes_what_another_block_of_it_still_reads(made: tuple[Network, bytes]) -> None:
    for layer in made[0].layers:
        written = {branch.writes for branch in layer.branches}
        assert not written & {branch.reads for branch in layer.branches}
        places = made[0].buffers(3, 50)
        spans = sorted((start, start + size) for start, size in places.values())
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert made[0].activation_bytes(3, 50) >= spans[-1][1]


def test_blocks_cover_every_row_and_fit_into_shared_memory(made: tuple[Network, bytes]) -> None:
    for layer in made[0].layers:
        assert layer.usual_tile.shared_bytes(layer) <= LEAST_SHARED_BYTES
        for tile in layer.tiles():
            for rows in (1, 63, 64, 1000):
                blocks, columns, branches = tile.grid(layer, 2, rows)
                if layer.source == AVERAGE:
                    assert blocks * tile.threads * 8 >= 2 * rows * layer.columns
                    continue
                most = tile.rows - (layer.branches[0].taps - 1 if layer.source in (PAIR, MEAN) else 0)
                assert blocks // 2 * most >= rows
                assert columns * tile.columns == layer.columns or layer.source == SOUND
                assert branches == (1 if layer.source == MEAN else len(layer.branches))
        taps = [branch.taps for branch in layer.branches]
        assert taps == sorted(taps, reverse=True)


def test_what_was_measured_decides_the_tile(made: tuple[Network, bytes]) -> None:
    network = made[0]
    layer = next(layer for layer in network.layers if layer.source == PAIR)
    tuned = replace(network, chosen={layer.name: [[37, 1], [900, 2]]})
    assert network.tile(layer, 40) == layer.usual_tile
    assert [tuned.tile(layer, frames) for frames in (1, 100, 400, 5000)] == [
        layer.tiles()[index] for index in (1, 1, 2, 2)
    ]


def test_a_plan_comes_back_from_its_bytes(made: tuple[Network, bytes]) -> None:
    plan = KernelPlan(replace(made[0], chosen={"first": [[37, 1]]}), made[1], b"cubin")
    assert plan_from_bytes(plan.to_bytes()) == plan
    assert network_from_json(json_from_network(plan.network)) == plan.network
    for data in (b"", b"no plan", plan.to_bytes()[:1000]):
        with pytest.raises(PlanUnusable, match="no plan of kernels"):
            plan_from_bytes(data)


def test_arguments_have_the_size_that_the_kernels_expect(made: tuple[Network, bytes]) -> None:
    """The other side is a static assertion in ``hifigan.cu``."""
    places = {name: 1_000 + place for name, (place, _) in made[0].buffers(2, 7).items()} | {"mel": 1, "wav": 2}
    for layer in made[0].layers:
        if layer.source == SOUND:
            packed = engine_module._last_arguments(layer, 7, 3, places, 50)
            assert struct.unpack("<4Q3i4x", packed)[4:] == (7, 3, layer.branches[0].taps)
            continue
        packed = engine_module._arguments(layer, 7, 3, places, 50)
        assert len(packed) == 240
        assert struct.unpack_from("<4i2f", packed, 216)[:4] == (7, layer.columns, 3, len(layer.branches))
        for index, branch in enumerate(layer.branches):
            reads, weight, *_, writes = struct.unpack_from("<7Q", packed, 72 * index)
            assert (reads, weight, writes) == (places[branch.reads], 50 + branch.weight, places[branch.writes])


def test_other_vocoders_are_refused(generator: Generator) -> None:
    bundle = open_bundle(default_bundle_path())
    with pytest.raises(PlanFailed, match=r"for HiFi-GAN generators, which this vocoder is not: .*--precision fp16"):
        hifigan_from_graph(bundle.stage_bytes(VOCODER))
    odd = without_weight_norm(Generator(replace(CONFIG, upsample_kernels=(4, 4, 6, 4)))).eval()
    contract = stage_contract(VOCODER, Dimensions(80, 32, 8, 8))
    with pytest.raises(PlanFailed, match=r"upsamplers.2 with kernel 6, stride 2"):
        hifigan_from_graph(export_module(odd, contract, VOCODER).SerializeToString())


def test_kernels_are_the_vocoders_alone() -> None:
    assert stage_precision(VOCODER, KERNELS) == KERNELS
    assert stage_precision("decoder", KERNELS) == FP16
    manifest = open_bundle(default_bundle_path()).manifest
    ((*profiles,),) = plan_profiles(manifest, VOCODER, is_measured=True, precision=KERNELS)
    assert any(profile.covers({"mel": (1, 80, frames)}) for profile in profiles for frames in (1, 1500))


@pytest.mark.parametrize("capability", ["8.0", "9.0", "12.0"])
def test_every_kind_of_kernel_compiles(made: tuple[Network, bytes], capability: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc")
    kinds = {(layer.source, layer.channels): layer.usual_tile for layer in made[0].layers}
    assert {tile.source for tile in kinds.values()} == {"ONE", MEL, PAIR, MEAN, AVERAGE, SOUND}
    tiles = [tile for tile in kinds.values() if tile.channels in (32, 80) or tile.source in ("ONE", AVERAGE)]
    cubin = compiled(tiles, capability)
    assert cubin.startswith(b"\x7fELF")
    assert all(tile.name.encode() in cubin for tile in tiles)


def test_a_refused_source_is_told_in_the_compilers_words(
    made: tuple[Network, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings.nvrtc")
    tile = replace(kernels_of(made[0].layers)[0], source="NOTHING")
    assert "NOTHING" in kernel_source([tile])
    with pytest.raises(PlanFailed, match=r"cannot compile the kernels for compute capability 9\.0: .*NOTHING"):
        compiled([tile], "9.0")
