from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.bundle.test_plans import KEY

from emotirt.bundle.plan_cache import PlanCache, Reason, default_cache_directory
from emotirt.bundle.plans import TENSORRT_RTX
from emotirt.errors import OutputError, PlanUnusable

DATA = bytes(range(256)) * 40


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "deep" / "plans")


def reason_of(cache: PlanCache) -> Reason:
    with pytest.raises(PlanUnusable) as caught:
        cache.load(KEY)
    message = str(caught.value)
    assert "emotirt build --target" in message
    assert str(cache.directory) in message
    return Reason(caught.value.reason)


def files(cache: PlanCache) -> set[str]:
    return {path.name for path in cache.directory.iterdir()}


def test_a_stored_plan_is_read_again(cache: PlanCache) -> None:
    record = cache.store(KEY, DATA, "ef" * 32, 1.23456)
    stored = cache.load(KEY)
    assert stored.data == DATA
    assert stored.record == record
    assert cache.find(KEY) == stored
    assert cache.records() == [record]
    assert files(cache) == {f"{KEY.digest}.plan", f"{KEY.digest}.json"}


def test_no_plan_no_directory(cache: PlanCache) -> None:
    assert reason_of(cache) is Reason.MISSING
    assert not cache.directory.exists()
    with pytest.raises(PlanUnusable, match="is not in"):
        cache.find(KEY)


def test_a_plan_cut_in_half_is_told(cache: PlanCache) -> None:
    cache.store(KEY, DATA, "ef" * 32, 1.0)
    os.truncate(cache.plan_path(KEY), len(DATA) // 2)
    assert reason_of(cache) is Reason.TRUNCATED


def test_a_flipped_bit_is_told(cache: PlanCache) -> None:
    cache.store(KEY, DATA, "ef" * 32, 1.0)
    cache.plan_path(KEY).write_bytes(b"\x01" + DATA[1:])
    assert reason_of(cache) is Reason.DAMAGED


def test_a_plan_without_its_file_or_record_is_told(cache: PlanCache) -> None:
    cache.store(KEY, DATA, "ef" * 32, 1.0)
    cache.plan_path(KEY).unlink()
    assert reason_of(cache) is Reason.MISSING
    cache.record_path(KEY).write_bytes(b"{")
    assert reason_of(cache) is Reason.DAMAGED
    assert cache.records() == []
    cache.record_path(KEY).unlink()
    cache.record_path(KEY).mkdir()
    assert reason_of(cache) is Reason.UNREADABLE


def test_a_renamed_plan_is_foreign(cache: PlanCache) -> None:
    other = replace(KEY, gpu_name="NVIDIA H200", compute_capabilities=("9.0",))
    cache.store(other, DATA, "ef" * 32, 1.0)
    for there, wanted in (
        (cache.plan_path(other), cache.plan_path(KEY)),
        (cache.record_path(other), cache.record_path(KEY)),
    ):
        there.rename(wanted)
    assert reason_of(cache) is Reason.FOREIGN
    assert cache.records() == []


def test_the_nearest_plan_says_how_it_differs(cache: PlanCache) -> None:
    cache.store(replace(KEY, stage="decoder"), DATA, "ef" * 32, 1.0)
    cache.store(replace(KEY, tensorrt_version="10.0.1"), DATA, "ef" * 32, 1.0)
    with pytest.raises(PlanUnusable, match=r"built by version 10\.0\.1, here is 10\.9\.0\.34") as caught:
        cache.find(KEY)
    assert caught.value.reason is Reason.STALE


def test_a_plan_for_several_capabilities_is_found(cache: PlanCache) -> None:
    several = replace(KEY, adapter=TENSORRT_RTX, gpu_name="", compute_capabilities=("8.6", "8.9"))
    cache.store(several, DATA, "ef" * 32, 1.0)
    found = cache.find(replace(several, gpu_name="NVIDIA GeForce RTX 3090", compute_capabilities=("8.6",)))
    assert (found.record.key, found.data) == (several, DATA)


def test_the_best_of_several_is_found(cache: PlanCache) -> None:
    better = replace(KEY, optimization_level=5)
    for key, data in ((KEY, b"usual"), (better, b"better"), (replace(KEY, optimization_level=2), b"quick")):
        cache.store(key, data, "ef" * 32, 1.0)
    assert cache.find(KEY).data == b"better"
    assert cache.load(KEY).data == b"usual"
    assert cache.find(replace(KEY, optimization_level=2)).data == b"quick"


def test_a_full_disk_leaves_the_cache_as_it_was(cache: PlanCache) -> None:
    kept = replace(KEY, stage="decoder")
    cache.store(kept, DATA, "ef" * 32, 1.0)
    before = files(cache)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(DATA) // 2, hard))  # files can grow so far: as a full disk
    try:
        with pytest.raises(OutputError, match=r"cannot be written: .*--cache"):
            cache.store(KEY, DATA, "ef" * 32, 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(cache) == before
    assert cache.load(kept).data == DATA
    assert reason_of(cache) is Reason.MISSING


def test_a_place_that_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = PlanCache(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot be written"):
        cache.store(KEY, DATA, "ef" * 32, 1.0)
    with pytest.raises(OutputError, match="cannot be written"), cache.building(KEY):
        pass


def test_the_second_builder_waits_for_the_first(cache: PlanCache) -> None:
    holder = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from tests.unit.bundle.test_plans import KEY
        from emotirt.bundle.plan_cache import PlanCache
        cache = PlanCache(Path(sys.argv[1]))
        with cache.building(KEY):
            print("held", flush=True)
            sys.stdin.readline()
            cache.store(KEY, b"made by the first", "ef" * 32, 1.0)
        """
    )
    command = [sys.executable, "-c", holder, str(cache.directory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(PlanUnusable):
            cache.load(KEY)
        waits = []

        def waiting() -> None:
            waits.append(1)
            assert first.stdin is not None
            first.stdin.write("\n")
            first.stdin.flush()

        with cache.building(KEY, waiting):
            assert cache.load(KEY).data == b"made by the first"
        assert waits == [1]
    assert first.returncode == 0
    with cache.building(KEY, waiting):
        pass
    assert waits == [1]


def test_the_default_place_is_the_users_cache() -> None:
    assert default_cache_directory().is_relative_to(Path.home())
    assert PlanCache().directory == default_cache_directory()


def test_timing_caches_are_kept_apart(cache: PlanCache) -> None:
    paths = {
        cache.timing_cache_path("tensorrt8", "8.6.0", "NVIDIA H200"),
        cache.timing_cache_path("tensorrt8", "8.6.1", "NVIDIA H200"),
        cache.timing_cache_path("tensorrt8", "8.6.0", "NVIDIA/H100"),
        cache.timing_cache_path("tensorrt", "8.6.0", "NVIDIA H200"),
    }
    assert len(paths) == 4
    path = min(paths)
    cache.store_timing(path, b"times")
    assert path.read_bytes() == b"times"
    assert all(item.parent == cache.directory for item in paths)
