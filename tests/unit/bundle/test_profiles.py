from __future__ import annotations

from dataclasses import replace

import pytest

from emotirt.bundle.contract import STAGES, stage_contract
from emotirt.bundle.manifest import Manifest, check_manifest, json_from_manifest, manifest_from_json
from emotirt.bundle.profiles import (
    STATIC_TOKENS,
    covering_profile,
    plan_profiles,
    stage_profiles,
    window_widths_frames,
)
from emotirt.bundle.store import default_bundle_path, open_bundle
from emotirt.errors import ManifestInvalid
from emotirt.runtime.buckets import StageShapes


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return open_bundle(default_bundle_path()).manifest


def test_every_profile_fits_the_contract(manifest: Manifest) -> None:
    for stage in STAGES:
        specs = stage_contract(stage, manifest.dimensions).inputs
        profiles = stage_profiles(manifest, stage)
        assert len(set(profiles)) == len(profiles) > 0
        for profile in profiles:
            assert [name for name, _ in profile.inputs] == [spec.name for spec in specs]
            for spec, (_, shapes) in zip(specs, profile.inputs, strict=True):
                for axis, low, best, high in zip(spec.shape, shapes.min, shapes.opt, shapes.max, strict=True):
                    assert 1 <= low <= best <= high
                    assert isinstance(axis, str) or low == high == axis


def test_vocoder_widths_are_static_and_preferred(manifest: Manifest) -> None:
    profiles = stage_profiles(manifest, "vocoder")
    for width in window_widths_frames(manifest.vocoder_context_frames):
        index = covering_profile(profiles, {"mel": (1, 80, width)})
        assert index is not None
        shapes = profiles[index].ranges["mel"]
        assert shapes.min[2] == shapes.max[2] == width
    dynamic = covering_profile(profiles, {"mel": (1, 80, 60)})
    assert dynamic is not None
    assert not profiles[dynamic].ranges["mel"].is_static
    assert covering_profile(profiles, {"mel": (1, 80, 5000)}) is None


def test_plans_hold_all_profiles_between_them(manifest: Manifest) -> None:
    for stage, entry in manifest.stages.items():
        profiles = stage_profiles(manifest, stage)
        (wide,) = plan_profiles(manifest, stage, is_measured=False)
        assert set(wide) <= set(profiles)
        assert not any(profile.is_static for profile in wide)
        for size_bytes, most in ((1_000_000, len(profiles)), (80_000_000, 2), (200_000_000, 1)):
            sized = replace(manifest, stages={**manifest.stages, stage: replace(entry, bytes=size_bytes)})
            plans = plan_profiles(sized, stage, is_measured=True)
            assert 1 <= len(plans) <= most
            assert sorted(map(str, profiles)) == sorted(str(profile) for plan in plans for profile in plan)


def test_ordinary_speech_of_every_static_text_has_a_static_mel(manifest: Manifest) -> None:
    specs = stage_contract("decoder", manifest.dimensions).inputs
    shapes = StageShapes("decoder", specs, stage_profiles(manifest, "decoder"))
    for tokens in STATIC_TOKENS:
        frames = int(0.07 * tokens * manifest.sample_rate_hz / manifest.hop_samples)
        bucket = shapes.bucket({"batch": 1, "tokens": tokens, "frames": frames}, ("tokens",))
        assert stage_profiles(manifest, "decoder")[bucket.profile].is_static


def test_a_manifest_may_name_its_own(manifest: Manifest) -> None:
    own = replace(manifest, profiles={"vocoder": ({"batch": (1, 2, 4), "frames": (90, 90, 90)},)})
    read = manifest_from_json(json_from_manifest(own), "test")
    assert read == own
    (profile,) = stage_profiles(read, "vocoder")
    assert profile.covers({"mel": (4, 80, 90)})
    assert stage_profiles(read, "decoder") == stage_profiles(manifest, "decoder")


@pytest.mark.parametrize(
    ("profiles", "problem"),
    [
        ({"vocoder": ({"batch": (1, 2, 4)},)}, r"profiles\.vocoder: has the axes"),
        ({"vocoder": ({"batch": (2, 1, 4), "frames": (1, 1, 1)},)}, r"profiles\.vocoder\.batch: \[2, 1, 4\]"),
        ({"vocoder": ({"batch": (0, 1, 4), "frames": (1, 1, 1)},)}, r"profiles\.vocoder\.batch"),
        ({"vocoder": ()}, "is empty"),
        ({"vocodre": ({"batch": (1, 1, 4)},)}, "names no stage"),
    ],
)
def test_broken_profiles_are_told(manifest: Manifest, profiles: dict[str, object], problem: str) -> None:
    with pytest.raises(ManifestInvalid, match=problem):
        check_manifest(replace(manifest, profiles=profiles), "test")
