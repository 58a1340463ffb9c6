"""Caps that keep the code readable and the repository small."""

from __future__ import annotations

import ast

from tests.architecture.tree import PACKAGE, ROOT, modules, relative, tracked_files

MODULE_LINES = 400
FUNCTION_LINES = 60
TREE_BYTES = 32 * 1024**2
BUNDLE_BYTES = 28 * 1024**2
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}


def test_modules_stay_under_the_cap() -> None:
    counts = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert not {name: count for name, count in counts.items() if count > MODULE_LINES}


def test_functions_stay_under_the_cap() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name}: {size} lines"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (size := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not long


def test_modules_are_named_after_what_they_hold() -> None:
    assert not [relative(path) for path in modules() if path.stem in VAGUE_NAMES]


def test_tracked_tree_and_default_bundle_fit() -> None:
    total = sum(path.stat().st_size for path in tracked_files())
    assert total < TREE_BYTES, f"the tree holds {total / 2**20:.1f} MiB"
    place = PACKAGE / "data" / "default"
    bundle = sum(path.stat().st_size for path in tracked_files() if place in path.parents)
    assert bundle < BUNDLE_BYTES, f"the default bundle holds {bundle / 2**20:.1f} MiB"


def test_scripts_can_be_executed() -> None:
    scripts = [path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix]
    assert scripts
    assert not [relative(path) for path in [*scripts, ROOT / ".ci" / "run"] if not path.stat().st_mode & 0o111]
