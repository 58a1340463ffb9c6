"""Text encoder, decoder and vocoder on one device: between them only the durations visit the host.

The decoder reads what the text encoder wrote where it lies; windows of the mel are copied to the vocoder within the
device. Where a bucket is missing for that, the same is done through the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emotirt.bundle.contract import DECODER, TEXT_ENCODER, VOCODER
from emotirt.errors import OutOfProfile
from emotirt.runtime.bucketed import BucketedStages
from emotirt.runtime.buckets import BATCH, FRAMES, sizes_of
from emotirt.runtime.cover import covering_windows
from emotirt.runtime.device import Move
from emotirt.runtime.fused import fitted_rows, frame_mask, frames_of, marked_rows, padded_rows
from emotirt.runtime.layout import MEL_BY_CHANNEL, Launch, Placed
from emotirt.runtime.runner import Array
from emotirt.types import FloatArray, Window


@dataclass(frozen=True, slots=True)
class Voicing:
    """How audio follows from mels.

    Attributes:
        hop_samples: samples of a frame.
        context_frames: of the vocoder.
    """

    hop_samples: int
    context_frames: int


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Mels of a batch.

    Attributes:
        durations: float32 [B, N] to hand on.
        frames: of each row.
        launch: of the decoder, where the mels are still on the device.
        mel: float32 [B, F, n_mels], where they are not.
    """

    durations: FloatArray
    frames: list[int]
    launch: Launch | None
    mel: FloatArray | None


class Chain:
    """The fused stages on one device; one call at a time."""

    def __init__(self, stages: BucketedStages, voicing: Voicing) -> None:
        """Chain stages of one device."""
        self._stages = stages
        self._voicing = voicing

    def acoustic(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute text encoder and decoder; see ``fused.fused_contract``.

        Raises: OutOfProfile: no bucket holds a row. BackendError: the device failed.
        """
        made = self._decoded(feeds)
        return {"durations": made.durations, "mel": self._mel(made)}

    def speech(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Compute all stages; see ``fused.fused_contract``; errors of ``acoustic``."""
        made = self._decoded(feeds)
        shapes = self._stages.stages[VOCODER].shapes
        cuts = [
            (row, window)
            for row, count in enumerate(made.frames)
            for window in covering_windows(count, self._voicing.context_frames, shapes)
        ]
        source = made.launch if made.launch is not None and _has_channels(made.launch) else None
        mel = self._mel(made) if source is None else None
        rows = [np.empty(count * self._voicing.hop_samples, dtype=np.float32) for count in made.frames]
        for part in _batches(cuts, lambda width: shapes.most(BATCH, frames=width)):
            self._vocode(part, source, mel, rows)
        return {"durations": made.durations, "wav": padded_rows(rows)}

    def _decoded(self, feeds: Mapping[str, Array]) -> _Decoded:
        stages = self._stages
        sizes = sizes_of(stages.stages[TEXT_ENCODER].inputs, feeds)
        text = stages.launch_for(TEXT_ENCODER, sizes)
        stages.write(text.inputs, feeds)
        stages.upload(text.inputs)
        stages.device.launch(text)
        given = stages.read([text.placed("durations")])["durations"][: sizes[BATCH], : sizes["tokens"]]
        durations = fitted_rows(given, feeds["lengths"])
        frames = frames_of(durations)
        marked = marked_rows(durations, given)
        try:
            launch = self._decoder_on(text, max(frames))
        except OutOfProfile:
            hidden = stages.read([text.placed("hidden")])["hidden"][: sizes[BATCH], : sizes["tokens"]].copy()
            return _Decoded(marked, frames, None, self._decoded_by_host(hidden, durations, frames, feeds["lengths"]))
        if not np.array_equal(durations, given):
            stages.write([text.placed("durations")], {"durations": durations})
            stages.upload([text.placed("durations")])
        own = stages.own_inputs(launch)
        mask = frame_mask(frames, launch.bucket.axes[FRAMES])
        stages.write(own, {"lengths": feeds["lengths"], "frame_mask": mask})
        stages.upload(own)
        stages.device.launch(launch)
        return _Decoded(marked, frames, launch, None)

    def _decoder_on(self, text: Launch, frames: int) -> Launch:
        """Return the decoder's bucket that reads what ``text`` wrote where it lies; OutOfProfile where none does."""
        return self._stages.launch_for(DECODER, text.bucket.axes | {FRAMES: frames}, tuple(text.bucket.axes))

    def _decoded_by_host(
        self, hidden: FloatArray, durations: FloatArray, frames: Sequence[int], lengths: Array
    ) -> FloatArray:
        feeds = {
            "hidden": hidden,
            "durations": durations,
            "lengths": lengths,
            "frame_mask": frame_mask(frames, max(frames)),
        }
        mel: FloatArray = self._stages.run_in_parts(DECODER, feeds)["mel"]
        return mel

    def _mel(self, made: _Decoded) -> FloatArray:
        if made.mel is not None:
            return made.mel
        assert made.launch is not None
        placed = made.launch.placed("mel")
        given = self._stages.read([placed])["mel"]
        mel: FloatArray = given[: len(made.frames), : max(made.frames)].copy()
        return mel

    def _vocode(
        self,
        cuts: Sequence[tuple[int, Window]],
        source: Launch | None,
        mel: FloatArray | None,
        rows: Sequence[FloatArray],
    ) -> None:
        stages, hop = self._stages, self._voicing.hop_samples
        width = cuts[0][1].stop - cuts[0][1].start
        launch = stages.launch_for(VOCODER, {BATCH: len(cuts), FRAMES: width})
        target = launch.placed("mel")
        if source is not None:
            stages.device.move(
                [
                    _move(source.placed(MEL_BY_CHANNEL), row, window, target, place)
                    for place, (row, window) in enumerate(cuts)
                ]
            )
        else:
            assert mel is not None
            view = stages.view(target)
            for place, (row, window) in enumerate(cuts):
                view[place] = mel[row, window.start : window.stop].T
            stages.upload([target])
        stages.device.launch(launch)
        wav = stages.read([launch.placed("wav")])["wav"]
        for place, (row, window) in enumerate(cuts):
            skipped = (window.keep_start - window.start) * hop
            kept = (window.keep_stop - window.keep_start) * hop
            start = window.keep_start * hop
            rows[row][start : start + kept] = wav[place, skipped : skipped + kept]


def _has_channels(launch: Launch) -> bool:
    return any(item.name == MEL_BY_CHANNEL for item in launch.outputs)


def _move(source: Placed, row: int, window: Window, target: Placed, place: int) -> Move:
    """Copy a window of ``source`` [B, n_mels, F] to ``target`` [K, n_mels, W]."""
    item_bytes = np.dtype(source.dtype).itemsize
    _, channels, frames = source.shape
    width = window.stop - window.start
    return Move(
        source.offset + (row * channels * frames + window.start) * item_bytes,
        frames * item_bytes,
        target.offset + place * channels * width * item_bytes,
        width * item_bytes,
        width * item_bytes,
        channels,
    )


def _batches(cuts: Sequence[tuple[int, Window]], most: Callable[[int], int]) -> Iterator[Sequence[tuple[int, Window]]]:
    """Put windows of one width together, as many as the vocoder takes at once."""
    by_width: dict[int, list[tuple[int, Window]]] = {}
    for cut in cuts:
        by_width.setdefault(cut[1].stop - cut[1].start, []).append(cut)
    for width, members in by_width.items():
        step = max(1, most(width))
        yield from (members[start : start + step] for start in range(0, len(members), step))
