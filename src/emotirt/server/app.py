"""The application: routes of every part around one engine, errors by one table, the edge around it all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from emotirt.engine.live import AsyncEngine
from emotirt.errors import EmotiRTError
from emotirt.server.document import document_of
from emotirt.server.edge import Edge
from emotirt.server.errors import Problem, problem_from_error, problem_from_status, problem_from_validation
from emotirt.server.health import health_router
from emotirt.server.metrics import Metrics, metrics_router
from emotirt.server.openai import openai_router
from emotirt.server.page import page_router
from emotirt.server.settings import ServerSettings
from emotirt.server.voices import voices_router
from emotirt.server.websocket import websocket_router


def create_app(engine: AsyncEngine, settings: ServerSettings, metrics: Metrics) -> ASGIApp:
    """Make the application.

    Args:
        engine: open, with ``metrics`` among its observers; whoever opened it closes it.
        settings: keys and limits.
        metrics: of this server.
    """
    app = FastAPI(
        title="EmotiRT",
        description="Emotional speech with OpenAI's interface",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    metrics.watch(engine.stats)
    api = (
        openai_router(engine),
        voices_router(engine),
        health_router(engine),
        metrics_router(metrics),
        websocket_router(engine, settings.idle_timeout_s),
    )
    for router in (*api, page_router()):
        app.include_router(router)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    document = document_of(app)
    app.openapi = lambda: document  # type: ignore[method-assign]  # as FastAPI's manual has it
    return Edge(app, settings, metrics.answered)


def _handler(problem: Callable[[Exception], Problem]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        return problem(error).response()

    return handle


def _from_validation(error: Exception) -> Problem:
    assert isinstance(error, RequestValidationError)
    return problem_from_validation(error.errors())


def _from_status(error: Exception) -> Problem:
    assert isinstance(error, HTTPException)
    return problem_from_status(error.status_code, str(error.detail), error.headers)


_HANDLERS = {
    EmotiRTError: _handler(problem_from_error),
    RequestValidationError: _handler(_from_validation),
    HTTPException: _handler(_from_status),
    Exception: _handler(problem_from_error),
}
