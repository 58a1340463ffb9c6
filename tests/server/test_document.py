"""The OpenAPI document: complete, and true to what the server does, whatever is sent (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks
from tests.server.conftest import Running

from emotirt.audio.encode import FORMATS

SEED = 20_240_501
SENSIBLE, SENSELESS = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
TRIALS = {
    ("POST", "/v1/audio/speech", SENSIBLE): 30,
    ("POST", "/v1/audio/speech", SENSELESS): 60,
    ("GET", "/v1/models", SENSIBLE): 1,
    ("GET", "/v1/models/{model}", SENSIBLE): 30,
    ("GET", "/v1/audio/voices", SENSIBLE): 1,
    ("POST", "/v1/audio/voices", SENSIBLE): 30,
    ("POST", "/v1/audio/voices", SENSELESS): 60,
    ("DELETE", "/v1/audio/voices/{voice}", SENSIBLE): 30,
    ("GET", "/healthz", SENSIBLE): 1,
    ("GET", "/readyz", SENSIBLE): 1,
    ("GET", "/metrics", SENSIBLE): 1,
}
"""How many requests are tried; where everything is a sensible request, there are no senseless ones."""
REFUSALS = ["400", "404", "405", "409", "413"]
UNDERSTOOD_ONLY_BY_US = [checks.positive_data_acceptance]
"""What the document cannot say: which voices, emotions and models there are, and what can be spoken."""


@pytest.fixture(scope="module")
def document(client: httpx.Client) -> dict[str, Any]:
    return client.get("/openapi.json").json()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


def test_every_route_is_tried(document: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, found in document["paths"].items() for method in found}
    assert described == {(method, path) for method, path, _ in TRIALS}


def test_errors_and_kinds_of_audio_are_described(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"]
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/readyz":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)
    spoken = document["paths"]["/v1/audio/speech"]["post"]["responses"]
    assert set(spoken["200"]["content"]) == {item.media_type for item in FORMATS.values()} | {"text/event-stream"}
    assert spoken["200"]["content"]["audio/mpeg"]["schema"]["format"] == "binary"
    assert {"400", "401", "404", "408", "413", "429", "500", "503", "504"} < set(spoken)
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


@pytest.mark.parametrize(("method", "path", "mode"), list(TRIALS))
def test_schemathesis(
    server: Running, document: dict[str, Any], session: requests.Session, method: str, path: str, mode: GenerationMode
) -> None:
    accepted = {"negative_data_rejection": REFUSALS, "not_a_server_error": ["2xx", "4xx", "504"]}
    config = {"checks": {name: {"expected-statuses": statuses} for name, statuses in accepted.items()}}
    schema = schemathesis.openapi.from_dict(document, config=schemathesis.Config.from_dict(config))

    @seed(SEED)
    @settings(
        max_examples=TRIALS[method, path, mode],
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def tried(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=server.url, session=session, excluded_checks=UNDERSTOOD_ONLY_BY_US, timeout=60)

    tried()
    assert server.stats().errors <= server.stats().deadlines_missed
