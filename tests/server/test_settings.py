"""Environment variables: what they set, and one line for everything that is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotirt.errors import InvalidRequest
from emotirt.server.settings import ServerSettings, settings_from_environment


def test_environment_and_command_line() -> None:
    settings = settings_from_environment(
        {"EMOTIRT_PORT": "9000", "EMOTIRT_ALLOW_PUBLIC": "true", "EMOTIRT_BUNDLE": "some/where", "HOME": "x"},
        {"port": 9001, "host": None, "threads": 2},
    )
    assert (settings.port, settings.allow_public, settings.threads) == (9001, True, 2)
    assert settings.bundle == Path("some/where")
    assert settings.host == "127.0.0.1"
    assert settings_from_environment({}) == settings_from_environment({"EMOTIRT_PORT": ""}) == ServerSettings()


@pytest.mark.parametrize(
    ("variables", "parts"),
    [
        ({"EMOTIRT_PORT": "http"}, ("port", "EMOTIRT_PORT", "'http'", "int")),
        ({"EMOTIRT_PORT": "70000"}, ("EMOTIRT_PORT", "'70000'", "65535")),
        ({"EMOTIRT_REQUESTS_AT_ONCE": "0"}, ("EMOTIRT_REQUESTS_AT_ONCE", "'0'", "int")),
        ({"EMOTIRT_DRAIN_S": "nan"}, ("EMOTIRT_DRAIN_S", "'nan'", "float")),
        ({"EMOTIRT_ALLOW_PUBLIC": "perhaps"}, ("EMOTIRT_ALLOW_PUBLIC", "'perhaps'", "bool")),
        (
            {"EMOTIRT_ALLOW_ORIGINS": "http://a,App/x"},
            ("allow_origins (EMOTIRT_ALLOW_ORIGINS)", "'App/x' is no origin"),
        ),
        ({"EMOTIRT_ISOLATION": "gpu"}, ("EMOTIRT_ISOLATION", "'gpu'", "worker")),
        ({"EMOTIRT_PROT": "1"}, ("EMOTIRT_PROT", "did you mean EMOTIRT_PORT?")),
    ],
)
def test_mistakes_are_named(variables: dict[str, str], parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        settings_from_environment(variables)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_keys_are_split_and_never_shown() -> None:
    settings = settings_from_environment({"EMOTIRT_API_KEYS": " alpha, beta,,"})
    assert settings.keys == ("alpha", "beta")
    assert "alpha" not in repr(settings)


@pytest.mark.parametrize(
    ("fields", "is_accepted"),
    [
        ({"host": "127.0.0.1"}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "::"}, False),
        ({"host": "example.org"}, False),
        ({"host": "0.0.0.0", "api_keys": "secret"}, True),
        ({"host": "0.0.0.0", "api_keys": " , "}, False),
        ({"host": "0.0.0.0", "allow_public": True}, True),
    ],
)
def test_public_address_needs_a_key(fields: dict[str, object], is_accepted: bool) -> None:
    settings = ServerSettings.model_validate(fields)
    if is_accepted:
        settings.check_bind()
        return
    with pytest.raises(InvalidRequest, match="EMOTIRT_API_KEYS"):
        settings.check_bind()
