"""What tracked files must hold, and must not."""

from __future__ import annotations

import json
import re
import sys

import pytest
from tests.architecture.tree import ROOT, relative, tracked_files

# Places of one machine; written in pieces so that this file does not hold them.
MACHINE_PATHS = re.compile("|".join((r"(?<![\w.])/ro" + r"ot/", r"(?<![\w.])/wo" + r"rk/", r"(?<![\w.])/home/\w")))
RESULT_KEYS = {"benchmark", "date", "commit", "hardware", "versions", "values"}


def texts() -> list[tuple[str, str]]:
    found = []
    for path in tracked_files():
        data = path.read_bytes()
        if b"\0" in data[:8000]:
            continue
        try:
            found.append((relative(path), data.decode("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [f"{name}: {match.group()}" for name, text in texts() if (match := MACHINE_PATHS.search(text))]
    assert not found


def test_result_files_say_what_was_measured_on_what() -> None:
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        missing = RESULT_KEYS - set(result)
        assert not missing, f"{relative(path)} lacks {sorted(missing)}"
        measured_on = {key: result[key] for key in ("hardware", "versions") if result[key]}
        assert len(measured_on) == 2, f"{relative(path)} does not say where it was measured"
        for key, entry in result["values"].items():
            assert {"value", "unit"} <= set(entry), f"{relative(path)}: {key} needs value and unit"


def test_summary_repeats_result_files() -> None:
    summary = ROOT / "benchmarks" / "summary.json"
    if not summary.exists():
        pytest.skip("no summary has been written yet")
    for key, entry in json.loads(summary.read_text(encoding="utf-8")).items():
        result = json.loads((summary.parent / entry["result"]).read_text(encoding="utf-8"))
        assert result["values"][key]["value"] == entry["value"], key


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is in Python 3.11 and later")
def test_every_dependency_is_explained() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(item for extra in extras for item in extra)]
    explained = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `([^`]+)` \|", explained, flags=re.MULTILINE))
    for requirement in wanted:
        name, ranges = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
        assert rows.get(name) == ranges, f"docs/dependencies.md must explain {requirement}"
    names = {re.match(r"[\w-]+", requirement).group() for requirement in wanted}  # type: ignore[union-attr]
    assert set(rows) == names, f"docs/dependencies.md explains {set(rows) - names}, which are no dependencies"
