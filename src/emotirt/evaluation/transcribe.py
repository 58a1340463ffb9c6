"""Any speech recognizer that the user plugs in: a command that reads a wav and prints text, or a Python function."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from emotirt.audio.wav import wav_from_audio
from emotirt.errors import BackendUnavailable
from emotirt.evaluation.findings import Findings, Player, Table
from emotirt.evaluation.per import SentenceErrors, error_rate, rate_estimate
from emotirt.text.distance import edit_distance
from emotirt.training.corpus import Clip
from emotirt.types import Audio, FloatArray

RATE_HZ = 16_000
TIMEOUT_S = 300.0
PLACE = "{wav}"

Transcriber = Callable[[FloatArray, str], str]
"""Takes float32 [samples] at 16 kHz and a language, ``en`` or ``zh``; returns what was said."""


def open_transcriber(what: str) -> Transcriber:
    """Open a recognizer.

    Args: what: ``module:function`` taking (samples, language), or a command line; ``{wav}`` stands for the file, and
        comes last if it is not named; ``{language}`` for the language.

    Raises: BackendUnavailable: no such module or function.
    """
    module, colon, function = what.partition(":")
    if colon and module.replace(".", "").isidentifier() and function.isidentifier():
        try:
            found: Transcriber = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as exc:
            raise BackendUnavailable(f"cannot load the recognizer {what!r}: {exc}; give module:function") from exc
        return found
    return lambda samples, language: _run(what, samples, language)


def _run(command: str, samples: FloatArray, language: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        path.write_bytes(wav_from_audio(Audio(samples, RATE_HZ)))
        words = shlex.split(command if PLACE in command else f"{command} {PLACE}")
        filled = [word.replace(PLACE, str(path)).replace("{language}", language) for word in words]
        try:
            done = subprocess.run(filled, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise BackendUnavailable(f"the recognizer {words[0]!r} could not be run: {exc}") from exc
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BackendUnavailable(f"the recognizer {command!r} ended with status {done.returncode}: {last}")
    return done.stdout.strip()


def units(text: str, language: str) -> list[str]:
    """Split text into what is counted: words of English, characters of Mandarin; case and punctuation do not count."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(sign if sign.isalnum() or sign == "'" else " " for sign in plain)
    return list("".join(kept.split())) if language == "zh" else kept.split()


def transcription_errors(wanted: str, heard: str, language: str) -> SentenceErrors:
    """Count word or character errors.

    Raises: ValueError: nothing is wanted.
    """
    reference = units(wanted, language)
    if not reference:
        raise ValueError(f"{wanted!r} holds nothing to count")
    return SentenceErrors(edit_distance(reference, units(heard, language)), len(reference))


def score_transcripts(
    transcribe: Transcriber, clips: Sequence[Clip], human: Sequence[FloatArray], ours: Sequence[FloatArray]
) -> Findings:
    """Transcribe people and synthesis saying the same sentences; words count in English, characters in Mandarin."""
    report: dict[str, dict[str, object]] = {}
    rows = []
    for language in sorted({clip.language for clip in clips}):
        picked = [index for index, clip in enumerate(clips) if clip.language == language]
        sides = {}
        for name, samples in (("people", human), ("synthesized", ours)):
            heard = [transcribe(samples[index], language) for index in picked]
            sides[name] = [
                transcription_errors(clips[index].text, text, language)
                for index, text in zip(picked, heard, strict=True)
            ]
        report[language] = {
            "sentences": len(picked),
            **{name: rate_estimate(errors).to_dict() for name, errors in sides.items()},
        }
        rates = [error_rate(errors) for errors in sides.values()]
        rows.append((language, len(picked), *rates, rates[1] / max(rates[0], 1e-9)))
    return Findings(
        part="transcripts",
        title="Understood by the recognizer that was plugged in",
        details={"languages": report},
        tables=(Table("Error rates", ("language", "sentences", "people", "synthesized", "ratio"), tuple(rows)),),
        players=tuple(Player(clip.text[:60], samples) for clip, samples in list(zip(clips, ours, strict=True))[:2]),
    )
