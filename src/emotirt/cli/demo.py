"""Write samples in several languages, voices and emotions, and say how long each took."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotirt.audio.wav import wav_from_audio
from emotirt.cli.arguments import add_engine_arguments, open_engine
from emotirt.cli.output import make_directory, write_file

if TYPE_CHECKING:
    from emotirt.engine import Engine

TEXTS = {
    "en": "Good morning! The train to the coast leaves at half past nine, and I have saved you a seat by the window.",
    "zh": "早上好！开往海边的火车九点半出发，我给你留了一个靠窗的座位。",
    "mixed": "我刚刚收到一封 email，会议改到 Friday 下午三点，please let me know 你能不能来。",
}
MOST_VOICES = 12
"""An imported bundle has thousands."""
EMOTION_TEXT = "I did not expect to see you here today."
EMOTION_TEXT_ZH = "没想到今天会在这里见到你。"


@dataclass(frozen=True, slots=True)
class Sample:
    """One file of the demo.

    Attributes:
        file: its name.
        text: what is said.
        voice: by whom; None for the default.
        emotion: how.
    """

    file: str
    text: str
    voice: str | None = None
    emotion: str = "neutral"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt demo``."""
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="where to write (default: demo)")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write every sample."""
    make_directory(args.out)
    started = time.perf_counter()
    engine = open_engine(args)
    sys.stdout.write(f"loaded in {time.perf_counter() - started:.2f} s\n")
    for sample in samples(engine):
        _write(engine, sample, args.out)
    return 0


def samples(engine: Engine) -> list[Sample]:
    """Return what the demo says: three texts, the first dozen voices in their languages, every emotion."""
    found = [Sample(f"{name}.wav", text) for name, text in TEXTS.items()]
    for voice in engine.bundle.manifest.voices[:MOST_VOICES]:
        text = TEXTS["zh" if voice.language == "zh" else "en"]
        found.append(Sample(f"voice-{voice.name}.wav", text, voice.name))
    found += [Sample(f"emotion-{item.name}.wav", EMOTION_TEXT, emotion=item.name) for item in engine.emotions]
    found += [Sample(f"emotion-{item.name}-zh.wav", EMOTION_TEXT_ZH, emotion=item.name) for item in engine.emotions]
    return found


def _write(engine: Engine, sample: Sample, directory: Path) -> None:
    from emotirt.engine import SpeechRequest

    started = time.perf_counter()
    result = engine.say(SpeechRequest(sample.text, voice=sample.voice, emotion=sample.emotion))
    path = directory / sample.file
    write_file(path, wav_from_audio(result.audio))
    elapsed_s = time.perf_counter() - started
    sys.stdout.write(f"{path}: {result.audio.duration_s:.2f} s of audio in {1000 * elapsed_s:.0f} ms\n")
    sys.stdout.flush()
