"""The files of a report: written, or compared with what is there."""

from __future__ import annotations

from pathlib import Path

from emotirt.bench.report.document import Report
from emotirt.bench.report.markdown import PLOTS, markdown, picture_file
from emotirt.bench.report.parts import EN, LANGUAGES, Picture
from emotirt.bench.report.prose import say
from emotirt.bench.report.readme import readme_block, with_block
from emotirt.bench.results import json_text
from emotirt.errors import InvalidRequest, OutputError

SUMMARY = Path("benchmarks/summary.json")
DOCS = Path("docs")


def report_files(report: Report, root: Path) -> dict[Path, str]:
    """Return every file of a source tree that a report makes, by its path in the tree.

    Args:
        report: what to say.
        root: of the tree, whose READMEs are read.

    Raises: InvalidRequest: a README cannot be read or has no markers.
    """
    made = {SUMMARY: json_text(report.summary)}
    for language in LANGUAGES:
        ending = ".md" if language == EN else f".{language}.md"
        intro = say("intro").of(language)
        document = markdown(say("title").of(language), intro, report.sections, language)
        made[DOCS / f"benchmarks{ending}"] = document
        readme = Path(f"README{ending}")
        made[readme] = with_block(_read(root / readme), readme_block(report, language), str(readme))
        for picture in pictures(report):
            made[DOCS / PLOTS / picture_file(picture, language)] = picture.draw(language)
    return made


def pictures(report: Report) -> list[Picture]:
    """Return the pictures of a report."""
    return [block for section in report.sections for block in section.blocks if isinstance(block, Picture)]


def write_report(files: dict[Path, str], root: Path) -> list[Path]:
    """Write what differs, and remove pictures that no report shows any more; returns what changed.

    Raises: OutputError: not possible, with the reason.
    """
    changed = disagreements(files, root)
    try:
        for path in changed:
            if path in files:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(files[path], encoding="utf-8")
            else:
                (root / path).unlink()
    except OSError as exc:
        raise OutputError(f"cannot write the report into {str(root)!r}: {exc.strerror}") from exc
    return changed


def disagreements(files: dict[Path, str], root: Path) -> list[Path]:
    """Return the files of a tree that are not as a report would make them, left-over pictures among them."""
    differing = [path for path, text in files.items() if _found(root / path) != text]
    shown = {path for path in files if path.parent == DOCS / PLOTS}
    left_over = [path.relative_to(root) for path in sorted((root / DOCS / PLOTS).glob("*.svg"))]
    return [*differing, *(path for path in left_over if path not in shown)]


def _found(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        raise InvalidRequest(
            f"{str(path)!r} cannot be read ({exc.strerror}); run this in EmotiRT's source tree, or name it with --root"
        ) from exc
