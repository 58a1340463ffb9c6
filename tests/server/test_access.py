"""API keys."""

from __future__ import annotations

import httpx
from tests.server.conftest import running

from emotirt.server.settings import ServerSettings

PATH = "/v1/audio/speech"


def test_keys_and_their_limit(server_settings: ServerSettings) -> None:
    guarded = server_settings.model_copy(update={"api_keys": "alpha,beta", "requests_per_key": 1})
    long = {"input": "One, two, three. " * 60, "response_format": "pcm", "sample_rate": 192_000}
    with running(guarded) as started, httpx.Client(base_url=started.url, timeout=60) as http:
        for headers in ({}, {"authorization": "Bearer gamma"}, {"authorization": "Basic alpha"}):
            refused = http.post(PATH, json={"input": "Hi."}, headers=headers)
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
            assert refused.headers["www-authenticate"] == "Bearer"
        assert http.get("/metrics").status_code == 401
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        alpha, beta = ({"authorization": f"Bearer {key}"} for key in ("alpha", "beta"))
        with http.stream("POST", PATH, json=long, headers=alpha) as answer:
            pieces = answer.iter_raw()  # held on to: dropping it closes the connection
            next(pieces)
            assert http.post(PATH, json={"input": "Hi."}, headers=alpha).status_code == 429
            assert http.post(PATH, json={"input": "Hi."}, headers=beta).status_code == 200
        for _ in range(100):
            if (again := http.post(PATH, json={"input": "Hi."}, headers=alpha)).status_code == 200:
                break
        assert again.status_code == 200
