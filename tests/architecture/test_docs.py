"""Documents say what is true: their links lead somewhere, their commands run, both READMEs agree."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.architecture.tree import PACKAGE, ROOT, modules, relative, tracked_files

README = (ROOT / "README.md").read_text(encoding="utf-8")
README_ZH = (ROOT / "README.zh.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def code_blocks(text: str, language: str) -> list[str]:
    return [body for name, body in FENCE.findall(text) if name == language]


def shell_lines() -> list[str]:
    lines = [line for block in code_blocks(README, "bash") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def speaking_lines() -> list[str]:
    return [line for line in shell_lines() if ".venv/bin/emotirt" in line]


def documents() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def headings(text: str) -> list[str]:
    return re.findall(r"^(#+) ", FENCE.sub("", text), flags=re.MULTILINE)


def test_readmes_have_the_same_structure() -> None:
    assert headings(README) == headings(README_ZH)
    assert FENCE.findall(README) == FENCE.findall(README_ZH)


@pytest.mark.parametrize("chinese", sorted(ROOT.glob("docs/*.zh.md")), ids=lambda path: path.name)
def test_documents_in_two_languages_say_the_same(chinese: Path) -> None:
    """Equal in their headings, the rows of their tables, and the settings and options that they name."""
    english = chinese.with_name(chinese.name.replace(".zh.md", ".md"))
    texts = english.read_text(encoding="utf-8"), chinese.read_text(encoding="utf-8")
    for found in (headings, table_rows, names_of_settings, names_of_fields):
        first, second = map(found, texts)
        assert first == second, found.__name__
    assert f"({chinese.name})" in texts[0]
    assert f"({english.name})" in texts[1]


def table_rows(text: str) -> int:
    return len(re.findall(r"^\|", FENCE.sub("", text), flags=re.MULTILINE))


def names_of_settings(text: str) -> set[str]:
    return set(re.findall(r"EMOTIRT_\w+|--[a-z][a-z-]+", text))


def names_of_fields(text: str) -> list[str]:
    """What stands in the first cell of every row, as far as it is code."""
    cells = re.findall(r"^\| ([^|]*)", FENCE.sub("", text), flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_readme_is_short(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 200


def test_decisions_are_short_and_complete() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04d}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60, relative(path)
        for part in ("Status:", "## Context", "## Decision", "## Consequences", "## Evidence"):
            assert part in text, f"{relative(path)} lacks {part}"


def test_links_lead_somewhere() -> None:
    broken = []
    for path in documents():
        for target in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
            if re.match(r"[a-z]+:", target):
                continue
            place, _, anchor = target.partition("#")
            goal = path if not place else path.parent / place
            if not goal.exists() or (anchor and anchor not in anchors(goal)):
                broken.append(f"{relative(path)}: {target}")
    assert not broken


def anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_module_has_its_line_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    there = {path.relative_to(PACKAGE).as_posix() for path in modules() if not path.name.startswith("__")}
    assert named == there, f"docs/architecture.md lacks {sorted(there - named)} and invents {sorted(named - there)}"


def test_documents_say_what_the_results_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from emotirt.cli.main import main

    monkeypatch.chdir(ROOT)
    assert main(["bench", "report", "--check"]) == 0, capsys.readouterr().err


def test_named_scripts_exist() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in documents())
    for script in set(re.findall(r"\bscripts/[\w.]+", text)):
        assert (ROOT / script.rstrip(".")).is_file(), script


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert ci[-1] == "./scripts/test"
    assert any(block.strip() == ci[-1] for block in code_blocks(README, "bash"))


def test_command_table_matches_the_command_line() -> None:
    from emotirt.cli.main import COMMANDS

    for text in (README, README_ZH):
        rows = re.findall(r"^\| `emotirt (\w+)` \|", text, flags=re.MULTILINE)
        assert sorted(rows) == sorted(COMMANDS)


@pytest.mark.parametrize("line", speaking_lines())
def test_commands_of_the_readme_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "chapter.txt").write_text("Chapter one. It was a quiet morning.\n", encoding="utf-8")
    command = line.replace(".venv/bin/emotirt", f"{shlex.quote(sys.executable)} -m emotirt")
    command = command.replace("--play", "--out played.wav")  # no loudspeaker here
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if (out := re.search(r"--out (\S+)", command)) is not None:
        assert (tmp_path / out.group(1)).stat().st_size > 1000


@pytest.mark.parametrize("block", code_blocks(README, "python"))
def test_python_of_the_readme_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    assert any(path.stat().st_size > 1000 for path in tmp_path.iterdir())
