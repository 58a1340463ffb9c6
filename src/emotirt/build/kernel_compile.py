"""Compile EmotiRT's own kernels for one GPU with NVRTC, the compiler that comes as a library."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

from emotirt.errors import PlanFailed
from emotirt.runtime import cuda
from emotirt.runtime.kernels.layers import AVERAGE, MEAN, PAIR, SOUND, Tile

SOURCE_FILE = "hifigan.cu"
_REGISTERS = 65536
"""Of a multiprocessor; CUDA C++ programming guide, technical specifications by compute capability."""
_MOST_REGISTERS = 255
_ACCUMULATORS_BESIDE = 100
"""Registers that a thread needs beside its sums."""


def kernel_source(tiles: Sequence[Tile]) -> str:
    """Return CUDA C++ with one kernel for each tile, by its name."""
    source = resources.files("emotirt.runtime.kernels").joinpath(SOURCE_FILE).read_text(encoding="utf-8")
    return source + "\n".join(map(_entry, tiles)) + "\n"


def compiled(tiles: Sequence[Tile], capability: str) -> bytes:
    """Compile kernels.

    Args:
        tiles: one kernel each.
        capability: of the GPU, like ``9.0``.

    Returns: a cubin.
    Raises: BackendUnavailable: NVRTC is not installed. PlanFailed: it refuses the source, with its own words.
    """
    nvrtc = cuda.compiler()
    source = kernel_source(tiles).encode()
    program = _checked(nvrtc, "begin", nvrtc.nvrtcCreateProgram(source, SOURCE_FILE.encode(), 0, [], []))
    options = [f"--gpu-architecture=sm_{capability.replace('.', '')}".encode(), b"--std=c++17", b"-default-device"]
    (code,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if int(code) != 0:
        size = _checked(nvrtc, "say why", nvrtc.nvrtcGetProgramLogSize(program))
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
        words = " ".join(log.decode(errors="replace").split())[:1000]
        raise PlanFailed(f"NVRTC cannot compile the kernels for compute capability {capability}: {words}")
    size = _checked(nvrtc, "measure", nvrtc.nvrtcGetCUBINSize(program))
    cubin = bytearray(size)
    data = bytes(cubin)
    _checked(nvrtc, "hand over", nvrtc.nvrtcGetCUBIN(program, data))
    return data


def _entry(tile: Tile) -> str:
    blocks = max(1, min(4, _REGISTERS // (tile.threads * _registers(tile))))
    head = f'extern "C" __global__ void __launch_bounds__({tile.threads}, {blocks}) {tile.name}'
    if tile.source == SOUND:
        return f"{head}(const __grid_constant__ LastArgs args) {{ sound<{tile.channels}, {tile.rows}>(args); }}"
    if tile.source == AVERAGE:
        return f"{head}(const __grid_constant__ Args args) {{ average(args); }}"
    if tile.source in (PAIR, MEAN):
        sizes = f"{tile.channels}, {tile.rows}, {tile.warps_m}, {tile.warps_n}, {tile.source}"
        return f"{head}(const __grid_constant__ Args args) {{ convolve_pair<{sizes}>(args); }}"
    sizes = f"{tile.channels}, {tile.rows}, {tile.columns}, {tile.warps_m}, {tile.warps_n}, {tile.source}"
    return f"{head}(const __grid_constant__ Args args) {{ convolve<{sizes}>(args); }}"


def _registers(tile: Tile) -> int:
    """Estimate how many registers a thread needs, so that the compiler is not made to spill."""
    sums = tile.rows * tile.columns // tile.threads * (2 if tile.source == MEAN else 1)
    return min(_MOST_REGISTERS, sums + _ACCUMULATORS_BESIDE)


def _checked(nvrtc: Any, what: str, result: tuple[Any, ...]) -> Any:
    code, *values = result
    if int(code) != 0:
        raise PlanFailed(f"NVRTC cannot {what} a program: {code}")
    return values[0] if values else None
