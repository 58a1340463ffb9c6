"""The report put together: sections in both languages, from result files, the summary and the reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotirt.bench.report.archive import Archive, Result, Wanted, read_archive
from emotirt.bench.report.http_load import Served
from emotirt.bench.report.other_sections import RANDOM, http_section, origin_section, quality_section, time_section
from emotirt.bench.report.parts import Block, Both, Bullets, Paragraph, Section
from emotirt.bench.report.quality import DEFAULT, Quality
from emotirt.bench.report.speed_sections import ablation_section, article_section, cpu_section
from emotirt.bench.report.targets import REASONS_FILE, read_reasons, target_tables
from emotirt.bench.report.ways import Ways
from emotirt.bench.report.where_time_goes import newest_floors
from emotirt.bench.summary import collect_summary


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is said.

    Attributes:
        sections: in order.
        summary: the newest value of every target.
        served: what a server does on a GPU.
        ways: what was measured on a GPU.
        quality: of precisions.
    """

    sections: Sequence[Section]
    summary: Mapping[str, Mapping[str, Any]]
    served: Served
    ways: Ways
    quality: Quality


def report_from_results(directory: Path) -> Report:
    """Read a directory of result files and say what they hold.

    Raises: InvalidRequest: no such directory, or a file that is no result or no reason, named.
    """
    archive = read_archive(directory)
    summary = collect_summary(directory)
    reasons = read_reasons(directory.parent / REASONS_FILE)
    gpu, cpu = Ways(archive, _on_gpu(RANDOM)), Ways(archive, _on_cpu)
    served, served_cpu = Served(archive, _on_gpu(RANDOM)), Served(archive, _on_cpu)
    trained, served_trained = Ways(archive, _on_gpu(DEFAULT)), Served(archive, _on_gpu(DEFAULT))
    quality = Quality(archive)
    sections = [
        article_section(gpu, trained, served, quality),
        _targets_section(summary, reasons),
        http_section(served, served_trained, served_cpu, quality),
        ablation_section(gpu, archive, served_cpu if served.compared is None else served, quality),
        time_section(archive, gpu, cpu),
        quality_section(quality, summary, archive),
        cpu_section(cpu, archive),
        origin_section(_used(archive, (gpu, trained, cpu), (served, served_trained, served_cpu), quality)),
    ]
    return Report(sections, summary, served, gpu, quality)


def _on_gpu(bundle: str) -> Wanted:
    return lambda item: item.is_of_gpu and item.bundle.get("name") == bundle


def _on_cpu(item: Result) -> bool:
    return not item.is_of_gpu and item.bundle.get("name") == DEFAULT


def _targets_section(summary: Mapping[str, Mapping[str, Any]], reasons: Mapping[str, Both]) -> Section:
    blocks: list[Block] = []
    for group, table, why in target_tables(summary, reasons):
        blocks += [Paragraph(Both(f"**{group.en}**", f"**{group.zh}**")), table]
        if why:
            blocks.append(Bullets(why))
    return Section(Both("Targets", "目标"), blocks)


def _used(archive: Archive, ways: Sequence[Ways], served: Sequence[Served], quality: Quality) -> list[Result]:
    """Return the results that the report speaks of, each once, the newest first."""
    found: list[Result | None] = [archive.newest("cpu"), archive.newest("frontend"), *newest_floors(archive, RANDOM)]
    found += [quality.real, quality.emulated, archive.newest("vocoders")]
    for item in ways:
        found += [item.main, *item.in_flight[:1], *item.stages[:1]]
    for server in served:
        found += server.results
    unique = {result.path: result for result in found if result is not None}
    return sorted(unique.values(), key=lambda result: (result.date, result.path.name), reverse=True)
