"""The source tree as the architecture tests see it: files that git tracks or would track."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "emotirt"


@lru_cache(maxsize=1)
def tracked_files() -> tuple[Path, ...]:
    """Return every file that a commit of this tree would hold; without git, what the build would ship."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if not (ROOT / ".git").exists():
        return tuple(path for path in sorted(ROOT.rglob("*")) if path.is_file() and ".venv" not in path.parts)
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(path for path in (ROOT / name for name in sorted(set(filter(None, listed)))) if path.is_file())


def modules() -> tuple[Path, ...]:
    """Return the package's Python files."""
    return tuple(path for path in tracked_files() if path.suffix == ".py" and PACKAGE in path.parents)


def relative(path: Path) -> str:
    """Name a file from the root of the tree."""
    return path.relative_to(ROOT).as_posix()
