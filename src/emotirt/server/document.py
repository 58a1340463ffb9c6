"""The OpenAPI document: what FastAPI derives from the routes, corrected where our server behaves otherwise."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from emotirt.server.edge import OPEN_PATHS

_NEVER_SENT = "422"
"""FastAPI's own answer to an invalid body; ours is 400 in OpenAI's shape."""
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "an API key; only where the server was given keys, else every request is accepted without one",
}


def document_of(app: FastAPI) -> dict[str, Any]:
    """Describe an application whose routes are all there."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, summary=app.summary
    )
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop(_NEVER_SENT, None)
            if path not in OPEN_PATHS:
                operation["security"] = [{"key": []}, {}]
    components = document["components"]
    components["securitySchemes"] = {"key": _BEARER}
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    return document
