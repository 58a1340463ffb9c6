"""The check of a GPU's backend, here with ONNX Runtime in the GPU's place: the same buckets, slots and comparisons."""

from __future__ import annotations

import json

import numpy as np
import pytest

from emotirt.bundle.contract import SPEAKING_STAGES
from emotirt.bundle.store import Bundle
from emotirt.engine.gpu_check import check_gpu, check_pool, mixed_requests
from emotirt.errors import BackendUnavailable
from emotirt.runtime.gpu import find_gpu
from emotirt.runtime.host_device import host_pool
from emotirt.runtime.open import hindrances, open_runners


def test_mixed_requests_keep_to_what_onnxruntime_gives(opened_bundle: Bundle) -> None:
    runners = open_runners(opened_bundle, SPEAKING_STAGES, threads=1)
    requests = mixed_requests(opened_bundle, 10, None)
    free = iter([1000, *[1000] * 3, 900, *[1000] * 100])
    report = check_pool(opened_bundle, host_pool(opened_bundle.manifest, runners, 2), requests, lambda: next(free), 10)
    assert (report.requests, report.compared, report.out_of_profile, report.slots) == (10, 10, 0, 2)
    assert report.durations_differ == 0
    assert report.worst_mel_error < 1e-3
    assert report.worst_snr_db is not None
    assert report.worst_snr_db > 50.0
    assert report.allocated_bytes == 100
    assert json.loads(json.dumps(report.as_json()))["allocated_bytes"] == 100


def test_requests_are_the_same_every_time_and_of_many_shapes(opened_bundle: Bundle) -> None:
    first, second = (mixed_requests(opened_bundle, 25, None) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.stage == other.stage
        assert all(np.array_equal(one.feeds[name], other.feeds[name]) for name in one.feeds)
    assert len({next(iter(request.feeds.values())).shape for request in first}) > 12


def test_without_a_gpu_it_says_so(opened_bundle: Bundle) -> None:
    if gpu_is_here():
        pytest.skip("there is a GPU")
    with pytest.raises(BackendUnavailable, match=r"(?i)driver|cuda-bindings"):
        check_gpu(opened_bundle, "tensorrt-rtx", 5, 5)


@pytest.mark.gpu
@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_gpu_keeps_its_word(opened_bundle: Bundle, backend: str) -> None:
    reason = hindrances(opened_bundle)[backend]
    if reason and not reason.startswith("no "):
        pytest.skip(reason)
    if not gpu_is_here():
        pytest.skip("no NVIDIA GPU is here")
    from emotirt.engine.plans import make_missing_plans

    make_missing_plans(opened_bundle, f"{backend}@float32")
    found = check_gpu(opened_bundle, f"{backend}@float32", 200, 40)["found"]
    assert found["allocated_bytes"] == 0
    assert found["durations_differ"] == 0
    assert found["worst_mel_error"] < 1e-2
    assert found["out_of_profile"] == 0


def gpu_is_here() -> bool:
    try:
        find_gpu()
    except BackendUnavailable:
        return False
    return True
