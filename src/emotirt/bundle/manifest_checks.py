"""Checks of a manifest that need only a part of it; each yields the broken key and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from emotirt.bundle.contract import STAGES, Dimensions, stage_contract


def profile_problems(
    profiles: Mapping[str, Sequence[Mapping[str, tuple[int, int, int]]]], stages: Collection[str], dims: Dimensions
) -> Iterable[tuple[str, str]]:
    """Check that profiles are of stages of the bundle and give every dynamic axis an ascending range."""
    for stage, tables in profiles.items():
        if stage not in stages or stage not in STAGES:
            yield f"profiles.{stage}", f"names no stage of the bundle, which has {', '.join(stages)}"
            continue
        inputs = stage_contract(stage, dims).inputs
        expected = {axis for spec in inputs for axis in spec.shape if isinstance(axis, str)}
        if not tables:
            yield f"profiles.{stage}", "is empty; leave the key out to have the defaults"
        for axes in tables:
            if set(axes) != expected:
                yield f"profiles.{stage}", f"has the axes {sorted(axes)}, expected {sorted(expected)}"
            for axis, (low, best, high) in axes.items():
                if not 1 <= low <= best <= high:
                    yield f"profiles.{stage}.{axis}", f"{[low, best, high]} must ascend from at least 1"


def name_problems(key: str, names: list[str]) -> Iterable[tuple[str, str]]:
    """Check names, which are looked up without regard to case and surrounding spaces."""
    for name in names:
        if not name or name != name.strip():
            yield key, f"{name!r} is not a name; it is empty or has spaces around it"
    yield from repeated(key, [name.casefold() for name in names])


def repeated(key: str, names: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Yield what stands there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield key, f"{name!r} stands there twice"
        seen.add(name)
