"""Symbols for clips that no transcript came with, from what the phoneme recognizer hears.

The recognizer's scores are searched for running words (``word_search.py``), these get their stresses, pauses become
commas. How wrong the result is can be told only by clips that do have a transcript: the held-out ones of the same
language are heard in the same way, and a line through their errors over how sure the recognizer was gives each new
clip an error to expect. Clips with too much of it get no symbols.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emotirt.audio.speech_span import FRAMES_PER_S, active_frames, frame_levels_db
from emotirt.errors import TrainingError
from emotirt.text.distance import edit_distance
from emotirt.text.lexicon import default_lexicon
from emotirt.text.symbols import BOUNDARY, END, START
from emotirt.training.corpus import Clip, Pack
from emotirt.training.hearing import STEP_S, log_probabilities, sureness, token_steps
from emotirt.training.recognizer_batches import Analyser
from emotirt.training.recognizer_network import Recognizer
from emotirt.training.recognizer_tokens import TOKEN_IDS, spoken_tokens
from emotirt.training.word_model import Word, WordModel, words_of
from emotirt.training.word_search import SearchWeights, WordSearch
from emotirt.types import FloatArray

LANGUAGE = "en"
PAUSE_S = 0.2
MOST_ERROR = 0.3
LEAST_FREQUENCY = 1e-7
"""In running English; a rarer word of the dictionary is not looked for."""
WEIGHTS = SearchWeights(0.6, 0.5)
"""Chosen on 25 held-out clips of each English corpus."""
LEAST_TRUE_CLIPS = 20
"""Held-out clips needed to tell what error to expect."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard in one clip.

    Attributes:
        words: with stresses.
        symbols: the words from ``^`` to ``$``.
        sureness: mean probability of the phones, 0 to 1.
    """

    words: tuple[Word, ...]
    symbols: tuple[str, ...]
    sureness: float


@dataclass(frozen=True, slots=True)
class Labelling:
    """What came of it.

    Attributes:
        clips: all clips of the pack, in order.
        heard: how many have symbols now that had none.
        refused: how many stay without, for too many errors expected.
        expected_error: phoneme errors expected in the heard ones, per phoneme.
        true_error: the same counted on held-out transcripts, all of them.
    """

    clips: tuple[Clip, ...]
    heard: int
    refused: int
    expected_error: float
    true_error: float


def english_words(clips: Iterable[Clip]) -> WordModel:
    """Count the words of the training transcripts and of general English, both in the dictionary's pronunciations."""
    from wordfreq import word_frequency

    spoken = [
        word
        for clip in clips
        if clip.language == LANGUAGE and clip.split == "train" and clip.symbols and not clip.heard
        for word in words_of(clip.symbols)
    ]
    lexicon, general = default_lexicon(), dict[Word, float]()
    for name in lexicon.words():
        frequency, word = word_frequency(name, LANGUAGE), lexicon.get(name)
        if word and frequency >= LEAST_FREQUENCY:
            general[word] = max(general.get(word, 0.0), frequency)
    return WordModel(spoken, general)


def pauses_s(samples: FloatArray) -> NDArray[np.float64]:
    """Return the middles of stretches of at least ``PAUSE_S`` without speech between speech, float64, in seconds."""
    changes = np.diff(active_frames(frame_levels_db(samples)).astype(np.int8))
    ends, begins = np.flatnonzero(changes < 0) + 1.0, np.flatnonzero(changes > 0) + 1.0
    begins = begins[int((begins < ends.min(initial=np.inf)).sum()) :]
    ends = ends[: len(begins)]
    long = begins - ends >= PAUSE_S * FRAMES_PER_S
    found: NDArray[np.float64] = (begins + ends)[long] / 2.0 / FRAMES_PER_S
    return found


def punctuated(words: Sequence[Word], begins_s: Sequence[float], pauses: NDArray[np.float64]) -> tuple[str, ...]:
    """Join words with boundaries, or commas where a pause lies before a word's beginning and after the last one's."""
    symbols: list[str] = [START]
    for index, word in enumerate(words):
        if index:
            between = (pauses > begins_s[index - 1]) & (pauses < begins_s[index])
            symbols.append("," if between.any() else BOUNDARY)
        symbols += word
    return (*symbols, ".", END)


class Listener:
    """Turns a clip's scores into symbols."""

    def __init__(self, model: WordModel, weights: SearchWeights) -> None:
        self.model = model
        self.search = WordSearch(model, weights)

    def hear(self, log_probs: NDArray[np.float32], samples: FloatArray) -> Hearing | None:
        """Return what was heard, None where it was nothing."""
        words = [self.model.stressed(word) for word in self.search.search(log_probs)]
        if not words:
            return None
        ids = [TOKEN_IDS[token] for word in words for token in spoken_tokens(word)]
        steps = token_steps(log_probs, ids)
        firsts = np.cumsum([0, *(len(word) for word in words[:-1])])
        symbols = punctuated(words, ((steps[firsts] + 0.5) * STEP_S).tolist(), pauses_s(samples))
        return Hearing(tuple(words), symbols, sureness(log_probs, ids, steps))


_listener: Listener | None = None
"""One a process of the pool."""


def _open(model: WordModel) -> None:
    global _listener
    _listener = Listener(model, WEIGHTS)


def _hear(job: tuple[NDArray[np.float32], FloatArray]) -> Hearing | None:
    assert _listener is not None
    return _listener.hear(*job)


def hear_all(
    network: Recognizer, analyser: Analyser, pack: Pack, clips: Sequence[Clip], workers: int
) -> list[Hearing | None]:
    """Hear clips, in the order given; the words are searched for in ``workers`` processes."""
    network.eval()
    scores = ((log_probabilities(network, analyser, pack, clip), pack.samples(clip)) for clip in clips)
    with ProcessPoolExecutor(workers, initializer=_open, initargs=(english_words(pack.clips),)) as pool:
        return list(pool.map(_hear, list(scores), chunksize=8))


def phoneme_error(clip: Clip, heard: Hearing | None) -> tuple[int, int]:
    """Count wrong phonemes against a clip's transcript, and its phonemes; stress does not count."""
    wanted = spoken_tokens(clip.symbols or ())
    return edit_distance(wanted, spoken_tokens(heard.symbols) if heard else ()), len(wanted)


def error_line(surenesses: Sequence[float], errors: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Fit errors a phoneme to unsureness, clips weighted by their phonemes; return the constant and the slope."""
    wrong, of = np.array(errors, dtype=np.float64).T
    slope, constant = np.polyfit(1.0 - np.array(surenesses), wrong / of, 1, w=np.sqrt(of))
    return float(constant), float(slope)


def label(network: Recognizer, analyser: Analyser, pack: Pack, workers: int) -> Labelling:
    """Give symbols to the English clips that have none.

    Args:
        network: the recognizer, on the analyser's device.
        analyser: of the pack.
        pack: needs held-out English clips with transcripts, to tell what error to expect.
        workers: processes.

    Raises: TrainingError: nothing to label, or too few held-out clips.
    """
    own = [clip for clip in pack.clips if clip.language == LANGUAGE]
    silent = [clip for clip in own if clip.symbols is None and not clip.text]
    true = [clip for clip in own if clip.symbols and not clip.heard and clip.split != "train"]
    if not silent:
        raise TrainingError("every English clip of the pack has symbols or a transcript; there is nothing to label")
    if len(true) < LEAST_TRUE_CLIPS:
        raise TrainingError(
            f"the pack holds {len(true)} held-out English clips with a transcript; it takes {LEAST_TRUE_CLIPS} to tell "
            "how wrong the heard ones are"
        )
    return chosen(pack, true, silent, hear_all(network, analyser, pack, [*true, *silent], workers))


def chosen(pack: Pack, true: Sequence[Clip], silent: Sequence[Clip], heard: Sequence[Hearing | None]) -> Labelling:
    """Keep the hearings with few enough errors expected; ``heard`` is of the true clips, then of the silent ones."""
    errors = [phoneme_error(clip, found) for clip, found in zip(true, heard, strict=False)]
    constant, slope = error_line([found.sureness if found else 0.0 for found in heard[: len(true)]], errors)
    kept: dict[str, tuple[str, ...]] = {}
    expected = []
    for clip, found in zip(silent, heard[len(true) :], strict=True):
        error = 1.0 if found is None else constant + slope * (1.0 - found.sureness)
        if found is not None and error <= MOST_ERROR:
            kept[clip.key] = found.symbols
            expected.append((error, len(spoken_tokens(found.symbols))))
    clips = tuple(
        replace(clip, symbols=kept[clip.key], heard=True) if clip.key in kept else clip for clip in pack.clips
    )
    mean = sum(error * count for error, count in expected) / max(1, sum(count for _, count in expected))
    wrong, of = np.sum(errors, axis=0)
    return Labelling(clips, len(kept), len(silent) - len(kept), mean, float(wrong / of))
