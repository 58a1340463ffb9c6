from __future__ import annotations

import json
from dataclasses import replace

import pytest

from emotirt.bundle.plans import (
    FP16,
    INT8,
    TENSORRT,
    TENSORRT_RTX,
    PlanKey,
    PlanRecord,
    Profile,
    ShapeRange,
    json_from_record,
    record_from_json,
    stage_precision,
)

PROFILE = Profile((("mel", ShapeRange((1, 80, 50), (8, 80, 122), (32, 80, 200))),))
KEY = PlanKey("vocoder", "fp16", "ab" * 32, TENSORRT, "10.9.0.34", "NVIDIA A10G", ("8.6",), (PROFILE,))
RECORD = PlanRecord(KEY, "cd" * 32, 123, "ef" * 32, 1.5)


def test_a_record_survives_json() -> None:
    assert record_from_json(json_from_record(RECORD)) == RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "decoder"},
        {"precision": "int8"},
        {"graph_sha256": "00" * 32},
        {"adapter": TENSORRT_RTX},
        {"tensorrt_version": "10.9.0.35"},
        {"gpu_name": "NVIDIA H200"},
        {"compute_capabilities": ("9.0",)},
        {"profiles": (PROFILE, PROFILE)},
        {"version_compatible": True},
        {"optimization_level": 2},
        {"recipe": KEY.recipe + 1},
    ],
)
def test_every_field_makes_another_plan(change: dict[str, object]) -> None:
    other = replace(KEY, **change)
    assert other.digest != KEY.digest
    assert KEY.difference(other)
    assert record_from_json(json_from_record(replace(RECORD, key=other))).key == other


def test_what_a_plan_can_stand_for() -> None:
    assert not KEY.difference(KEY)
    several = replace(KEY, adapter=TENSORRT_RTX, gpu_name="", compute_capabilities=("8.6", "8.9"))
    assert not several.difference(replace(several, gpu_name="GeForce RTX 4090", compute_capabilities=("8.9",)))
    assert "compute capability" in several.difference(replace(several, compute_capabilities=("12.0",)))
    lasting = replace(KEY, version_compatible=True)
    assert not lasting.difference(replace(KEY, tensorrt_version="10.16.1"))
    assert "version" in lasting.difference(replace(KEY, tensorrt_version="10.8.0"))
    assert "version" in lasting.difference(replace(KEY, tensorrt_version="11.1.0"))
    slow = replace(KEY, optimization_level=5)
    assert not slow.difference(KEY)
    assert "optimization level" in slow.difference(replace(KEY, optimization_level=4))
    assert "NVIDIA A10G" in KEY.difference(replace(KEY, gpu_name="NVIDIA A10"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        json.dumps({"record_version": 99}).encode(),
        json_from_record(RECORD).replace(b'"plan_bytes": 123', b'"plan_bytes": "123"'),
        json_from_record(RECORD).replace(b'"plan_bytes": 123', b'"plan_bites": 123'),
        json_from_record(RECORD).replace(b'"stage"', b'"stages"'),
        json_from_record(RECORD).replace(b'"min"', b'"least"'),
        json_from_record(RECORD)[:-40],
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no JSON|no record of version|incomplete|plan_bytes"):
        record_from_json(data)


def test_profiles_cover_shapes_axis_by_axis() -> None:
    assert PROFILE.covers({"mel": (32, 80, 50)})
    assert not PROFILE.covers({"mel": (33, 80, 50)})
    assert not PROFILE.covers({"mel": (1, 80, 49)})
    assert not PROFILE.covers({"mel": (1, 80)})
    assert not PROFILE.covers({})
    assert not PROFILE.covers({"mel": (1, 80, 50), "more": (1,)})


def test_only_the_vocoder_is_quantized() -> None:
    assert stage_precision("vocoder", INT8) == INT8
    assert stage_precision("decoder", INT8) == FP16
    assert stage_precision("decoder", "float32") == "float32"
