"""What a client of the WebSocket may send."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from emotirt.server.schemas import Style

MAX_PIECE_CHARACTERS = 20_000
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class Start(Style):
    """The first message: how to speak everything that follows."""

    type: Literal["start"]
    response_format: Literal["pcm", "mp3", "opus", "aac", "flac", "wav"] = "pcm"


class TextPiece(BaseModel):
    """Some more text; pieces are joined as they are."""

    model_config = _STRICT

    type: Literal["text"]
    text: Annotated[str, Field(max_length=MAX_PIECE_CHARACTERS)]


class Flush(BaseModel):
    """Speak what is there, and end the turn."""

    model_config = _STRICT

    type: Literal["flush"]


class Cancel(BaseModel):
    """Stop speaking, and forget what was not spoken."""

    model_config = _STRICT

    type: Literal["cancel"]


class End(BaseModel):
    """Speak what is there, and close the connection."""

    model_config = _STRICT

    type: Literal["end"]


Message = Start | TextPiece | Flush | Cancel | End
_MESSAGE: TypeAdapter[Message] = TypeAdapter(
    Annotated[Start | TextPiece | Flush | Cancel | End, Field(discriminator="type")]
)


def message_from_text(text: str) -> Message:
    """Read a message; raises pydantic's ValidationError."""
    return _MESSAGE.validate_json(text)
