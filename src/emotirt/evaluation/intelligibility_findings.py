"""Intelligibility as one part of an evaluation: its targets, figures of the summary and table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emotirt.evaluation.findings import Findings, Table, at_most
from emotirt.evaluation.intelligibility import MOST_HUMAN_PER

MOST_RATIO = {"en": 1.15, "zh": 1.3}


def intelligibility_findings(report: Mapping[str, Mapping[str, Any]], details: Mapping[str, Any]) -> Findings:
    """Put the scores of ``intelligibility.score`` into an evaluation.

    Args:
        report: of ``score``, with synthesized speech.
        details: what the result file keeps.
    """
    targets = []
    for language, found in report.items():
        human = found["human"]["per"]["value"]
        targets.append(at_most(f"{language}: phoneme error of people", human, MOST_HUMAN_PER[language]))
        targets.append(at_most(f"{language}: synthesized over people", found["ratio"]["value"], MOST_RATIO[language]))
    rows = tuple(
        (
            language,
            found["sentences"],
            found["human"]["per"]["value"],
            found["synthesized"]["per"]["value"],
            found["ratio"]["value"],
            found["human"]["last_phoneme_right"],
            found["synthesized"]["last_phoneme_right"],
        )
        for language, found in report.items()
    )
    header = ("language", "sentences", "people", "synthesized", "ratio", "last phoneme right, people", "synthesized")
    return Findings(
        part="intelligibility",
        title="Intelligibility: phoneme errors of a recognizer that heard people only",
        values={
            f"quality.per_ratio_{language}": {"value": found["ratio"]["value"], "unit": "ratio"}
            for language, found in report.items()
        },
        targets=tuple(targets),
        details=details,
        tables=(Table("Phoneme error rates", header, rows),),
    )
