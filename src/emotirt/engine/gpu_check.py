"""Whether a GPU's backend keeps its word: mixed requests against ONNX Runtime, memory by the driver's own counter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from emotirt.bundle.contract import PROMPT_ENCODER, VOCODER
from emotirt.bundle.profiles import window_widths_frames
from emotirt.bundle.store import Bundle
from emotirt.engine.planner import Planner
from emotirt.engine.request import SpeechRequest
from emotirt.errors import OutOfProfile
from emotirt.runtime.fused import ACOUSTIC, SPEECH
from emotirt.runtime.open import CPU_BACKEND, open_runners
from emotirt.runtime.pool import Slot, SlotPool, runner_on
from emotirt.runtime.runner import Array, Runner
from emotirt.synthesis.batch import text_encoder_feeds
from emotirt.types import FloatArray, Utterance
from emotirt.voices.condition import Condition
from emotirt.voices.prompts import PromptVectors

CHECKED_STAGES = (ACOUSTIC, SPEECH, VOCODER)
PIECES = (
    "Good morning.",
    "The train to the coast leaves at noon, and it will not wait for us.",
    "今天天气很好。",
    "我们先去公园散步，然后在河边的小店里吃一点东西。",
    "She opened the letter, read it twice, and put it back without a word.",
)
"""Joined in many ways they make sentences of every length."""
MOST_PIECES = 3
BATCHES = (1, 2, 3, 5, 8)
WINDOWS = (1, 3, 8, 17, 32)
EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the check."""

    stage: str
    feeds: dict[str, Array]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        requests: calls in each pass.
        compared: how many of them were compared with ONNX Runtime.
        out_of_profile: calls that the plans do not cover.
        durations_differ: compared rows whose durations are others; there is nothing more to compare in them.
        worst_mel_error: largest difference of a log-mel where durations agree.
        worst_snr_db: of audio where durations agree; None if none was compared.
        free_before_bytes: of the device, once every kind of request was seen.
        free_least_bytes: in the pass after that.
        free_after_bytes: at its end.
        first_pass_s: seconds, with everything that is set up on the way.
        second_pass_s: seconds.
        slots: calls under way at once.
    """

    requests: int
    compared: int
    out_of_profile: int
    durations_differ: int
    worst_mel_error: float
    worst_snr_db: float | None
    free_before_bytes: int
    free_least_bytes: int
    free_after_bytes: int
    first_pass_s: float
    second_pass_s: float
    slots: int

    @property
    def allocated_bytes(self) -> int:
        """Device memory that the second pass took at any moment; 0 in a steady state."""
        return max(0, self.free_before_bytes - self.free_least_bytes)

    def as_json(self) -> dict[str, Any]:
        """Describe it for a machine."""
        return {**asdict(self), "allocated_bytes": self.allocated_bytes}


def mixed_requests(bundle: Bundle, count: int, contents: Callable[[Sequence[str]], FloatArray] | None) -> list[Request]:
    """Make requests of every kind and many shapes, the same ones every time.

    Args:
        bundle: opened.
        count: how many.
        contents: sentences to content vectors, where the text encoder takes them.
    """
    rng = np.random.default_rng(0)
    pool = list(_utterances(bundle))
    return [_request(bundle, kind, rng, pool, contents) for kind in range(count)]


def check_pool(
    bundle: Bundle, pool: SlotPool, requests: Sequence[Request], free_bytes: Callable[[], int], compared: int
) -> Report:
    """Run requests twice, comparing some of the first pass and watching memory in the second.

    Args:
        bundle: opened.
        pool: with the stages of ``CHECKED_STAGES``; stays open.
        requests: to run.
        free_bytes: free memory of the device.
        compared: so many requests are compared with ONNX Runtime, evenly chosen.
    """
    runners = {stage: runner_on(pool, stage, bundle.manifest) for stage in CHECKED_STAGES}
    exact = open_runners(bundle, CHECKED_STAGES, CPU_BACKEND)
    findings = _Findings()
    started_s = time.perf_counter()
    for slot in pool.slots:  # each sets up every bucket for itself
        for request in requests:
            _outputs(slot, request)
    first_s = time.perf_counter() - started_s
    for request in requests[:: max(1, len(requests) // max(1, compared))]:
        outputs = _outputs(pool.slots[0], request)
        if outputs is not None:
            findings.compare(request, outputs, exact[request.stage].run(request.feeds), bundle.manifest.hop_samples)
    out_of_profile = 0
    before = least = free_bytes()
    started_s = time.perf_counter()
    for start in range(0, len(requests), len(pool.slots)):
        made = _pass(runners, requests[start : start + len(pool.slots)], len(pool.slots))
        out_of_profile += sum(outputs is None for outputs in made)
        least = min(least, free_bytes())
    second_s = time.perf_counter() - started_s
    return Report(
        len(requests),
        findings.compared,
        out_of_profile,
        findings.durations_differ,
        findings.worst_mel_error,
        findings.worst_snr_db,
        before,
        least,
        free_bytes(),
        round(first_s, 3),
        round(second_s, 3),
        len(pool.slots),
    )


class _Findings:
    """Differences from what ONNX Runtime gives."""

    def __init__(self) -> None:
        self.compared = 0
        self.durations_differ = 0
        self.worst_mel_error = 0.0
        self.worst_snr_db: float | None = None

    def compare(
        self, request: Request, found: Mapping[str, Array], expected: Mapping[str, Array], hop_samples: int
    ) -> None:
        self.compared += 1
        if request.stage == VOCODER:
            self._hear(found["wav"], expected["wav"])
            return
        for row, durations in enumerate(expected["durations"]):
            if not np.array_equal(found["durations"][row], durations):
                self.durations_differ += 1
                continue
            frames = int(durations.sum())
            if request.stage == ACOUSTIC:
                error = float(np.abs(found["mel"][row, :frames] - expected["mel"][row, :frames]).max())
                self.worst_mel_error = max(self.worst_mel_error, error)
            else:
                end = frames * hop_samples
                self._hear(found["wav"][row, :end], expected["wav"][row, :end])

    def _hear(self, found: FloatArray, expected: FloatArray) -> None:
        noise = float(np.mean(np.square(found - expected, dtype=np.float64)))
        power = float(np.mean(np.square(expected, dtype=np.float64)))
        snr_db = 10.0 * float(np.log10(max(power, EXACT**2) / max(noise, EXACT**2)))
        self.worst_snr_db = snr_db if self.worst_snr_db is None else min(self.worst_snr_db, snr_db)


def _outputs(slot: Slot, request: Request) -> dict[str, Array] | None:
    try:
        return slot.run(request.stage, request.feeds)
    except OutOfProfile:
        return None


def _pass(runners: Mapping[str, Runner], requests: Sequence[Request], at_once: int) -> list[dict[str, Array] | None]:
    def run(request: Request) -> dict[str, Array] | None:
        try:
            return runners[request.stage].run(request.feeds)
        except OutOfProfile:
            return None

    with ThreadPoolExecutor(at_once) as lanes:
        return list(lanes.map(run, requests))


def _request(
    bundle: Bundle,
    kind: int,
    rng: np.random.Generator,
    pool: Sequence[tuple[Utterance, Condition]],
    contents: Callable[[Sequence[str]], FloatArray] | None,
) -> Request:
    """Make the next request: speech, acoustic alone, acoustic in a batch, windows in a batch, a window of any width."""
    turn = kind % 5
    if turn >= 3:
        middle = window_widths_frames(bundle.manifest.vocoder_context_frames)[1]
        batch, width = (WINDOWS[kind // 5 % len(WINDOWS)], middle) if turn == 3 else (1, int(rng.integers(20, middle)))
        mel = (-5.0 + 2.0 * rng.standard_normal((batch, bundle.manifest.mel.n_mels, width))).astype(np.float32)
        return Request(VOCODER, {"mel": mel})
    count = BATCHES[kind // 5 % len(BATCHES)] if turn == 2 else 1
    members = [pool[int(place)] for place in rng.integers(0, len(pool), count)]
    vectors = None if contents is None else contents([utterance.text for utterance, _ in members])
    feeds = text_encoder_feeds([item for item, _ in members], [condition for _, condition in members], vectors)
    return Request(SPEECH if turn == 0 else ACOUSTIC, feeds)


def _utterances(bundle: Bundle) -> Iterator[tuple[Utterance, Condition]]:
    planner = Planner(bundle)
    voices, emotions = list(bundle.voices)[:8], list(bundle.emotions)
    joined = [
        " ".join(PIECES[(first + step) % len(PIECES)] for step in range(length))
        for first in range(len(PIECES))
        for length in range(1, MOST_PIECES + 1)
    ]
    for index, text in enumerate(joined):
        voice, emotion = voices[index % len(voices)], emotions[index % len(emotions)]
        plan = planner.plan(SpeechRequest(text.replace(". ", ", ").replace("。 ", "，"), voice=voice, emotion=emotion))
        yield from ((utterance, plan.condition) for utterance in plan.utterances)


def check_gpu(bundle: Bundle, backend: str, count: int = 1000, compared: int = 50) -> dict[str, Any]:
    """Check a GPU's backend whose plans are there.

    Args:
        bundle: opened.
        backend: of a GPU, by name.
        count: requests in each pass.
        compared: how many of them to compare with ONNX Runtime.

    Returns: a report for a machine: device, versions, memory, what was found, the nodes of every CUDA graph.
    Raises: BackendError: there is no GPU, or the plans are missing, or something failed.
    """
    from emotirt.runtime import cuda
    from emotirt.runtime.trt_open import describe, open_pool

    prompts = (PROMPT_ENCODER,) if PROMPT_ENCODER in bundle.manifest.stages else ()
    device = cuda.open_device()
    at_start = cuda.free_bytes()
    pool = open_pool(bundle, (*CHECKED_STAGES, *prompts), backend)
    try:
        contents = None
        if bundle.manifest.content_dim:
            contents = PromptVectors(bundle, runner_on(pool, PROMPT_ENCODER, bundle.manifest)).contents
        report = check_pool(bundle, pool, mixed_requests(bundle, count, contents), cuda.free_bytes, compared)
        return {
            "bundle": bundle.digest,
            "backend": backend,
            "device": asdict(device),
            "device_bytes": at_start - cuda.free_bytes(),
            "slots": describe(pool),
            "found": report.as_json(),
        }
    finally:
        pool.close()
