"""Is synthesized speech understood? Its phoneme error rate against that of people saying the same sentences.

The recognizer heard only human recordings, and neither the recognizer nor the voices were trained on the sentences.
Both kinds of audio are trimmed, levelled, analysed and recognized by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotirt.audio.read import read_audio
from emotirt.audio.wav import wav_from_audio
from emotirt.errors import TrainingError
from emotirt.evaluation.per import SentenceErrors, compare_phonemes, error_rate, rate_estimate, ratio_estimate, together
from emotirt.evaluation.recognize import PhonemeRecognizer
from emotirt.evaluation.soundness import problems
from emotirt.text.symbols import factors
from emotirt.training.corpus import Clip, Pack, text_fraction
from emotirt.training.recognizer_tokens import spoken_tokens
from emotirt.types import Audio, FloatArray

SENTENCE_CORPORA = {"en": ("kathleen", "ljspeech"), "zh": ("aishell",)}
SENTENCES = 100
MOST_HUMAN_PER = {"en": 0.25, "zh": 0.30}
"""Above these the recognizer is too weak to judge."""
MOST_RATIO = 1.5


@dataclass(frozen=True, slots=True)
class Heard:
    """What the recognizer made of one utterance.

    Attributes:
        tokens: what was recognized.
        errors: against the transcript.
        kept_end: whether the last phoneme came out right, tone aside.
        problems: what is wrong with it as a signal.
    """

    tokens: tuple[str, ...]
    errors: SentenceErrors
    kept_end: bool
    problems: tuple[str, ...]


def choose_sentences(clips: Iterable[Clip], language: str, count: int = SENTENCES) -> tuple[Clip, ...]:
    """Pick unseen sentences by a hash of their letters, so that nobody chooses.

    Each sentence comes once; only where there are too few, further recordings of the same sentences follow.

    Args:
        clips: of a pack.
        language: ``en`` or ``zh``; sentences with phonemes of the other language are left out.
        count: at most so many.
    """
    usable = [
        clip
        for clip in clips
        if clip.split == "test" and clip.corpus in SENTENCE_CORPORA[language] and clip.symbols and not clip.heard
        and {factors(token)[2] for token in spoken_tokens(clip.symbols)} <= {language, "-"}
    ]  # fmt: skip
    seen: set[float] = set()
    first: list[Clip] = []
    further: list[Clip] = []
    for clip in sorted(usable, key=lambda clip: (text_fraction(clip.text), clip.key)):
        (further if text_fraction(clip.text) in seen else first).append(clip)
        seen.add(text_fraction(clip.text))
    return tuple((first + further)[:count])


def file_name(clip: Clip) -> str:
    """Name the synthesized counterpart of a clip."""
    return clip.key.rpartition(".")[0].replace("/", "__") + ".wav"


def synthesize(clips: Sequence[Clip], speak: Callable[[Clip], Audio], folder: Path) -> None:
    """Write every sentence, spoken anew, as 16-bit wav; sentences already there are kept.

    Args:
        clips: what to say.
        speak: says a clip's text with its speaker's voice, at 16 kHz.
        folder: where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        path = folder / file_name(clip)
        if not path.exists():
            path.write_bytes(wav_from_audio(speak(clip)))


def hear(recognizer: PhonemeRecognizer, samples: FloatArray, clip: Clip) -> Heard:
    """Recognize an utterance of a clip's sentence and compare."""
    tokens = recognizer.phonemes(samples, clip.language)
    wanted = spoken_tokens(clip.symbols or ())
    kept_end = bool(tokens) and tokens[-1].rstrip("12345") == wanted[-1].rstrip("12345")
    return Heard(tokens, compare_phonemes(wanted, tokens), kept_end, problems(samples))


def score(pack: Pack, recognizer: PhonemeRecognizer, folder: Path | None, languages: Sequence[str]) -> dict[str, Any]:
    """Score human and synthesized speech of the test sentences.

    Args:
        pack: holds the human recordings and the sentences.
        recognizer: trained on people only.
        folder: synthesized counterparts named by ``file_name``, or None to score people alone.
        languages: of ``SENTENCE_CORPORA``.

    Returns: per language: rates with 95 % intervals, their ratio, each speaker's, and whether the targets are met.
    Raises: TrainingError: the pack has no test sentence of a language, or a counterpart is missing.
    """
    report: dict[str, Any] = {}
    for language in languages:
        clips = choose_sentences(pack.clips, language)
        if not clips:
            raise TrainingError(
                f"the pack has no {language} test sentence in {SENTENCE_CORPORA[language]}; make it anew"
            )
        human = [hear(recognizer, pack.samples(clip), clip) for clip in clips]
        ours = None if folder is None else [hear(recognizer, _counterpart(folder, clip), clip) for clip in clips]
        report[language] = _language_report(language, clips, human, ours)
    return report


def unseen_speakers(pack: Pack, recognizer: PhonemeRecognizer) -> dict[str, Any]:
    """Score people whom the recognizer never heard (the split ``valid``), by corpus."""
    found: dict[str, list[SentenceErrors]] = {}
    for clip in pack.clips:
        if clip.split == "valid" and clip.symbols and not clip.heard and spoken_tokens(clip.symbols):
            found.setdefault(clip.corpus, []).append(hear(recognizer, pack.samples(clip), clip).errors)
    return {corpus: {"clips": len(all_), "per": rate_estimate(all_).to_dict()} for corpus, all_ in found.items()}


def _counterpart(folder: Path, clip: Clip) -> FloatArray:
    path = folder / file_name(clip)
    if not path.exists():
        raise TrainingError(
            f"{path} is missing: no synthesized counterpart of {clip.key}; synthesize the test sentences first"
        )
    return read_audio(path).samples


def _language_report(
    language: str, clips: Sequence[Clip], human: Sequence[Heard], ours: Sequence[Heard] | None
) -> dict[str, Any]:
    human_errors = [one.errors for one in human]
    sentences = [text_fraction(clip.text) for clip in clips]
    report: dict[str, Any] = {
        "sentences": len(clips),
        "distinct_sentences": len({text_fraction(clip.text) for clip in clips}),
        "phonemes": sum(one.tokens for one in human_errors),
        "human": _side(human, sentences),
        "recognizer_good_enough": error_rate(human_errors) <= MOST_HUMAN_PER[language],
        "speakers": {},
    }
    if ours is not None:
        ratio = ratio_estimate(together([one.errors for one in ours], sentences), together(human_errors, sentences))
        report |= {
            "synthesized": _side(ours, sentences),
            "ratio": ratio.to_dict(),
            "ratio_within_target": ratio.value <= MOST_RATIO,
        }
        report["worst"] = _worst(clips, ours)
    for speaker in sorted({clip.speaker for clip in clips}):
        rows = [index for index, clip in enumerate(clips) if clip.speaker == speaker]
        entry = {"sentences": len(rows), "human_per": round(error_rate([human_errors[row] for row in rows]), 4)}
        if ours is not None:
            entry["synthesized_per"] = round(error_rate([ours[row].errors for row in rows]), 4)
            entry["ratio"] = round(entry["synthesized_per"] / max(entry["human_per"], 1e-9), 4)
        report["speakers"][speaker] = entry
    return report


def _side(heard: Sequence[Heard], sentences: Sequence[float]) -> dict[str, Any]:
    unsound: dict[str, int] = {}
    for one in heard:
        for problem in one.problems:
            kind = problem.partition(":")[0]
            unsound[kind] = unsound.get(kind, 0) + 1
    return {
        "per": rate_estimate(together([one.errors for one in heard], sentences)).to_dict(),
        "last_phoneme_right": round(sum(one.kept_end for one in heard) / len(heard), 4),
        "unsound": unsound,
    }


def _worst(clips: Sequence[Clip], heard: Sequence[Heard], count: int = 5) -> list[dict[str, str]]:
    order = sorted(range(len(clips)), key=lambda row: -heard[row].errors.errors / heard[row].errors.tokens)
    return [
        {
            "text": clips[row].text,
            "wanted": " ".join(spoken_tokens(clips[row].symbols or ())),
            "heard": " ".join(heard[row].tokens),
        }
        for row in order[:count]
    ]
