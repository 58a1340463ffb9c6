"""One turn of a WebSocket: pieces of text spoken one after the other into one stream of audio."""

from __future__ import annotations

import json

from fastapi import WebSocket

from emotirt.engine.live import AsyncEngine
from emotirt.errors import EmptyText
from emotirt.server.messages import Start
from emotirt.server.speech import AudioTarget, AudioWriter, options_from_style, request_from_style
from emotirt.synthesis.times import timestamps_from_spoken
from emotirt.text.split import split_sentences

AHEAD_CHARACTERS = 16
"""The word after a full stop, which may decide whether it ends a sentence."""
RUN_CHARACTERS = 256
"""Marks, quotes and spaces in a row; where there are more, the first of them do not matter."""
BEHIND_CHARACTERS = 32
"""The word before a full stop, which may be an abbreviation."""


class Turn:
    """Speaks; reset by a flush or a cancellation."""

    def __init__(self, socket: WebSocket, engine: AsyncEngine, style: Start, target: AudioTarget) -> None:
        """Speak in ``style`` into ``socket``."""
        self._socket = socket
        self._engine = engine
        self._style = style
        self._target = target
        self._count = 0
        self._samples = 0
        self._writer: AudioWriter | None = None

    async def speak(self, text: str) -> None:
        """Speak a piece to its end; what holds nothing to say is passed over. Raises the engine's errors."""
        self._count += 1
        name = f"{self._socket.scope['emotirt_id']}-{self._count}"
        options = options_from_style(self._style, name, is_later=self._writer is not None)
        request = request_from_style(text, self._style, self._engine)
        try:
            stream = await self._engine.submit(request, options)
        except EmptyText:
            return
        rate_hz = self._engine.sample_rate_hz
        self._writer = self._writer or AudioWriter(self._target, rate_hz)
        offset_s = self._samples / rate_hz
        kinds = self._style.timestamp_kinds
        async with stream:
            async for chunk in stream:
                if chunk.spoken is not None and kinds:
                    described = timestamps_from_spoken(chunk.spoken, rate_hz, kinds, offset_s)
                    event = {"type": "timestamps", **described}
                    await self._socket.send_text(json.dumps(event, ensure_ascii=False))
                self._samples += len(chunk.samples)
                await self._send(await self._writer.write(chunk.samples))
        for warning in stream.warnings:
            await self._socket.send_text(json.dumps({"type": "warning", "message": warning}, ensure_ascii=False))

    async def finish(self) -> None:
        """Send the end of the stream of audio."""
        writer = self._writer
        self.reset()
        if writer is not None:
            await self._send(await writer.finish())

    def reset(self) -> None:
        """Begin anew."""
        self._writer, self._samples = None, 0

    async def _send(self, audio: bytes) -> None:
        if audio:
            await self._socket.send_bytes(audio)


def spoken_part(pending: str, piece: str) -> tuple[str, str]:
    """Divide what has come so far into whole sentences, and the rest that may still go on.

    Args:
        pending: the rest from before, in which no sentence ends.
        piece: what has come since.
    """
    settled, decided = _read_before(pending)  # what trickles in is not read from its beginning every time
    sentences = split_sentences(pending[settled:] + piece)
    whole = len(sentences) - 1
    while whole > 0 and settled + sum(map(len, sentences[:whole])) <= decided:
        whole -= 1  # no end: it was looked at before, with all that stood before it
    ready = "".join(sentences[:whole])
    if not ready:
        return "", pending + piece
    return pending[:settled] + ready, "".join(sentences[whole:])


def _read_before(pending: str) -> tuple[int, int]:
    """Return from where to read again, and up to where no sentence ends, whatever follows."""
    decided = max(0, len(pending) - AHEAD_CHARACTERS)
    last_run = max(0, decided - RUN_CHARACTERS)
    while decided > last_run and not pending[decided - 1].isalnum():
        decided -= 1
    return max(0, decided - BEHIND_CHARACTERS), decided
