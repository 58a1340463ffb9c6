"""Inline control: ``[pause:0.5]`` and ``[[HH AH0 L OW1]]`` in the text of a request."""

from __future__ import annotations
