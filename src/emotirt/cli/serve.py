"""Serve speech over HTTP and WebSocket, with OpenAI's interface.

Every option has an environment variable (EMOTIRT_PORT and so on), which the option goes before; API keys come from
EMOTIRT_API_KEYS only, so that they stand in no process list. SIGTERM lets running requests end.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from emotirt.errors import BackendUnavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``emotirt serve``; the server's settings check them."""
    add = parser.add_argument
    add("--host", help="address to listen on (default: 127.0.0.1)")
    add("--port", help="port to listen on, 0 for any free one (default: 8880)")
    add("--bundle", type=Path, metavar="DIR", help="bundle to speak with (default: the one inside EmotiRT)")
    add("--voices", type=Path, metavar="DIR", help="where voices of your own are kept (default: your own place)")
    add("--backend", help="auto, or a name that 'emotirt doctor' lists (default: auto)")
    add("--threads", metavar="N", help="CPU threads (default: one for every core)")
    add("--isolation", help="auto, worker (the backend in a process of its own) or inline (default: auto)")
    add(
        "--live-deadline",
        dest="live_deadline_s",
        metavar="S",
        help="to the first audio of a live request (default: 0.5)",
    )
    add("--requests-at-once", metavar="N", help="more wait in order of arrival (default: no bound)")
    add("--feeds-listeners", metavar="BOOL", help="refuse rather than let listeners run dry (default: true)")
    add("--body-timeout", dest="body_timeout_s", metavar="S", help="for a request to arrive (default: 30)")
    add("--send-timeout", dest="send_timeout_s", metavar="S", help="for a client to take something (default: 30)")
    add("--idle-timeout", dest="idle_timeout_s", metavar="S", help="for a WebSocket to say something (default: 600)")
    add("--drain", dest="drain_s", metavar="S", help="for running requests to end after SIGTERM (default: 30)")
    add("--sabotage", type=Path, help=argparse.SUPPRESS)  # for 'emotirt bench faults'
    add("--log-level", help="debug, info, warning or error (default: info)")
    add(
        "--allow-origin",
        dest="allow_origins",
        action="append",
        metavar="ORIGIN",
        help="let web pages from there use the server, such as https://example.org; may be repeated, '*' for all",
    )
    add("--allow-public", action="store_true", default=None, help="listen on a public address without any API key")


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop, and return the exit code.

    Raises: BackendUnavailable: the server's packages are missing.
    """
    try:
        from emotirt.server.run import run_server
        from emotirt.server.settings import settings_from_environment
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("emotirt"):
            raise
        raise BackendUnavailable(f"serving needs {exc.name}; install it: pip install 'emotirt[serve]'") from exc
    options = vars(args)
    if args.allow_origins is not None:
        options = {**options, "allow_origins": ",".join(args.allow_origins)}
    run_server(settings_from_environment(overrides=options))
    return 0
