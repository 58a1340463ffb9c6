"""Random models for benchmarks: pinned durations, audible, marked. Small here; the sizes are the published ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.assets.emotivoice import tiny_model

from emotirt.build.emotivoice_bundle import FRAMES_PER_TOKEN, build_public_bundle, published_config, random_public_model
from emotirt.build.parity import ShapeCase
from emotirt.build.spoken import TEXTS
from emotirt.cli.main import main
from emotirt.engine import Engine, SpeechRequest
from emotirt.synthesis.frontend import frontend_from_bundle
from emotirt.text.emotivoice_reader import EmotiVoiceReader
from emotirt.text.frontend import Frontend
from emotirt.text.symbols import SymbolTable


def test_random_bundle(tmp_path: Path) -> None:
    published = tiny_model().networks.config
    assert published.prompt is not None
    config = replace(published, prompt=replace(published.prompt, vocabulary=400))
    model = random_public_model(config, seed=3, speaker_count=5)
    path = build_public_bundle(tmp_path / "b", model, "noise", cases=(ShapeCase("min", 1, 1, 1),)).bundle.path
    with Engine.open(path, threads=1) as engine:
        assert engine.bundle.manifest.random_weights
        assert engine.bundle.manifest.licence == "none: random weights"
        result = engine.say(SpeechRequest("今天天气真不错，我们去公园。", prompt="非常开心"))
        (utterance,) = frontend_from_bundle(engine.bundle).utterances("今天天气真不错，我们去公园。")
        assert len(result.audio.samples) >= utterance.token_count * FRAMES_PER_TOKEN * 256
        assert 0.01 < float(np.abs(result.audio.samples).mean()) < 0.5
        assert float(np.abs(result.audio.samples).max()) < 1.0
    again = random_public_model(config, seed=3, speaker_count=5)
    assert all(np.array_equal(again.speakers[name], row) for name, row in model.speakers.items())


def test_published_sizes() -> None:
    config = published_config()
    acoustic, vocoder = config.acoustic, config.vocoder
    assert (len(acoustic.symbols), acoustic.speaker_dim, acoustic.emotion_dim, acoustic.content_dim) == (
        502,
        384,
        768,
        768,
    )
    for stack in (acoustic.encoder, acoustic.decoder):
        assert (stack.blocks, stack.hidden, stack.heads, stack.filter, stack.kernel) == (4, 384, 8, 1536, 3)
    assert (vocoder.channels, vocoder.upsample_rates, vocoder.resblock_kernels) == (512, (8, 8, 2, 2), (3, 7, 11))
    assert (config.mel.sample_rate_hz, config.mel.hop_samples, config.mel.n_mels) == (16_000, 256, 80)


def test_published_symbols_hold_what_is_written_for_plans() -> None:
    table = SymbolTable(published_config().acoustic.symbols)
    frontend = Frontend(table, reader=EmotiVoiceReader(table))
    for sentences in TEXTS.values():
        for sentence in (*sentences, "老翁在这儿玩儿，约会。"):
            assert frontend.utterances(sentence)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--random"], "--size and --random go together"),
        (["--size", "emotivoice"], "--size and --random go together"),
        ([], "missing --acoustic, --vocoder, --vectors, --description; or give --size emotivoice --random"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["build", *arguments, "--out", str(tmp_path / "b")]) == 1
    assert words in capsys.readouterr().err
