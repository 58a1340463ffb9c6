"""The report as one HTML file a language that needs nothing else: tables, pictures, and sounds inside as Opus."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from emotirt.audio.encode import encode
from emotirt.bench.report.document import Report
from emotirt.bench.report.parts import EN, Block, Both, Bullets, Paragraph, Table, text
from emotirt.bench.report.prose import say
from emotirt.engine import Engine, SpeechRequest
from emotirt.errors import BackendError, InvalidRequest
from emotirt.evaluation.page import STYLE
from emotirt.types import Audio

SENTENCES = (
    "The ferry leaves at nine, whatever the weather.",
    "Why would anybody hide a violin under the stairs?",
    "不管天气怎么样，渡船九点准时出发。",
    "谁会把小提琴藏在楼梯下面呢？",
)
SOUNDS = Both("Listen", "试听")
MOST_PAIRS = 8
_FULL_SCALE = 32767.0
_MARKUP = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<b>\1</b>"),
    (re.compile(r"(?<!\\)\*([^*]+?)(?<!\\)\*"), r"<i>\1</i>"),
    (re.compile(r"\[([^\]]+)\]\(([^)]+)\)"), r'<span title="\2">\1</span>'),
    (re.compile(r"\\([*|])"), r"\1"),
)


@dataclass(frozen=True, slots=True)
class Sound:
    """One player.

    Attributes:
        title: what is heard.
        audio: of it.
    """

    title: str
    audio: Audio


def spoken_sounds(backends: Sequence[str], bundle: Path | None = None) -> list[Sound]:
    """Let backends say the same sentences; one that cannot speak here is left out.

    Raises: BundleError: the bundle cannot be opened.
    """
    return [sound for backend in backends for sound in _spoken(backend, bundle)]


def _spoken(backend: str, bundle: Path | None) -> list[Sound]:
    try:
        with Engine.open(bundle, backend=backend) as engine:
            return [Sound(f"{backend}: {line}", engine.say(SpeechRequest(line)).audio) for line in SENTENCES]
    except BackendError:
        return []


def said_sounds(path: Path) -> list[Sound]:
    """Read pairs that ``scripts/measure_plans.py`` kept: what float32 said, and the same by plans.

    Raises: InvalidRequest: no such file, or another one.
    """
    try:
        with np.load(path) as said:
            rate_hz = int(said["rate_hz"])
            indices = sorted({int(name.split("/")[0]) for name in said.files if "/" in name})[-MOST_PAIRS:]
            return [
                Sound(
                    f"{path.stem}, {side}: {said[f'{index}/text']}",
                    Audio(said[f"{index}/{side}"].astype(np.float32) / _FULL_SCALE, rate_hz),
                )
                for index in indices
                for side in ("reference", "candidate")
            ]
    except (OSError, ValueError, KeyError) as exc:
        raise InvalidRequest(f"{str(path)!r} holds no pairs of speech ({type(exc).__name__}: {exc})") from exc


def page(report: Report, sounds: Sequence[Sound], language: str) -> str:
    """Return HTML in a language."""
    title = say("title").of(language)
    body = [f"<h1>EmotiRT: {escape(title)}</h1>"]
    for section in report.sections:
        body.append(f"<h2>{escape(section.title.of(language))}</h2>")
        body += [_block(block, language) for block in section.blocks]
    if sounds:
        body.append(f"<h2>{SOUNDS.of(language)}</h2>")
        body += [_player(sound) for sound in sounds]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}body{{max-width:90rem}}</style>'
    kind = "en" if language == EN else "zh-Hans"
    return f'<!doctype html><html lang="{kind}"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def pages(report: Report, sounds: Sequence[Sound]) -> Mapping[str, str]:
    """Return the pages by the names of their files."""
    return {"report.html": page(report, sounds, "en"), "report.zh.html": page(report, sounds, "zh")}


def _block(block: Block, language: str) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{_inline(text(block.words, language))}</p>"
    if isinstance(block, Bullets):
        return "<ul>" + "".join(f"<li>{_inline(text(item, language))}</li>" for item in block.items) + "</ul>"
    if isinstance(block, Table):
        head = "".join(f"<th>{_inline(text(cell, language))}</th>" for cell in block.header)
        lines = ("".join(f"<td>{_inline(text(cell, language))}</td>" for cell in row) for row in block.rows)
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
    return f"<figure>{block.draw(language)}</figure>"


def _inline(words: str) -> str:
    """Turn the Markdown of a paragraph or cell into HTML; links, which lead into the source tree, become hints."""
    found = escape(words, quote=False)
    for pattern, replacement in _MARKUP:
        found = pattern.sub(replacement, found)
    return found


def _player(sound: Sound) -> str:
    data = base64.b64encode(encode(sound.audio, "opus")).decode()
    return (
        f"<figure><figcaption>{escape(sound.title)}</figcaption>"
        f'<audio controls preload="none" src="data:audio/ogg;base64,{data}"></audio></figure>'
    )
