"""Sentences of an exact number of tokens, as backends with fixed shapes need them; none is given twice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

from emotirt.bench.sentences import dictionary_words
from emotirt.errors import InvalidRequest, UnknownSymbol
from emotirt.text.frontend import Frontend

FEWEST_TOKENS = 8
_WORDS = 400
_TRIES = 200
_STOP = "。"
_FAR_TOO_MANY = 1 << 30


def sized_texts(frontend: Frontend, tokens: int, count: int, seed: int = 0) -> list[str]:
    """Make texts whose utterances have ``tokens`` tokens together, each text different from the others.

    More than the front end puts into one utterance becomes several sentences of like length. The sentences are words of
    the Mandarin dictionary in no sensible order, none of which is spoken as a number.

    Args:
        frontend: counts.
        tokens: of each text, at least ``FEWEST_TOKENS``.
        count: how many texts.
        seed: the same seed gives the same texts.

    Raises: InvalidRequest: too few tokens, or no sentence of that length is found.
    """
    if tokens < FEWEST_TOKENS:
        raise InvalidRequest(f"{tokens} tokens are too few for a sentence; give at least {FEWEST_TOKENS}")
    generator = random.Random(f"sized:{tokens}:{seed}")  # not for secrets
    costs = _costs(frontend)
    parts = -(-tokens // frontend.limits.max_tokens)
    shares = [tokens // parts + (index < tokens % parts) for index in range(parts)]
    made: dict[str, None] = {}
    while len(made) < count:
        before = len(made)
        for _ in range(_TRIES):
            text = "".join(_sentence(frontend, generator, costs, share) for share in shares)
            if text not in made:
                made[text] = None
                break
        if len(made) == before:
            raise InvalidRequest(f"no {count} different sentences of {tokens} tokens were found; ask for fewer")
    return list(made)


@lru_cache(maxsize=4)
def _costs(frontend: Frontend) -> dict[int, list[str]]:
    """Sort words by the tokens that each adds to a sentence, its boundary included."""
    _, chinese = dictionary_words()
    generator = random.Random("words")  # not for secrets
    by_cost: dict[int, list[str]] = {}
    anchor = _tokens(frontend, "天" + _STOP)
    for word in generator.sample(chinese, _WORDS):
        cost = _tokens(frontend, "天，" + word + _STOP) - anchor
        if 0 < cost < _FAR_TOO_MANY // 2:
            by_cost.setdefault(cost, []).append(word)
    return by_cost


def _sentence(frontend: Frontend, generator: random.Random, costs: dict[int, list[str]], tokens: int) -> str:
    """Put words together until a sentence has exactly so many tokens."""
    every: Sequence[str] = [word for words in costs.values() for word in words]
    words: list[str] = []
    for _ in range(_TRIES):
        lacking = tokens - (_tokens(frontend, "".join(words) + _STOP) if words else 0)
        if lacking == 0:
            return "".join(words) + _STOP
        if lacking < 0:
            words = words[: -generator.randint(1, 4)]
        elif lacking > 4 * max(costs):
            words += [generator.choice(every) for _ in range(max(1, lacking // (2 * max(costs))))]
        else:
            fitting = [cost for cost in costs if cost <= lacking]
            words.append(generator.choice(costs[generator.choice(fitting)] if fitting else every))
    raise InvalidRequest(f"no sentence of exactly {tokens} tokens was found; ask for another length")


def _tokens(frontend: Frontend, text: str) -> int:
    """Count; a text with a syllable that the bundle lacks counts as far too long, so that nobody keeps it."""
    try:
        return sum(item.token_count for item in frontend.utterances(text))
    except UnknownSymbol:
        return _FAR_TOO_MANY
