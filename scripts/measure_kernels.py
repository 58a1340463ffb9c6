"""Measure EmotiRT's own kernels for HiFi-GAN V1 on a GPU: how close they are to PyTorch, and how long they take.

Usage: python scripts/measure_kernels.py OUT   (torch, onnx, onnxslim, cuda-bindings and NVRTC in one interpreter)

A generator of the published EmotiVoice size with random weights is compiled, tuned, compared with PyTorch in float32
and timed as one CUDA graph for several batches and lengths, layer by layer too. OUT/kernels.json has what is known so
far; a result file comes at the end.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emotirt.bench.partial import hardware_line
from emotirt.bench.results import BenchmarkResult, measured, write_result
from emotirt.build.emotivoice_bundle import published_config
from emotirt.build.export import export_module
from emotirt.build.hifigan import hifigan_from_graph
from emotirt.build.kernel_compile import compiled
from emotirt.build.kernel_plan import CallMemory, computed, launch_times_us, times_us, tuned
from emotirt.bundle.contract import VOCODER, Dimensions, stage_contract
from emotirt.models.vocoder import build_vocoder, without_weight_norm
from emotirt.runtime import cuda
from emotirt.runtime.kernels.engine import KernelEngine, KernelPlan
from emotirt.runtime.kernels.layers import kernels_of

SHAPES = ((1, 937), (1, 122), (32, 122), (4, 490), (8, 490), (2, 490), (1, 37), (3, 250), (1, 62), (1, 312))
REPEATS = 30


def generator() -> torch.nn.Module:
    """Make a generator whose activations have about the size of a trained one's."""
    torch.manual_seed(0)
    module = without_weight_norm(build_vocoder(published_config())).eval()
    with torch.no_grad():
        for name, value in module.named_parameters():
            if value.ndim == 3:
                fan_in = value.shape[1] * value.shape[2] if "upsampler" not in name else value.shape[0] * 2
                value.normal_(0.0, (0.1 if "last" in name else 0.5 if "branches" in name else 1.0) / fan_in**0.5)
            else:
                value.normal_(0.0, 0.05)
    return module


def snr_db(engine: KernelEngine, module: torch.nn.Module, batch: int, frames: int) -> float:
    """Return the ratio of signal to difference from PyTorch in float32."""
    mel = np.random.default_rng(frames).normal(-4.0, 2.0, (batch, 80, frames)).astype(np.float32)
    found = computed(engine, mel)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(mel).cuda()).cpu().numpy()
    return round(10.0 * float(np.log10(np.mean(wanted**2) / np.mean((found - wanted) ** 2))), 1)


def times(engine: KernelEngine, stream: cuda.Stream, batch: int, frames: int) -> dict[str, Any]:
    """Time one shape: as a CUDA graph, how long the host takes to launch it, and its layers."""
    context = engine.create_execution_context_without_device_memory()
    with CallMemory(engine, batch, frames) as addresses:
        context.device_memory = addresses["base"]
        context.set_input_shape("mel", (batch, engine.network.n_mels, frames))
        for name in ("mel", "wav"):
            context.set_tensor_address(name, addresses[name])
        context.execute_async_v3(stream.handle)
        stream.wait()
        stream.begin_capture()
        context.execute_async_v3(stream.handle)
        graph = stream.end_capture()
        found = np.array(times_us(lambda: graph.launch(stream), stream, 5, REPEATS))
        host_us = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            context.execute_async_v3(stream.handle)
            host_us.append(1e6 * (time.perf_counter() - started))
            stream.wait()
        layers_us = {
            layer.name: round(min(launch_times_us(launch, stream, 2, 8)), 1)
            for layer, launch in zip(engine.network.layers, context.launches(), strict=True)
        }
        graph.close()
    graph_us = {f"p{share}": round(float(np.percentile(found, share)), 1) for share in (0, 50, 90)}
    return {"graph_us": graph_us, "launching_p50_us": round(float(np.median(host_us)), 1), "layers_us": layers_us}


def torch_ms(module: torch.nn.Module, batch: int, frames: int) -> float:
    """Time PyTorch's convolutions in float16 as one CUDA graph."""
    half = module.half()
    mel = torch.randn(batch, 80, frames, device="cuda", dtype=torch.float16)
    with torch.inference_mode():
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for _ in range(3):
                half(mel)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            half(mel)
        begun, done = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        times = []
        for _ in range(REPEATS):
            begun.record()
            graph.replay()
            done.record()
            done.synchronize()
            times.append(begun.elapsed_time(done))
    return float(np.median(times))


def main() -> int:
    """Measure; returns the exit code."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    report: dict[str, Any] = {}

    def tell(name: str, value: object) -> None:
        report[name] = value
        print(f"{time.perf_counter() - began:.1f} s", name, value, flush=True)
        (out / "kernels.json").write_text(json.dumps(report, indent=1))

    began = time.perf_counter()
    module = generator()
    contract = stage_contract(VOCODER, Dimensions(80, 384, 384, 384))
    graph = export_module(module, contract, VOCODER).SerializeToString()
    network, weights = hifigan_from_graph(graph)
    tell("exported", len(weights))
    device = cuda.open_device()
    cubin = compiled(kernels_of(network.layers), device.capability)
    tell("compiled", len(cubin))
    engine = KernelEngine(KernelPlan(network, weights, cubin), SHAPES)
    module, stream = module.cuda(), cuda.Stream()
    tell("snr_untuned_db", {f"{b}x{f}": snr_db(engine, module, b, f) for b, f in ((1, 5), (1, 122))})
    engine.network = replace(network, chosen=tuned(engine))
    tell("chosen", engine.network.chosen)
    tell("snr_db", {f"{b}x{f}": snr_db(engine, module, b, f) for b, f in ((1, 122), (1, 937), (3, 250))})
    for batch, frames in SHAPES:
        tell(f"{batch}x{frames}", times(engine, stream, batch, frames))
    tell("torch_half_graph_ms", {f"{b}x{f}": round(torch_ms(module, b, f), 3) for b, f in SHAPES[:3]})
    ours_ms, theirs_ms = report["1x937"]["graph_us"]["p50"] / 1000.0, report["torch_half_graph_ms"]["1x937"]
    values = {
        "kernels.vocoder_937_frames_ms": measured(ours_ms, "ms"),
        "kernels.vs_pytorch_graph_fp16_ratio": measured(theirs_ms / ours_ms, "x"),
        "kernels.snr_db": measured(min(report["snr_db"].values()), "dB"),
    }
    sys.stdout.write(
        f"{write_result(BenchmarkResult('kernels', values, details=report, hardware=hardware_line()), out)}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
