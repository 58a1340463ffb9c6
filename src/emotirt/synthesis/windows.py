"""Where the vocoder's windows lie on an utterance; pure arithmetic on frames."""

from __future__ import annotations

from itertools import pairwise

from emotirt.errors import InvalidRequest
from emotirt.types import Window


def windows(frame_count: int, context_frames: int, block_frames: int, first_block_frames: int) -> list[Window]:
    """Cover an utterance with windows whose kept parts join without gap or overlap.

    Each kept part has ``context_frames`` on each side, or ends flush with the utterance: beyond its ends the vocoder
    sees its own zero padding, exactly as when the whole utterance is vocoded at once. A rest shorter than half of the
    block before it joins that block.

    Args:
        frame_count: of the utterance, at least 1.
        context_frames: frames on each side that influence a frame of audio.
        block_frames: kept frames of every window but the first and the last.
        first_block_frames: kept frames of the first, small for early sound.

    Raises: InvalidRequest: a block of less than one frame.
    """
    _check(block_frames, first_block_frames)
    edges = [0]
    while edges[-1] < frame_count:
        block = first_block_frames if len(edges) == 1 else block_frames
        rest = frame_count - edges[-1] - block
        edges.append(frame_count if rest < block / 2 else edges[-1] + block)
    return [
        Window(max(0, start - context_frames), min(frame_count, stop + context_frames), start, stop)
        for start, stop in pairwise(edges)
    ]


def even_windows(frame_count: int, context_frames: int, block_frames: int, first_block_frames: int) -> list[Window]:
    """Cover an utterance as ``windows`` does, with windows of only two widths.

    The first is ``first_block_frames + context_frames`` wide, every other ``block_frames + 2 * context_frames``: the
    last one reaches further back than it must. So windows of all utterances share batches, and shapes that a backend
    was prepared for. Where an utterance is shorter than a window, its windows end with it. Arguments and errors are
    those of ``windows``.
    """
    _check(block_frames, first_block_frames)
    width = block_frames + 2 * context_frames
    made: list[Window] = []
    start = 0
    while start < frame_count:
        block = block_frames if made else first_block_frames
        stop = start + block
        if stop + (context_frames if made else 0) >= frame_count:
            stop = frame_count
        begin = max(0, min(start - context_frames, frame_count - width)) if made else 0
        end = min(frame_count, begin + width if made else stop + context_frames)
        made.append(Window(begin, end, start, stop))
        start = stop
    return made


def _check(block_frames: int, first_block_frames: int) -> None:
    if block_frames < 1 or first_block_frames < 1:
        raise InvalidRequest(
            f"blocks of {first_block_frames} and {block_frames} frames are not possible; at least 1 each"
        )
