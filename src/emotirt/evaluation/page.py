"""The report as one HTML file that needs nothing else: targets, tables, charts, and sounds inside as Opus."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from emotirt.audio.encode import encode
from emotirt.evaluation.findings import Findings, Player, Table, Target
from emotirt.types import Audio, FloatArray

RATE_HZ = 16_000
MOST_PLAYERS = 60
MOST_SECONDS = 12.0
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.2rem}caption{text-align:left;font-weight:600;padding:.2rem 0}
td,th{border-bottom:1px solid #ddd;padding:.2rem .7rem;text-align:left}td{font-variant-numeric:tabular-nums}
.yes{color:#1a7f37}.no{color:#b3261e}svg{max-width:100%}figure{margin:0 0 .6rem}figcaption{font-size:13px}
"""


def page(title: str, facts: Mapping[str, Any], parts: Sequence[Findings]) -> str:
    """Write the report.

    Args:
        title: of the page.
        facts: what was evaluated on what, one line each.
        parts: what was found.

    Returns: HTML; at most ``MOST_PLAYERS`` sounds of ``MOST_SECONDS`` each are inside.
    """
    share = max(2, MOST_PLAYERS // max(1, len(parts)))
    body = [f"<h1>{escape(title)}</h1>", _facts(facts), _targets(parts)]
    for part in parts:
        body.append(f"<h2>{escape(part.title)}</h2>")
        body += [f"<figure>{chart}</figure>" for chart in part.charts]
        body += [_table(table) for table in part.tables]
        body += [_player(player) for player in part.players[:share]]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _facts(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def _targets(parts: Sequence[Findings]) -> str:
    rows = "".join(_target(part, target) for part in parts for target in part.targets)
    if not rows:
        return ""
    head = "<tr><th>part</th><th>target</th><th>wanted</th><th>measured</th><th></th></tr>"
    return f"<table><caption>Targets</caption>{head}{rows}</table>"


def _target(part: Findings, target: Target) -> str:
    kind, word = ("yes", "reached") if target.reached else ("no", "not reached")
    return (
        f"<tr><td>{escape(part.part)}</td><td>{escape(target.what)}</td><td>{escape(target.wanted)}</td>"
        f'<td>{_shown(target.value)}</td><td class="{kind}">{word}</td></tr>'
    )


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join("<tr>" + "".join(f"<td>{_shown(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<table><caption>{escape(table.title)}</caption><tr>{head}</tr>{rows}</table>"


def _shown(value: Any) -> str:
    if value is None:
        return "not measured"
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _player(player: Player) -> str:
    return (
        f"<figure><figcaption>{escape(player.title)}</figcaption>"
        f'<audio controls preload="none" src="{_data_url(player.samples)}"></audio></figure>'
    )


def _data_url(samples: FloatArray) -> str:
    data = encode(Audio(samples[: round(MOST_SECONDS * RATE_HZ)], RATE_HZ), "opus")
    return f"data:audio/ogg;base64,{base64.b64encode(data).decode()}"
