"""Both backends on the same graphs: the same numbers, the same refusals."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tests.assets.make_tiny_bundle import TINY_STAGES

from emotirt.bundle.contract import DECODER, TEXT_ENCODER, VOCODER
from emotirt.bundle.store import Bundle, open_bundle, stage_file_name
from emotirt.errors import BackendError, BackendUnavailable, BundleError, ManifestInvalid
from emotirt.runtime.open import AUTO, backends, default_threads, open_runner, resolve_backend
from emotirt.runtime.ort import OrtRunner
from emotirt.runtime.runner import Runner

BACKENDS = ("onnxruntime", "torch")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def vocoder(opened_bundle: Bundle, backend: str) -> Iterator[Runner]:
    runner = open_runner(opened_bundle, VOCODER, backend, threads=1)
    yield runner
    runner.close()


def mel(frames: int, batch: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(frames)
    return {"mel": (-5 + 2 * rng.standard_normal((batch, 80, frames))).astype(np.float32)}


@pytest.mark.parametrize("stage", TINY_STAGES)
def test_specs_are_those_of_the_manifest(opened_bundle: Bundle, backend: str, stage: str) -> None:
    runner = open_runner(opened_bundle, stage, backend, threads=1)
    entry = opened_bundle.manifest.stages[stage]
    assert [(spec.name, spec.dtype, spec.shape) for spec in runner.inputs] == [
        (item.name, item.dtype, item.shape) for item in entry.inputs
    ]
    assert [spec.name for spec in runner.outputs] == [item.name for item in entry.outputs]
    runner.close()


def test_outputs_have_the_promised_shape_and_type(vocoder: Runner) -> None:
    wav = vocoder.run(mel(5, batch=3))["wav"]
    assert wav.shape == (3, 5 * 256)
    assert wav.dtype == np.float32


def test_the_same_feeds_give_the_same_bytes(vocoder: Runner) -> None:
    assert vocoder.run(mel(40))["wav"].tobytes() == vocoder.run(mel(40))["wav"].tobytes()


def test_feeds_may_be_read_only_or_strided(vocoder: Runner) -> None:
    expected = vocoder.run(mel(9))["wav"]
    strided = np.repeat(mel(9)["mel"], 2, axis=2)[:, :, ::2]
    strided.setflags(write=False)
    np.testing.assert_array_equal(vocoder.run({"mel": strided})["wav"], expected)


def test_wrong_feeds_are_refused(vocoder: Runner) -> None:
    with pytest.raises(BackendError, match=r"stage vocoder takes \['mel'\]"):
        vocoder.run({})
    with pytest.raises(BackendError, match="'mel' of stage vocoder is float64"):
        vocoder.run({"mel": mel(3)["mel"].astype(np.float64)})
    assert vocoder.run(mel(3))["wav"].shape == (1, 768)


def test_a_symbol_that_does_not_exist_is_an_error(
    opened_bundle: Bundle, backend: str, capfd: pytest.CaptureFixture[str]
) -> None:
    runner = open_runner(opened_bundle, TEXT_ENCODER, backend, threads=1)
    unit = np.eye(1, 256, dtype=np.float32)
    controls = dict.fromkeys(("pitch_shift", "pitch_range", "energy", "speed"), np.ones(1, np.float32))
    feeds = {"ids": np.array([[10**6]]), "lengths": np.array([1]), "speaker": unit, "emotion": unit, **controls}
    with pytest.raises(BackendError, match="stage text_encoder failed"):
        runner.run(feeds)
    assert capfd.readouterr() == ("", "")  # the error is the exception, and nothing beside it
    assert runner.run(feeds | {"ids": np.array([[1]])})["durations"].shape == (1, 1)


def test_threads_share_a_runner(vocoder: Runner) -> None:
    expected = {frames: vocoder.run(mel(frames))["wav"] for frames in range(1, 25)}
    with ThreadPoolExecutor(4) as pool:
        found = dict(pool.map(lambda frames: (frames, vocoder.run(mel(frames))["wav"]), expected))
    for frames, wav in expected.items():
        np.testing.assert_array_equal(found[frames], wav)


def test_a_closed_session_says_so(opened_bundle: Bundle) -> None:
    runner = open_runner(opened_bundle, VOCODER, "onnxruntime", threads=1)
    runner.close()
    runner.close()
    with pytest.raises(BackendError, match=r"vocoder was closed"):
        runner.run(mel(3))


def test_backend_names() -> None:
    assert backends() == ("tensorrt", "tensorrt-rtx", *BACKENDS)
    assert resolve_backend(AUTO) == "onnxruntime"
    assert resolve_backend("torch") == "torch"
    with pytest.raises(BackendUnavailable, match=r"'abacus'.*auto, tensorrt, tensorrt-rtx, onnxruntime, torch"):
        resolve_backend("abacus")
    assert default_threads() >= 1


@pytest.mark.parametrize(
    ("backend", "module", "words"),
    [("onnxruntime", "onnxruntime", "pip install onnxruntime"), ("torch", "torch", r"emotirt\[train\]")],
)
def test_a_missing_library_is_named(
    opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, backend: str, module: str, words: str
) -> None:
    for name in list(sys.modules):
        if name.startswith("emotirt.runtime.") and name != "emotirt.runtime.open":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Exception, match=words) as caught:
        open_runner(opened_bundle, VOCODER, backend, threads=1)
    assert type(caught.value) is BackendUnavailable


def test_an_unknown_stage_is_named(opened_bundle: Bundle, backend: str) -> None:
    with pytest.raises(BundleError, match="'prompt_encoder'"):
        open_runner(opened_bundle, "prompt_encoder", backend, threads=1)


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(BackendError, match="stage vocoder cannot be loaded in onnxruntime"):
        OrtRunner(VOCODER, b"no graph", (), (), 1)


def altered(tiny_bundle: Path, directory: Path, stage: str | None = None, graph: bytes = b"", **model: Any) -> Bundle:
    """A copy whose hashes are right though a graph or the model configuration is wrong."""
    shutil.copytree(tiny_bundle, directory)
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["model"] |= model
    if stage is not None:
        (directory / stage_file_name(stage)).write_bytes(graph)
        manifest["stages"][stage] |= {"sha256": hashlib.sha256(graph).hexdigest(), "bytes": len(graph)}
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return open_bundle(directory)


def test_a_graph_that_is_none_is_refused(tiny_bundle: Path, tmp_path: Path, backend: str) -> None:
    bundle = altered(tiny_bundle, tmp_path / "b", VOCODER, b"\xff no graph at all")
    with pytest.raises(BackendError, match="stage vocoder"):
        open_runner(bundle, VOCODER, backend, threads=1)


@pytest.mark.parametrize("other", [DECODER, TEXT_ENCODER])
def test_a_graph_of_another_stage_is_refused(tiny_bundle: Path, tmp_path: Path, backend: str, other: str) -> None:
    graph = (tiny_bundle / stage_file_name(other)).read_bytes()
    bundle = altered(tiny_bundle, tmp_path / "b", VOCODER, graph)
    with pytest.raises(BackendError, match="vocoder"):
        open_runner(bundle, VOCODER, backend, threads=1)


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ({"vocoder": {"channels": 32}}, BackendError, "lacks weights"),
        ({"vocoder": {"chanels": 16}}, ManifestInvalid, "chanels"),
        ({"acoustic": None}, ManifestInvalid, "acoustic"),
    ],
)
def test_a_model_configuration_that_does_not_fit_is_named(
    tiny_bundle: Path, tmp_path: Path, model: dict[str, Any], error: type[Exception], words: str
) -> None:
    bundle = altered(tiny_bundle, tmp_path / "b", **model)
    with pytest.raises(error, match=words):
        open_runner(bundle, VOCODER, "torch", threads=1)
    open_runner(bundle, VOCODER, "onnxruntime", threads=1).close()


def test_a_table_of_other_symbols_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    model = onnx.load_from_string((tiny_bundle / stage_file_name(TEXT_ENCODER)).read_bytes())
    table = next(item for item in model.graph.initializer if item.name == "embedding.table.half")
    table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table)[:-1], table.name))
    bundle = altered(tiny_bundle, tmp_path / "b", TEXT_ENCODER, model.SerializeToString())
    with pytest.raises(BackendError, match=r"lacks weights .*embedding\.table"):
        open_runner(bundle, TEXT_ENCODER, "torch", threads=1)
