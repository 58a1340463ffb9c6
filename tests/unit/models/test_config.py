"""Configurations survive JSON, and what is wrong in one is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.assets.make_tiny_bundle import tiny_config

from emotirt.errors import ManifestInvalid
from emotirt.models.config import ModelConfig


def test_round_trip_through_json() -> None:
    for config in (ModelConfig(), tiny_config()):
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_absent_keys_have_their_defaults() -> None:
    assert ModelConfig.from_dict({}) == ModelConfig()
    assert ModelConfig.from_dict({"vocoder": {"channels": 128}}).vocoder.channels == 128


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"vocodr": {}}, ["vocodr", "vocoder"]),
        ({"vocoder": {"chanels": 1}}, ["'vocoder'", "chanels", "channels"]),
        ({"acoustic": {"encoder": {"depth": 1}}}, ["acoustic.encoder", "depth", "blocks"]),
        ({"acoustic": {"pitch": {"width": 1}}}, ["acoustic.pitch", "width", "filter"]),
        ({"acoustic": 3}, ["'acoustic'", "3"]),
        ({"acoustic": {"decoder": [1]}}, ["acoustic.decoder", "[1]"]),
        ({"mel": None}, ["'mel'", "None"]),
    ],
)
def test_what_is_wrong_is_named(data: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        ModelConfig.from_dict(data)
    assert [word for word in words if word not in str(caught.value)] == []
