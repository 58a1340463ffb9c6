"""How the server runs: options, and environment variables (``EMOTIRT_PORT`` and so on)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from emotirt.engine.settings import EngineSettings
from emotirt.environment import PREFIX, variables
from emotirt.errors import InvalidRequest
from emotirt.scheduling.admission import AdmissionLimits
from emotirt.scheduling.supervisor import WorkerSettings
from emotirt.server.origins import origin_from_text

KILOBYTE = 1024


class ServerSettings(BaseModel):
    """Settings of one server process.

    Attributes:
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        bundle: directory of the bundle, None for the one inside the package.
        voices: directory of the user's voices, None for the user's own.
        backend: name of a backend, or ``auto``.
        threads: CPU threads, None for one a core.
        isolation: ``worker`` puts the backend into a process of its own, ``inline`` does not, ``auto`` lets it decide.
        api_keys: accepted keys, separated by commas; empty for none.
        requests_per_key: requests that one key may have running at once, 0 for no limit.
        requests_at_once: requests that are spoken at once, more wait in order of arrival; None for no bound.
        feeds_listeners: refuse a live request (429) rather than let its listener, or those before it, run dry.
        allow_public: listen on a public address without any key.
        allow_origins: web pages that may use the server beside its own, as origins separated by commas; ``*`` for all.
        live_deadline_s: to the first audio of a live request that names no deadline.
        drain_s: how long running requests may take to end once the server is told to stop.
        max_body_bytes: largest request body, but for recordings.
        max_upload_bytes: largest body that brings recordings of a voice, without its frame.
        body_timeout_s: how long a client may take to send its body, and before it the head of a request.
        body_bytes_per_s: for every so many bytes of a body that came it may take a second more.
        send_timeout_s: how long a client may take nothing of what is sent to it.
        idle_timeout_s: how long a WebSocket whose text is all spoken may stay without a message.
        log_level: of the server's own log.
        sabotage: a file that orders faults of the worker process; only for a fault campaign.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8880, ge=0, le=65535)
    bundle: Path | None = None
    voices: Path | None = None
    backend: str = "auto"
    threads: int | None = Field(None, ge=1)
    isolation: Literal["auto", "worker", "inline"] = "auto"
    api_keys: str = Field("", repr=False)
    requests_per_key: int = Field(0, ge=0)
    requests_at_once: int | None = Field(None, ge=1)
    feeds_listeners: bool = True
    allow_public: bool = False
    allow_origins: str = ""
    live_deadline_s: float = Field(0.5, gt=0)
    drain_s: float = Field(30.0, ge=0, le=3600)
    max_body_bytes: int = Field(512 * KILOBYTE, ge=KILOBYTE)
    max_upload_bytes: int = Field(10 * 1024 * KILOBYTE, ge=KILOBYTE)
    body_timeout_s: float = Field(30.0, gt=0)
    body_bytes_per_s: int = Field(32 * KILOBYTE, ge=1)
    send_timeout_s: float = Field(30.0, gt=0)
    idle_timeout_s: float = Field(600.0, gt=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    sabotage: Path | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The accepted API keys."""
        return _listed(self.api_keys)

    @property
    def origins(self) -> tuple[str, ...]:
        """The allowed origins as browsers write them."""
        return tuple(map(origin_from_text, _listed(self.allow_origins)))

    @property
    def is_open_to_this_machine_only(self) -> bool:
        """Whether reaching it is all that speaking takes, and only this machine can."""
        return not self.keys and _is_loopback(self.host)

    @field_validator("allow_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for item in _listed(value):
            origin_from_text(item)
        return value

    @property
    def engine(self) -> EngineSettings:
        """How the engine schedules."""
        return EngineSettings(
            isolation=self.isolation,
            live_deadline_s=self.live_deadline_s,
            requests_at_once=self.requests_at_once,
            admission=AdmissionLimits(feeds_listeners=self.feeds_listeners),
            worker=WorkerSettings(sabotage_path=self.sabotage),
        )

    def check_bind(self) -> None:
        """Refuse to be reachable by everybody without a key.

        Raises: InvalidRequest: says what to do.
        """
        if not self.keys and not self.allow_public and not _is_loopback(self.host):
            raise InvalidRequest(
                f"host {self.host!r} is reachable from other machines and no API key is set; set {PREFIX}API_KEYS, or "
                f"{PREFIX}ALLOW_PUBLIC=true (--allow-public) if everybody may speak, or listen on 127.0.0.1"
            )


def settings_from_environment(
    environment: Mapping[str, str] | None = None, overrides: Mapping[str, object] | None = None
) -> ServerSettings:
    """Read settings from variables named ``EMOTIRT_`` and the field in capitals; an empty one is as good as none.

    Args:
        environment: None for that of this process.
        overrides: from the command line, by field; None values are left out. They go before the environment.

    Raises: InvalidRequest: unknown variable, or a value of the wrong type or out of range; names key, value and type.
    """
    found = variables(environment)
    for name in found:
        if name not in ServerSettings.model_fields:
            raise InvalidRequest(_unknown(name))
    found.update({name: str(value) for name, value in (overrides or {}).items() if value is not None})
    try:
        return ServerSettings.model_validate_strings(found)
    except ValidationError as exc:
        raise InvalidRequest(_complaint(exc)) from None


def _unknown(name: str) -> str:
    known = [PREFIX + field.upper() for field in ServerSettings.model_fields]
    variable = PREFIX + name.upper()
    near = get_close_matches(variable, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"environment variable {variable} is unknown; {hint}"


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    name = str(first["loc"][0])
    annotation = ServerSettings.model_fields[name].annotation
    kind = annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
    value = "(hidden)" if name == "api_keys" else repr(first["input"])
    if first["type"] == "value_error":  # our own words
        return f"setting {name} ({PREFIX}{name.upper()}): {first['msg'].partition(', ')[2]}"
    return f"setting {name} ({PREFIX}{name.upper()}) is {value}; it takes {kind}: {first['msg'].lower()}"


def _listed(value: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in value.split(",") if item.strip())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
