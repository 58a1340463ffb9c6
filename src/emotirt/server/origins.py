"""Which web pages may use the server: its own, and those of origins that a setting allows.

A browser lets every page reach every server that its machine can, one on the loopback address included, opens a
WebSocket for it without asking, and sends simple requests without asking. It says in ``Origin`` whose page it is, with
every WebSocket and every request that may change something. Other clients send no origin and are not concerned.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

ANY = "*"
NULL = "null"
"""What a browser says for a page from a file, or in a sandbox; any page can make such a page."""
FOREIGN_SITES = frozenset(("cross-site", "same-site"))
"""Of ``Sec-Fetch-Site``, which browsers send even where they leave the origin out."""
SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?/?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def origin_from_text(text: str) -> str:
    """Write an origin as browsers do: in lower case, without the usual port.

    Raises: ValueError: neither an origin, nor ``*`` or ``null``.
    """
    lowered = text.strip().lower()
    if lowered in (ANY, NULL):
        return lowered
    if lowered == "file://":  # so say some programs that show pages from files
        return NULL
    found = _ORIGIN.fullmatch(lowered)
    if found is None:
        raise ValueError(f"{text.strip()!r:.100} is no origin; give one like https://example.org:8080 without a path")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{int(port)}" if port and port != _DEFAULT_PORTS.get(scheme) else "")


class Origins:
    """Tells the pages that may use the server from those that may not."""

    def __init__(self, allowed: Iterable[str], guards_names: bool) -> None:
        """Allow origins beside the server's own.

        Args:
            allowed: as ``origin_from_text`` writes them.
            guards_names: take a page for the server's own only if it was reached by an address or as localhost. Whoever
                owns another name can let it lead here, and then his page has the server's origin (DNS rebinding).
        """
        self._allowed = frozenset(allowed)
        self._guards_names = guards_names

    def refusal(self, scope: Mapping[str, Any]) -> str:
        """Say why a request or a handshake of ASGI may not be served; empty where it may."""
        headers = dict(reversed(scope["headers"]))
        origin, host, site = (
            headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host", b"sec-fetch-site")
        )
        if origin:
            return "" if self._is_welcome(origin, host) else _refusal(origin)
        is_safe = scope["type"] == "http" and scope["method"] in SAFE_METHODS
        return "" if is_safe or site not in FOREIGN_SITES or ANY in self._allowed else _refusal("")

    def _is_welcome(self, origin: str, host: str) -> bool:
        normal = _normal(origin)
        own = _normal(f"{normal.partition('://')[0]}://{host}")
        is_own = normal == own != "" and (not self._guards_names or _is_address(own))
        return is_own or not self._allowed.isdisjoint((ANY, normal))


def _normal(origin: str) -> str:
    """Return ``origin_from_text`` of what a client sent, empty where it is no origin."""
    try:
        return origin_from_text(origin)
    except ValueError:
        return ""


def _refusal(origin: str) -> str:
    whose = f"of {origin!r:.100}" if origin else "of another site"
    way = f"if it may, start it with --allow-origin {_normal(origin) or 'ORIGIN'}"
    return f"a page {whose} may not use this server; {way}"


def _is_address(origin: str) -> bool:
    """Return whether an origin's host is an IP address or the local machine, which nobody else can own."""
    found = _ORIGIN.fullmatch(origin)
    host = found.group(2) if found else ""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return True
