"""How well the packaged spelling model reads English words that its training never saw."""

from __future__ import annotations

from emotirt.bench.results import BenchmarkResult, measured
from emotirt.text.g2p import default_model
from emotirt.text.lexicon import default_lexicon
from emotirt.text.spelling_score import Split, score, split_words

SPLIT_SEED = 0
"""Of the division that ``emotirt.training.g2p`` trained the packaged model on."""


def measure_spelling(split: Split | None = None) -> BenchmarkResult:
    """Read all held-out words; the test words give the values, the validation words stand in the details.

    Args:
        split: the held-out words, those of the packaged dictionary unless given.
    """
    held_out = split or split_words(default_lexicon(), SPLIT_SEED)
    test = score(default_model(), held_out.test)
    return BenchmarkResult(
        "spelling",
        {
            "spelling.phoneme_error_pct": measured(test.phoneme_error_pct, "%"),
            "spelling.phoneme_error_no_stress_pct": measured(test.phoneme_error_no_stress_pct, "%"),
        },
        {"split_seed": SPLIT_SEED},
        {
            "train_words": len(held_out.train),
            "test": test.to_dict(),
            "valid": score(default_model(), held_out.valid).to_dict(),
        },
    )
