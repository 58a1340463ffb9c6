"""``/v1/audio/voices``: list, clone, delete. Recordings stay in memory and are dropped with the request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import JSONResponse, Response

from emotirt.bundle.manifest import VoiceEntry
from emotirt.engine.live import AsyncEngine
from emotirt.engine.voices import ClonedVoice, NewVoice
from emotirt.server.edge import UPLOAD_PATH
from emotirt.server.errors import INVALID, Problem, problem_from_validation
from emotirt.server.replies import EVERYWHERE, CreatedVoice, DeletedVoice, VoiceList, errors_of, reply_of
from emotirt.voices.recording_check import RecordingReport
from emotirt.voices.voice_file import UNDETERMINED, StoredVoice

MAX_SAMPLES = 8
MAX_FIELDS = 16
FIELD_BYTES = 8 * 1024
SAMPLE_FIELDS = ("audio_sample", "audio_sample[]")
AGREED = ("true", "1", "yes", "on")
AGREEMENT = "confirmed over HTTP by whoever uploaded the recording"
_SAMPLE = {"type": "string", "format": "binary"}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "consent", "audio_sample"],
                    "properties": {
                        "name": {"type": "string", "minLength": 1, "maxLength": 64},
                        "consent": {"type": "string", "enum": list(AGREED)},
                        "audio_sample": {"type": "array", "items": _SAMPLE, "minItems": 1, "maxItems": MAX_SAMPLES},
                        "language": {"type": "string", "pattern": "^[a-z]{2,3}$"},
                        "description": {"type": "string", "maxLength": 500},
                    },
                    "additionalProperties": False,
                }
            }
        },
    }
}


class _Fields(BaseModel):
    """The fields of the form that are words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    consent: Annotated[str, Field(max_length=500)] = ""
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] = UNDETERMINED
    description: Annotated[str, Field(max_length=500)] = ""


class _Refused(Exception):
    """The form is not accepted."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def voices_router(engine: AsyncEngine) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["voices"], responses=errors_of(*EVERYWHERE))
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings quote bytes of the form

    @router.get(UPLOAD_PATH, responses=reply_of(VoiceList))
    async def list_voices() -> dict[str, object]:
        """List voices, those of the bundle first, and emotions."""
        presets = [_preset(voice) for voice in engine.bundle.manifest.voices]
        emotions = [{"name": emotion.name, "aliases": list(emotion.aliases)} for emotion in engine.emotions]
        return {
            "object": "list",
            "data": [*presets, *(_custom(voice) for voice in await _own(engine))],
            "emotions": emotions,
        }

    @router.post(
        UPLOAD_PATH,
        response_class=JSONResponse,
        responses=reply_of(CreatedVoice, 400, 409),
        openapi_extra=_FORM,
    )
    async def create_voice(request: Request) -> Response:
        """Make a voice from recordings of one person, who has agreed; 3 to 30 s of speech. They are not kept."""
        try:
            new, samples = await _read_form(request)
        except _Refused as exc:
            return exc.problem.response()
        return JSONResponse(_answer(await engine.clone(new, samples)))

    @router.delete(UPLOAD_PATH + "/{voice}", responses=reply_of(DeletedVoice, 400, 404))
    async def delete_voice(voice: str) -> Response:
        """Forget a voice that was made here."""
        is_preset = voice.strip().casefold() in {entry.name.casefold() for entry in engine.bundle.manifest.voices}
        if not is_preset and voice.strip().casefold() not in {item.name.casefold() for item in await _own(engine)}:
            message = f"no voice {voice!r:.100} to delete; GET {UPLOAD_PATH} lists those with custom true"
            return Problem(404, message, INVALID, "voice_not_found", "voice").response()
        await engine.remove_voice(voice)
        return JSONResponse({"id": voice, "object": "audio.voice.deleted", "deleted": True})

    return router


async def _own(engine: AsyncEngine) -> tuple[StoredVoice, ...]:
    return await asyncio.to_thread(lambda: engine.custom_voices)  # thousands of files may be read; others listen


async def _read_form(request: Request) -> tuple[NewVoice, list[bytes]]:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise _Refused(_bad_form("send multipart/form-data with name, consent and audio_sample"))
    with _form_errors():
        form = await _parser(request).parse()
    try:
        files = [(key, item) for key, item in form.multi_items() if isinstance(item, UploadFile)]
        samples = [await item.read() for key, item in files if key in SAMPLE_FIELDS]
        words = {key: item for key, item in form.multi_items() if isinstance(item, str) and key not in SAMPLE_FIELDS}
        strays = [key for key, _ in files if key not in SAMPLE_FIELDS]
    finally:
        await form.close()
    if strays:
        raise _Refused(Problem(400, f"unknown file {strays[0]!r:.80}", INVALID, "unknown_parameter", "audio_sample"))
    try:
        fields = _Fields.model_validate(words)
    except ValidationError as exc:
        raise _Refused(problem_from_validation(exc.errors(include_url=False))) from None
    if fields.consent.strip().lower() not in AGREED:
        message = "consent must be true: a voice is made only with the agreement of the person whose it is"
        raise _Refused(Problem(400, message, INVALID, "consent_required", "consent"))
    if not samples:
        message = "audio_sample is missing; send one to eight files of 3 to 30 s of speech"
        raise _Refused(Problem(400, message, INVALID, "missing_required_parameter", "audio_sample"))
    return NewVoice(fields.name.strip(), AGREEMENT, fields.language, fields.description), samples


def _parser(request: Request) -> MultiPartParser:
    async def body() -> AsyncGenerator[bytes, None]:
        yield await request.body()

    parser = MultiPartParser(
        request.headers, body(), max_files=MAX_SAMPLES, max_fields=MAX_FIELDS, max_part_size=FIELD_BYTES
    )
    parser.spool_max_size = 2**62  # the body is in memory already, and no recording is to touch a disk
    return parser


@contextmanager
def _form_errors() -> Iterator[None]:
    try:
        yield
    except MultiPartException as exc:
        raise _Refused(_bad_form(exc.message.lower().rstrip("."))) from None
    except (MultipartParseError, UnicodeDecodeError, LookupError, ValueError) as exc:
        raise _Refused(_bad_form("it is cut off, or its boundary is wrong")) from exc


def _bad_form(why: str) -> Problem:
    return Problem(400, f"the form cannot be read: {why:.200}", INVALID, "invalid_form")


def _preset(voice: VoiceEntry) -> dict[str, object]:
    return {
        "id": voice.name, "object": "audio.voice", "name": voice.name, "language": voice.language,
        "sex": voice.sex, "description": voice.description, "licence": voice.licence, "custom": False,
    }  # fmt: skip


def _custom(voice: StoredVoice) -> dict[str, object]:
    return {**_preset(voice.entry), "custom": True, "created_at": voice.created_at}


def _answer(made: ClonedVoice) -> dict[str, object]:
    warnings = [f"{report.name}: {text}" for report in made.reports for text in report.warnings]
    return {
        **_custom(made.voice),
        "recordings": [_report(report) for report in made.reports],
        "warnings": warnings,
    }


def _report(report: RecordingReport) -> dict[str, object]:
    return {
        "duration_s": round(report.duration_s, 3),
        "speech_s": round(report.speech_s, 2),
        "level_dbfs": round(report.level_dbfs, 1),
        "clipped_ratio": round(report.clipped_ratio, 4),
        "snr_db": round(report.snr_db, 1),
        "bandwidth_hz": round(report.bandwidth_hz),
    }
