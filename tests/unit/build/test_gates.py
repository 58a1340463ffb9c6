"""A precision passes when it sounds alike, and is refused, with reasons, when it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.unit.build.perturbed import perturbed

from emotirt.build import derive
from emotirt.build.gates import LIMITS, compare_paths, compare_precision
from emotirt.build.precision import measured_quantization, precision_graph
from emotirt.build.spoken import Spoken, spoken_utterances
from emotirt.bundle.contract import DECODER, REFERENCE_ENCODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle, open_bundle
from emotirt.cli.main import main
from emotirt.engine import Engine, SpeechRequest
from emotirt.errors import BuildError, ParityFailed
from emotirt.runtime.open import open_runner
from emotirt.runtime.ort import OrtRunner
from emotirt.runtime.runner import Array
from emotirt.types import FloatArray

TEXTS = {"en": ("Yes.", "The ferry leaves at nine."), "zh": ("早上好，大家请坐。",)}


@pytest.fixture(scope="module")
def spoken(opened_bundle: Bundle) -> list[Spoken]:
    return spoken_utterances(opened_bundle, TEXTS)


def render(mel: Array) -> FloatArray:
    """Audible enough for a comparison: every band of a frame in a row."""
    return np.asarray(mel[0].repeat(4, axis=1).ravel() * 0.1)


def compared(bundle: Bundle, stage: str, candidate: OrtRunner, spoken: list[Spoken]) -> list[str]:
    closeness = compare_precision(
        stage, open_runner(bundle, stage, threads=1), candidate, spoken, bundle.manifest, render
    )
    return closeness.problems(LIMITS["fp16"])


def test_utterances_are_labelled_from_the_shortest_to_the_longest(opened_bundle: Bundle, spoken: list[Spoken]) -> None:
    assert [item.tokens for item in spoken] == sorted(item.tokens for item in spoken)
    runner = open_runner(opened_bundle, VOCODER, threads=1)
    same = compare_precision(VOCODER, runner, runner, spoken, opened_bundle.manifest, render)
    assert [item.label for item in same.utterances] == ["min", "opt", "max"]
    assert same.figures()["snr_db"] == 200.0
    same.check(LIMITS["fp16"])


@pytest.mark.parametrize(
    ("stage", "weight", "figure"),
    [
        (TEXT_ENCODER, "duration_predictor.out.bias", "durations_changed"),
        (DECODER, "to_mel.bias", "snr_db"),
        (VOCODER, "upsamplers.1.weight.half", "snr_db"),
        (REFERENCE_ENCODER, "speaker_out.weight.half", "cosine"),
    ],
)
def test_each_stage_can_fail(opened_bundle: Bundle, spoken: list[Spoken], stage: str, weight: str, figure: str) -> None:
    problems = compared(opened_bundle, stage, perturbed(opened_bundle, stage, weight, 0.3), spoken)
    assert any(figure in item for item in problems), problems
    assert not compared(opened_bundle, stage, perturbed(opened_bundle, stage, weight, 0.0), spoken)


def test_values_that_are_not_finite_are_refused(opened_bundle: Bundle, spoken: list[Spoken]) -> None:
    with pytest.raises(ParityFailed, match="not finite"):
        compared(opened_bundle, DECODER, perturbed(opened_bundle, DECODER, "to_mel.bias", float("nan")), spoken)


def test_paths_with_other_durations_do_not_pass(opened_bundle: Bundle, spoken: list[Spoken]) -> None:
    runners = {stage: open_runner(opened_bundle, stage, threads=1) for stage in opened_bundle.manifest.stages}
    same = compare_paths(spoken, spoken_utterances(opened_bundle, TEXTS, runners=runners), opened_bundle.manifest)
    assert same.figures()["durations_changed"] == 0
    assert same.figures()["snr_db"] == 200.0
    runners |= {TEXT_ENCODER: perturbed(opened_bundle, TEXT_ENCODER, "duration_predictor.out.bias", 0.3)}
    other = compare_paths(spoken, spoken_utterances(opened_bundle, TEXTS, runners=runners), opened_bundle.manifest)
    assert other.figures()["durations_changed"] > 0
    with pytest.raises(ParityFailed, match="durations_changed"):
        other.check(LIMITS["fp16"])


def test_a_derived_bundle_speaks(opened_bundle: Bundle, tmp_path: Path) -> None:
    made = derive.derive_bundle(opened_bundle, "fp16", tmp_path / "half", TEXTS)
    assert [item.stage for item in made.parity] == [*opened_bundle.manifest.stages, "path"]
    assert made.bundle.manifest.voices == opened_bundle.manifest.voices
    assert made.bundle.stage_bytes(VOCODER) == precision_graph(opened_bundle, VOCODER, "fp16")
    with Engine.open(made.bundle.path, threads=1) as half, Engine.open(opened_bundle.path, threads=1) as whole:
        first, second = (
            engine.say(SpeechRequest("The ferry leaves at nine.")).audio.samples for engine in (whole, half)
        )
    assert first.shape == second.shape
    assert 0 < np.abs(first - second).max() < 0.02


def test_nothing_is_written_that_does_not_sound_alike(
    opened_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, "fp16", LIMITS["int8"].__class__(500.0, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(ParityFailed, match=r"at least 500 is wanted; .*not offered"):
        derive.derive_bundle(opened_bundle, "fp16", tmp_path / "half", TEXTS)
    assert not (tmp_path / "half").exists()


def test_an_int8_vocoder_is_measured_layer_by_layer(opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotirt.build.precision.TEXTS", TEXTS)
    found = measured_quantization(opened_bundle)
    assert [item.cost for item in found.costs] == sorted((item.cost for item in found.costs), reverse=True)
    assert set(found.kept) == {item.layer for item in found.costs[: len(found.kept)]}  # only the costliest
    assert len(found.kept) < len(found.costs)
    graph = onnx.load_from_string(precision_graph(opened_bundle, VOCODER, "int8", found))
    assert "QuantizeLinear" in {node.op_type for node in graph.graph.node}
    assert precision_graph(opened_bundle, DECODER, "int8", found) == precision_graph(opened_bundle, DECODER, "fp16")
    with pytest.raises(BuildError, match="stage decoder is not quantized"):
        measured_quantization(opened_bundle, DECODER)


def test_the_command_derives(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derive, "TEXTS", TEXTS)
    out = tmp_path / "half"
    assert main(["build", "--precision", "fp16", "--bundle", str(tiny_bundle), "--out", str(out)]) == 0
    assert "path" in capsys.readouterr().out
    assert open_bundle(out).manifest.name == open_bundle(tiny_bundle).manifest.name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "fp16"], "give --out DIR"),
        (["--precision", "float32", "--out", "x"], "writes a bundle derived"),
        (["--precision", "fp16", "--out", "x", "--stage", "decoder"], "--stage goes with --target"),
    ],
)
def test_options_that_do_not_go_together(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", *options]) != 0
    assert message in capsys.readouterr().err
