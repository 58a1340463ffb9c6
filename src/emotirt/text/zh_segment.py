"""Chinese word segmentation: the most probable path through the dictionary, a character model for unknown words.

The method and the constants are those of jieba (Sun Junyi, MIT licence), so that its dictionary's counts mean what
they mean there; ``tests/unit/text/test_zh_segment.py`` compares the two.
"""

from __future__ import annotations

import re
from functools import lru_cache

from emotirt.text.zh_lexicon import STATES, Lexicon, default_lexicon

HANZI = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\u3007"
_HANZI_RUN = re.compile(f"[{HANZI}]+")

# Log probabilities of a hidden Markov model over B(egin) M(iddle) E(nd) S(ingle): jieba/finalseg/prob_start.py and
# prob_trans.py. A state that cannot be, or an unseen character, has the value jieba gives it.
_IMPOSSIBLE = -3.14e100
_START = {"B": -0.26268660809250016, "M": _IMPOSSIBLE, "E": _IMPOSSIBLE, "S": -1.4652633398537678}
_TRANSITIONS = {
    "B": (("E", -0.5897149736854513), ("S", -0.7211965654669841)),
    "M": (("B", -0.916290731874155), ("M", -1.2603623820268226)),
    "E": (("B", -0.510825623765990), ("M", -0.33344856811948514)),
    "S": (("E", -0.8085250474669937), ("S", -0.6658631448798212)),
}


def words_from_text(text: str, barriers: frozenset[str] = frozenset(), lexicon: Lexicon | None = None) -> list[str]:
    """Split text into words.

    Each stretch of hanzi is segmented; what lies between comes back as it is, one item a stretch, so that the items
    joined are the text.

    Args:
        text: any text.
        barriers: characters that never become part of a word which the dictionary lacks.
        lexicon: the dictionary; the package's own by default.
    """
    source = lexicon or default_lexicon()
    words: list[str] = []
    position = 0
    for match in _HANZI_RUN.finditer(text):
        if match.start() > position:
            words.append(text[position : match.start()])
        words.extend(_words_of_run(match[0], barriers, source))
        position = match.end()
    if position < len(text):
        words.append(text[position:])
    return words


def _words_of_run(run: str, barriers: frozenset[str], lexicon: Lexicon) -> list[str]:
    words: list[str] = []
    singles = ""
    for word in _best_path(run, lexicon):
        if len(word) == 1 and word not in barriers:
            singles += word
            continue
        _flush(singles, words, lexicon)
        singles = ""
        words.append(word)
    _flush(singles, words, lexicon)
    return words


def _best_path(run: str, lexicon: Lexicon) -> list[str]:
    """Cut a run where the product of word probabilities is largest; an unknown character counts as seen once."""
    count = len(run)
    log_total = lexicon.log_total
    scores = [0.0] * (count + 1)
    ends = [0] * count
    for start in range(count - 1, -1, -1):
        block = lexicon.block(run[start])
        log_counts = block.log_counts
        end = start + 1
        best = log_counts.get(run[start], 0.0) - log_total + scores[end]
        best_end = end
        for length in block.lengths:
            end = start + length
            if end > count:
                break
            log_count = log_counts.get(run[start:end])
            if log_count is not None and length > 1:
                score = log_count - log_total + scores[end]
                if score >= best:
                    best, best_end = score, end
        scores[start], ends[start] = best, best_end
    words = []
    start = 0
    while start < count:
        words.append(run[start : ends[start]])
        start = ends[start]
    return words


def _flush(singles: str, words: list[str], lexicon: Lexicon) -> None:
    """Append single characters that follow each other, joined into unknown words where the model says so."""
    if len(singles) < 2 or singles in lexicon:
        words.extend(singles)
    elif singles:
        words.extend(_unknown_words(singles))


@lru_cache(maxsize=4096)
def _unknown_words(run: str) -> tuple[str, ...]:
    emissions = _emissions()
    scores = {state: _START[state] + emissions[state].get(run[0], _IMPOSSIBLE) for state in STATES}
    paths = {state: state for state in STATES}
    for hanzi in run[1:]:
        next_scores, next_paths = {}, {}
        for state in STATES:
            emitted = emissions[state].get(hanzi, _IMPOSSIBLE)
            score, before = max((scores[old] + move + emitted, old) for old, move in _TRANSITIONS[state])
            next_scores[state], next_paths[state] = score, paths[before] + state
        scores, paths = next_scores, next_paths
    _, last = max((scores[state], state) for state in "ES")
    words, start = [], 0
    for index, state in enumerate(paths[last]):
        if state in "ES":
            words.append(run[start : index + 1])
            start = index + 1
    return tuple(words)


@lru_cache(maxsize=1)
def _emissions() -> dict[str, dict[str, float]]:
    return default_lexicon().emission_log_probabilities()
