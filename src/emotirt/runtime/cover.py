"""Whole utterances as windows of the few widths that a vocoder's plans have; pure arithmetic on frames.

A vocoder has no mask, so a window cannot be padded; but it may always reach further into its utterance than it must,
and so a handful of widths serve utterances of every length.
"""

from __future__ import annotations

from collections.abc import Sequence

from emotirt.errors import OutOfProfile
from emotirt.runtime.buckets import BATCH, FRAMES, WINDOW_BATCHES, StageShapes
from emotirt.types import Window


def covering_windows(frame_count: int, context_frames: int, shapes: StageShapes) -> list[Window]:
    """Cover an utterance with windows of one width that take the fewest frames together.

    Args:
        frame_count: of the utterance, at least 1.
        context_frames: frames on each side that influence a frame of audio.
        shapes: of the vocoder.

    Returns: windows that lie flush with both ends; their kept parts join without gap or overlap.
    Raises: OutOfProfile: no width fits.
    """
    if shapes.holds({BATCH: 1, FRAMES: frame_count}):
        return [Window(0, frame_count, 0, frame_count)]
    choices = [windows_of_width(frame_count, context_frames, width) for width in _widths(shapes)]
    fitting = [windows for windows in choices if windows]
    if not fitting:
        raise OutOfProfile(f"no width of the vocoder's profiles covers an utterance of {frame_count} frames")
    return min(fitting, key=_work)


def _work(windows: Sequence[Window]) -> tuple[int, int]:
    """Count the frames that are computed, with the windows that only fill a batch up, and then the windows."""
    count = next((step for step in WINDOW_BATCHES if step >= len(windows)), len(windows))
    return count * (windows[0].stop - windows[0].start), len(windows)


def windows_of_width(frame_count: int, context_frames: int, width: int) -> list[Window]:
    """Cover an utterance with windows of exactly this width; empty where it is shorter, or the width all context."""
    if width > frame_count or (width < frame_count and width <= 2 * context_frames):
        return []
    windows: list[Window] = []
    kept = 0
    while kept < frame_count:
        start = min(max(0, kept - context_frames), frame_count - width)
        is_last = start + width == frame_count
        keep_stop = frame_count if is_last else start + width - context_frames
        windows.append(Window(start, start + width, kept, keep_stop))
        kept = keep_stop
    return windows


def _widths(shapes: StageShapes) -> list[int]:
    """Return the widths that kernels were chosen for alone, where there are any, else the largest of each range."""
    frames = [ranges[FRAMES] for ranges in shapes.profiles]
    alone = {found.most for found in frames if found.least == found.most}
    return sorted(alone or {found.most for found in frames})
