"""What a HiFi-GAN generator computes, layer by layer, as its kernels take it; pure arithmetic and plain data.

A layer is one launch for one batch; its branches, which differ in weights, taps and dilation, are computed together.
Activations are float16 [batch, rows, channels]; see ``hifigan.cu`` for how they are stored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

ONE, MEL, PAIR, MEAN, AVERAGE, SOUND = "ONE", "MEL", "PAIR", "MEAN", "AVERAGE", "SOUND"
"""What a layer is: a convolution of an activated tensor, or of the log-mel; a dilated and a plain one with the residual
around them, and the average of several of these; an average alone; the last one, which writes the waveform."""
HALF_BYTES = 2
ALIGNMENT_BYTES = 256
TILES: Mapping[int, tuple[tuple[int, int, int, int], ...]] = {
    128: ((128, 128, 2, 2), (256, 128, 4, 2), (64, 128, 1, 4), (64, 64, 2, 2), (32, 64, 1, 4)),
    64: ((256, 64, 4, 1), (128, 64, 4, 1), (128, 64, 2, 1), (64, 64, 2, 2), (32, 64, 1, 4)),
    32: ((256, 32, 4, 1), (512, 32, 8, 1), (128, 32, 4, 1), (64, 32, 4, 1)),
}
"""Rows and columns of a block's tile, and its warps along both, by the largest number of columns that they may have."""
PAIR_TILES: Mapping[int, tuple[tuple[int, int, int], ...]] = {
    128: ((64, 1, 4), (128, 2, 4), (64, 2, 4), (128, 2, 2), (128, 4, 4), (32, 1, 4)),
    64: ((256, 4, 1), (128, 2, 2), (256, 4, 2), (128, 4, 1), (128, 4, 2), (64, 2, 2)),
    32: ((256, 4, 1), (512, 8, 1), (128, 4, 1), (256, 8, 1), (128, 2, 1), (64, 4, 1)),
}
"""Rows that are made in between and warps along both, by the channels, all of which a block of pairs takes."""
SOUND_ROWS = 256
PIECE = 8
"""Halves that a thread averages."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One of the convolutions that a launch computes.

    Attributes:
        reads: buffer that is read.
        writes: buffer of the result.
        weight: place of the packed weights in the plan's weights, in bytes.
        bias: likewise.
        residual: buffer that is added, empty for none, or where it is the one read.
        taps: of the convolution.
        dilation: rows from tap to tap.
        first: row of the first tap relative to that of the result; for the first half of the columns.
        second: the same for the second half; other than ``first`` only where a transposed convolution is computed.
        second_weight: of a pair's second convolution.
        second_bias: likewise.
    """

    reads: str
    writes: str
    weight: int
    bias: int
    residual: str
    taps: int
    dilation: int
    first: int
    second: int
    second_weight: int = 0
    second_bias: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """One launch.

    Attributes:
        name: for people, and for what was tuned.
        source: one of ``ONE``, ``MEL``, ``PAIR``, ``MEAN``, ``AVERAGE``, ``SOUND``.
        channels: that are read.
        columns: that are written a row.
        rows_a_frame: rows of the result for each frame of the mel.
        slope: of the leaky ReLU behind, 1 for none.
        residual_slope: of the one that the residual went through; in a pair also of the one within.
        branches: at most three, those with the most taps first.
    """

    name: str
    source: str
    channels: int
    columns: int
    rows_a_frame: int
    slope: float
    residual_slope: float
    branches: tuple[Branch, ...]

    @property
    def has_halves(self) -> bool:
        """Whether the halves of the columns read different rows, so that no tile may lie across."""
        return any(branch.first != branch.second for branch in self.branches)

    def tiles(self) -> tuple[Tile, ...]:
        """Return the tiles that it may be computed in; some may want more shared memory than a GPU has."""
        if self.source in (SOUND, AVERAGE):
            return (Tile(self.source, self.channels, SOUND_ROWS, 1, SOUND_ROWS // 32, 1),)
        if self.source in (PAIR, MEAN):
            made = (
                Tile(self.source, self.channels, rows, self.columns, m, n) for rows, m, n in PAIR_TILES[self.channels]
            )
            return tuple(made)
        least = self.columns // 2 if self.has_halves else self.columns
        group = next(size for size in TILES if least % size == 0)
        return tuple(Tile(self.source, self.channels, *sizes) for sizes in TILES[group])

    @property
    def usual_tile(self) -> Tile:
        """The first of ``tiles`` that every GPU has the shared memory for."""
        return next(tile for tile in self.tiles() if tile.shared_bytes(self) <= LEAST_SHARED_BYTES)


LEAST_SHARED_BYTES = 99 * 1024
"""That a block may have on every GPU from compute capability 8.0 on; CUDA C++ programming guide, technical
specifications by compute capability."""


@dataclass(frozen=True, slots=True)
class Tile:
    """How a block computes its part; names a kernel.

    Attributes:
        source: as of a layer.
        channels: as of a layer.
        rows: of the block's tile.
        columns: likewise.
        warps_m: warps along the rows.
        warps_n: warps along the columns.
    """

    source: str
    channels: int
    rows: int
    columns: int
    warps_m: int
    warps_n: int

    @property
    def name(self) -> str:
        """Of the kernel."""
        return f"{self.source.lower()}_{self.channels}_{self.rows}x{self.columns}_{self.warps_m}x{self.warps_n}"

    @property
    def threads(self) -> int:
        """Of a block."""
        return 32 * self.warps_m * self.warps_n

    def shared_bytes(self, layer: Layer) -> int:
        """Return the shared memory of a block: the rows of the tile and of its taps, or the result."""
        if layer.source == AVERAGE:
            return 0
        span = self.rows + max((branch.taps - 1) * branch.dilation for branch in layer.branches)
        if layer.source in (PAIR, MEAN):
            span += self.rows + layer.branches[0].taps - 1
        return HALF_BYTES * max(span * (self.channels + 8), self.rows * (self.columns + 8))

    def grid(self, layer: Layer, batch: int, rows: int) -> tuple[int, int, int]:
        """Return the blocks along rows and batch, columns, and branches."""
        if layer.source == AVERAGE:
            return -(-batch * rows * layer.columns // (PIECE * self.threads)), 1, 1
        made = self.rows - (layer.branches[0].taps - 1 if layer.source in (PAIR, MEAN) else 0)
        branches = 1 if layer.source == MEAN else len(layer.branches)
        return batch * -(-rows // made), max(1, layer.columns // self.columns), branches


@dataclass(frozen=True, slots=True)
class Network:
    """A generator.

    Attributes:
        layers: in order.
        n_mels: channels of the mel.
        hop_samples: samples a frame.
        chosen: what was measured to be fastest: by layer, pairs of frames in a batch and index into ``Layer.tiles``.
    """

    layers: tuple[Layer, ...]
    n_mels: int
    hop_samples: int
    chosen: dict[str, list[list[int]]]

    def tile(self, layer: Layer, frames: int) -> Tile:
        """Return the tile to compute a layer in, for so many frames in the whole batch."""
        tiles = layer.tiles()
        measured = self.chosen.get(layer.name)
        if measured:
            _, index = min(measured, key=lambda pair: max(pair[0], frames) / min(pair[0], frames))
            return tiles[index]
        return layer.usual_tile

    def buffers(self, batch: int, frames: int) -> dict[str, tuple[int, int]]:
        """Return place and size in bytes of every buffer, for a batch of mels.

        Buffers have the size that their largest layer needs; the mel and the waveform are not among them.
        """
        sizes: dict[str, int] = {}
        for layer in self.layers:
            size = HALF_BYTES * batch * frames * layer.rows_a_frame * layer.columns
            for branch in layer.branches:
                if layer.source != SOUND:
                    sizes[branch.writes] = max(sizes.get(branch.writes, 0), size)
        places, end = {}, 0
        for name, size in sizes.items():
            places[name] = (end, size)
            end += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        return places

    def activation_bytes(self, batch: int, frames: int) -> int:
        """Return the memory that all buffers take together."""
        return sum(-(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES for _, size in self.buffers(batch, frames).values())


def json_from_network(network: Network) -> bytes:
    """Write a network as JSON."""
    return json.dumps(asdict(network)).encode()


def network_from_json(data: bytes) -> Network:
    """Read a network; raises ValueError, KeyError or TypeError where it is none."""
    found: dict[str, Any] = json.loads(data)
    return Network(
        tuple(_layer(item) for item in found["layers"]), found["n_mels"], found["hop_samples"], found["chosen"]
    )


def _layer(item: dict[str, Any]) -> Layer:
    return Layer(**{**item, "branches": tuple(Branch(**branch) for branch in item["branches"])})


def kernels_of(layers: Sequence[Layer]) -> list[Tile]:
    """Return every kernel that some layer may use, each once."""
    return list(dict.fromkeys(tile for layer in layers for tile in layer.tiles()))
