"""A short fault campaign and a short soak, by their commands, on real servers with real workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emotirt.bench.askers import Answer
from emotirt.bench.expected_speech import STEPS, Known
from emotirt.bench.soak import slope
from emotirt.bench.traffic import judged
from emotirt.cli.main import main

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc, which Linux has")


def result_in(folder: Path) -> Any:
    (path,) = folder.iterdir()
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_short_fault_campaign(tiny_bundle: Path, tmp_path: Path, capsys) -> None:
    size = [
        "--requests",
        "250",
        "--rounds",
        "1",
        "--clients",
        "8",
        "--pause",
        "0.3",
        "--burst",
        "300",
        "--threads",
        "1",
    ]
    main(["bench", "faults", "--bundle", str(tiny_bundle), "--results", str(tmp_path), *size])
    capsys.readouterr()
    result = result_in(tmp_path)
    values = {key: entry["value"] for key, entry in result["values"].items()}
    details = result["details"]
    assert values == {"faults.requests": 850, "faults.lost": 0, "faults.doubled": 0, "faults.corrupt": 0}, details
    (found,) = details["rounds"]
    assert details["failed"] == 0, found["examples"]
    assert "rounded" not in found["judgements"], found["examples"]
    assert found["of_those_ended"] == found["replies_under_way_at_sigterm"]
    assert found["exit_code"] == 143
    assert found["judgements"]["spoken"] > 200
    assert found["server"]["fallbacks"] > 0
    assert found["server"]["worker_losses"] > 0
    assert sum(found["faults"].values()) > 1


def test_a_short_soak(tiny_bundle: Path, tmp_path: Path, capsys) -> None:
    size = ["--minutes", "0.03", "--rate", "30", "--rest", "0.5", "--threads", "1"]
    main(["bench", "soak", "--bundle", str(tiny_bundle), "--results", str(tmp_path), *size])
    assert "MiB an hour" in capsys.readouterr().out
    details = result_in(tmp_path)["details"]
    assert details["requests"] > 20
    assert not {"lost", "doubled", "corrupt", "failed"} & set(details["judgements"]), details["examples"]
    for watched in (details["server"], details["worker"]):
        assert all(held["memory_mib"] > 10 and held["open_files"] > 3 for held in watched["at_rest"])


SAMPLES = np.arange(-50, 50, dtype=np.int16) * 100
KNOWN = Known("Hi.", {}, SAMPLES)


def heard(samples: Any, status: int = 200, problem: str = "", **headers: str) -> str:
    return judged(Answer(status, np.asarray(samples, np.int16).tobytes(), problem, headers), KNOWN)


def test_judgements() -> None:
    assert heard(SAMPLES) == "spoken"
    assert heard(SAMPLES + STEPS, 101) == "spoken"
    assert heard(SAMPLES + (np.arange(100) == 50) * (STEPS + 1)) == "rounded"
    assert heard(SAMPLES + (np.arange(100) == 50) * 1000) == "corrupt"
    assert heard(SAMPLES[::-1]) == "corrupt"
    assert heard(SAMPLES[:-1]) == "lost"
    assert heard([]) == "lost"
    assert heard([*SAMPLES, *SAMPLES]) == "doubled"
    assert judged(Answer(200, SAMPLES.tobytes()[:-1]), KNOWN) == "corrupt"
    assert heard(SAMPLES, problem="cut off (OSError)") == "lost"
    assert heard([], 0, "cut off before (OSError)") == "lost"
    assert heard(SAMPLES[:5], problem="left") == "left"
    assert heard([], 429, "rate_limit_exceeded", **{"retry-after": "1"}) == "refused"
    assert heard([], 429, "rate_limit_exceeded") == "failed"
    assert heard([], 504, "deadline_exceeded") == "late"
    assert heard([], 101, "deadline_exceeded") == "late"
    assert heard([], 400, "unknown_voice") == "told"
    assert heard([], 503, "backend_failed") == heard(SAMPLES[:5], 200, "backend_failed") == "failed"


def test_a_slope_has_an_interval_that_holds_the_truth() -> None:
    noise = np.random.default_rng(2).normal(0.0, 1.0, 360)
    for truth in (0.0, 30.0):
        line = slope([(5.0 * index, 200.0 + truth * 5.0 * index / 3600.0 + noise[index]) for index in range(360)])
        assert line.low < truth < line.high
        assert line.high - line.low < 6.0
        assert (line.low > 0.0) == (truth > 0.0)
