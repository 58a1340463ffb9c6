"""Playing through a program that the system has; EmotiRT brings no audio driver of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from emotirt.errors import BackendError, BackendUnavailable

# Each reads 16-bit little-endian mono PCM from standard input.
PLAYERS: dict[str, str] = {
    "pw-cat": "--playback --format=s16 --channels=1 --rate={rate} -",
    "paplay": "--raw --format=s16le --channels=1 --rate={rate}",
    "aplay": "-q -t raw -f S16_LE -c 1 -r {rate} -",
    "play": "-q -t raw -e signed -b 16 -c 1 -r {rate} -",
    "ffplay": "-loglevel error -nodisp -autoexit -f s16le -ar {rate} -ch_layout mono -i -",
    "mpv": "--really-quiet --demuxer=rawaudio --demuxer-rawaudio-channels=1 --demuxer-rawaudio-rate={rate} -",
}


def find_player() -> str:
    """Return the first installed player.

    Raises: BackendUnavailable: none; says what to install.
    """
    for program in PLAYERS:
        if shutil.which(program):
            return program
    raise BackendUnavailable(f"no audio player found; install one of {', '.join(PLAYERS)}, or write a file with --out")


@contextmanager
def player(sample_rate_hz: int) -> Iterator[IO[bytes]]:
    """Start a player and give the pipe that takes its samples; returns when it has played them all.

    Raises: BackendUnavailable: no player. BackendError: it failed.
    """
    program = find_player()
    command = [program, *PLAYERS[program].format(rate=sample_rate_hz).split()]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        yield process.stdin
        process.stdin.close()
        reason = process.stderr.read().decode(errors="replace")
        code = process.wait()
    except BrokenPipeError:
        reason = process.stderr.read().decode(errors="replace")
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stderr.close()
    if code:
        last = (reason.strip().splitlines() or ["no reason given"])[-1]
        raise BackendError(f"player {program!r} failed with code {code}: {last}; write a file with --out instead")
