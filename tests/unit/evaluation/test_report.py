"""The report is one file with everything inside, whatever the names hold."""

from __future__ import annotations

import base64
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from emotirt.audio.read import read_audio
from emotirt.evaluation.charts import bars, histogram, lines
from emotirt.evaluation.findings import Findings, Player, Table, Target, at_least, at_most, spread
from emotirt.evaluation.page import MOST_PLAYERS, MOST_SECONDS, page

TONE = (0.2 * np.sin(2 * np.pi * 220 * np.arange(16_000) / 16_000)).astype(np.float32)


def finding(players: int = 2) -> Findings:
    return Findings(
        part="speakers",
        title="Voices & <people>",
        targets=(at_least("place", 0.4, 0.5), at_most("loss", 0.01, 0.05), Target("asr", None, "any", False)),
        tables=(Table("Cosines", ("voice", "cosine"), (("<b>lan</b>", 0.91234),)), Table("Empty", ("a",), ())),
        charts=(bars("Bars", ["a", "b"], {"x": [1.0, -2.0], "y": [0.5, 3.0]}),),
        players=tuple(Player(f"sound {index}", TONE) for index in range(players)),
    )


def test_targets_tables_and_facts_are_shown_and_escaped() -> None:
    text = page("Report", {"bundle": "default <1>"}, [finding()])
    assert "<b>lan" not in text
    for part in ("0.912", "&lt;b&gt;lan&lt;/b&gt;", "Voices &amp; &lt;people&gt;", "default &lt;1&gt;", "not measured"):
        assert part in text
    assert re.findall(r'class="(yes|no)"', text) == ["no", "yes", "no"]
    assert "Empty" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_sounds_are_inside_and_can_be_played() -> None:
    sounds = re.findall(r'src="data:audio/ogg;base64,([^"]+)"', page("Report", {}, [finding()]))
    assert len(sounds) == 2
    audio = read_audio(base64.b64decode(sounds[0]))
    assert audio.duration_s == pytest.approx(1.0, abs=0.05)
    assert float(np.sqrt(np.square(audio.samples).mean())) == pytest.approx(0.14, abs=0.03)


def test_size_is_bounded() -> None:
    long = Findings("x", "x", players=tuple(Player("x", np.tile(TONE, 20)) for _ in range(3)))
    sounds = re.findall(r"base64,([^\"]+)", page("Report", {}, [long]))
    assert read_audio(base64.b64decode(sounds[0])).duration_s <= MOST_SECONDS + 0.05
    assert page("Report", {}, [finding(MOST_PLAYERS), finding(MOST_PLAYERS)]).count("<audio") == MOST_PLAYERS


@pytest.mark.parametrize(
    "chart",
    [
        histogram("Spread <x>", {"people": [0.1, 0.5, 0.6], "ours": [0.4]}),
        histogram("One value", {"a": [1.0, 1.0]}),
        lines("Lines", [0.0, 0.5, 1.0], {"sad": [0.0, 0.4, 0.9]}),
        bars("Bars", ["a & b"], {"x": [-1.0]}),
    ],
)
def test_charts_are_well_formed_and_within_their_frame(chart: str) -> None:
    root = ElementTree.fromstring(chart)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
        x, y = float(rect.attrib["x"]), float(rect.attrib["y"])
        assert 0 <= x <= width - float(rect.attrib["width"])
        assert 0 <= y <= height - float(rect.attrib["height"])
    for line in root.iter("{http://www.w3.org/2000/svg}polyline"):
        assert all(0 <= float(x) <= width for x, _ in (pair.split(",") for pair in line.attrib["points"].split()))


def test_findings_say_whether_all_is_reached() -> None:
    assert not finding().reached
    assert Findings("x", "x", targets=(at_least("a", 0.5, 0.5),)).reached
    assert Target("a", 0.123456, "b", True).to_dict() == {"what": "a", "value": 0.1235, "wanted": "b", "reached": True}


def test_spread_is_plain_json() -> None:
    found = spread([1.0, 2.0, 3.0])
    assert json.loads(json.dumps(found)) == found
    assert found["count"] == 3
    assert found["p50"] == 2.0
    assert spread([]) == {"count": 0}
