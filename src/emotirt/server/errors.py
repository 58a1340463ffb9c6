"""One table from error to answer: HTTP status, OpenAI's error body, WebSocket close code."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import JSONResponse

from emotirt import errors

logger = logging.getLogger(__name__)

INVALID = "invalid_request_error"
SERVER = "server_error"
POLICY, INTERNAL, RESTART, AGAIN = 1008, 1011, 1012, 1013
"""WebSocket close codes: the client's mistake, our failure, we are closing, come again later (RFC 6455, IANA)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one class of errors is answered.

    Attributes:
        status: of HTTP.
        kind: ``type`` of OpenAI's error body.
        code: ``code`` of that body.
        param: field of the request that is to blame, if it is always the same.
        close_code: of a WebSocket.
        is_ours: whether the fault is on our side, so that its message stays in our log.
    """

    status: int
    kind: str
    code: str
    param: str | None = None
    close_code: int = POLICY
    is_ours: bool = False


def _ours(status: int, code: str) -> Rule:
    return Rule(status, SERVER, code, close_code=INTERNAL, is_ours=True)


RULES: dict[type[Exception], Rule] = {
    errors.EmotiRTError: _ours(500, "internal_error"),
    errors.InvalidRequest: Rule(400, INVALID, "invalid_value"),
    errors.EmptyText: Rule(400, INVALID, "empty_text", "input"),
    errors.TextTooLong: Rule(400, INVALID, "text_too_long", "input"),
    errors.UnknownVoice: Rule(400, INVALID, "unknown_voice", "voice"),
    errors.VoiceExists: Rule(409, INVALID, "voice_exists", "name"),
    errors.VoiceUnusable: Rule(400, INVALID, "voice_unusable", "voice"),
    errors.UnknownEmotion: Rule(400, INVALID, "unknown_emotion", "emotion"),
    errors.UnknownModel: Rule(404, INVALID, "model_not_found", "model"),
    errors.UnknownSymbol: Rule(400, INVALID, "unknown_symbol", "input"),
    errors.UnsupportedFormat: Rule(400, INVALID, "unsupported_format", "response_format"),
    errors.InvalidAudio: Rule(400, INVALID, "invalid_audio"),
    errors.Overloaded: Rule(429, "rate_limit_error", "rate_limit_exceeded", close_code=AGAIN),
    errors.DeadlineExceeded: Rule(504, SERVER, "deadline_exceeded", "deadline_ms", close_code=AGAIN),
    errors.EngineClosed: Rule(503, SERVER, "shutting_down", close_code=RESTART),
    errors.OutputError: _ours(500, "encoding_failed"),
    errors.BundleError: _ours(500, "bundle_error"),
    errors.BundleNotFound: _ours(500, "bundle_error"),
    errors.ManifestInvalid: _ours(500, "bundle_error"),
    errors.BundleCorrupt: _ours(500, "bundle_error"),
    errors.BuildError: _ours(500, "internal_error"),
    errors.ExportFailed: _ours(500, "internal_error"),
    errors.ImportFailed: _ours(500, "internal_error"),
    errors.PlanFailed: _ours(500, "internal_error"),
    errors.ParityFailed: _ours(500, "internal_error"),
    errors.TrainingError: _ours(500, "internal_error"),
    errors.BackendError: _ours(503, "backend_failed"),
    errors.BackendUnavailable: _ours(503, "backend_unavailable"),
    errors.OutOfProfile: _ours(503, "backend_failed"),
    errors.DeviceOutOfMemory: _ours(503, "backend_failed"),
    errors.DeviceFault: _ours(503, "backend_failed"),
    errors.PlanUnusable: _ours(503, "backend_unavailable"),
    errors.WorkerLost: _ours(503, "backend_failed"),
    errors.OutputPoisoned: _ours(503, "backend_failed"),
}
"""Every class of ``errors`` stands here; a test fails when one is missing."""

UNEXPECTED = _ours(500, "internal_error")
_HTTP_CODES = {401: "invalid_api_key", 404: "not_found", 405: "method_not_allowed", 408: "body_timeout"}


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the client sees it.

    Attributes:
        status: of HTTP.
        message: one line.
        kind: ``type`` of OpenAI's error body.
        code: for programs.
        param: field of the request that is to blame.
        headers: to send along.
        close_code: of a WebSocket.
    """

    status: int
    message: str
    kind: str = INVALID
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    close_code: int = POLICY

    @property
    def body(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's error body."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        # What a client sent may hold half a surrogate pair, which no UTF-8 can.
        body = {name: value and value.encode("utf-8", "replace").decode() for name, value in self.body["error"].items()}
        return JSONResponse({"error": body}, self.status, dict(self.headers))


def problem_from_error(error: Exception) -> Problem:
    """Turn any error into what the client may know of it."""
    rule = RULES.get(type(error), UNEXPECTED)
    if rule.is_ours and type(error) in RULES:  # our own messages hold no text of a request; others may
        logger.error("%s: %s", type(error).__name__, error)
    message = " ".join(str(error).split()) if not rule.is_ours else f"the server failed: {rule.code}"
    return Problem(rule.status, message, rule.kind, rule.code, rule.param, _headers(error), rule.close_code)


def problem_from_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """Turn a status of the web framework into a problem."""
    kind = INVALID if status < 500 else SERVER
    if status == 404 and detail == "Not Found":
        detail = "there is nothing at this path; GET /openapi.json describes what there is"
    elif status == 405 and headers and "Allow" in headers:
        detail = f"this path does not take that method; send {headers['Allow']}"
    return Problem(status, detail, kind, _HTTP_CODES.get(status, "invalid_request"), None, dict(headers or {}))


def problem_from_validation(found: Sequence[Mapping[str, Any]]) -> Problem:
    """Turn pydantic's complaints about a body into one line; never repeats the text to be spoken."""
    first = found[0]
    path = [str(part) for part in first["loc"] if part != "body" and not isinstance(part, int)]
    param = path[0] if path else None
    if first["type"] == "json_invalid":
        return Problem(400, "the body is not JSON; send an object with at least 'input'", code="invalid_json")
    if first["type"] == "extra_forbidden":
        message, code = f"unknown field {'.'.join(path)!r:.80}", "unknown_parameter"
    elif param is None and first["type"] == "missing":
        message, code = "the body is empty; send a JSON object with at least 'input'", "invalid_json"
    elif param is None:
        message, code = "the body is not a JSON object; send Content-Type: application/json", "invalid_json"
    else:
        message, code = f"{param}: {first['msg'][0].lower()}{first['msg'][1:]}", "invalid_value"
        if first["type"] == "missing":
            code = "missing_required_parameter"
    return Problem(400, message, INVALID, code, param)


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, errors.Overloaded):
        return {"retry-after": str(max(1, math.ceil(error.retry_after_s))), "x-should-retry": "true"}
    if isinstance(error, errors.EngineClosed):
        return {"retry-after": "1"}  # of another server, or of the next one here
    if isinstance(error, errors.DeadlineExceeded):
        return {"x-should-retry": "false"}
    return {}
