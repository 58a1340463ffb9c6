"""Reads the Mandarin word lists and rules that come with the package."""

from __future__ import annotations

from importlib.resources import files


def data_bytes(name: str) -> bytes:
    """Read one file of ``text/data``."""
    return (files("emotirt.text") / "data" / name).read_bytes()


def data_lines(name: str) -> list[str]:
    """Read the lines of one UTF-8 file of ``text/data`` that are neither empty nor comments (#)."""
    lines = data_bytes(name).decode().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def data_words(name: str) -> frozenset[str]:
    """Read the words, separated by white space, of one file of ``text/data``."""
    return frozenset(word for line in data_lines(name) for word in line.split())
