"""A sentence's content begun before it is asked for, on slots of simulated devices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from emotirt.bundle.contract import PROMPT_ENCODER
from emotirt.bundle.store import Bundle
from emotirt.engine import SpeechRequest
from emotirt.engine.planner import Planner
from emotirt.runtime.host_device import host_pool
from emotirt.runtime.open import open_runner
from emotirt.runtime.pool import SlotPool, WithFallback, runner_on
from emotirt.runtime.runner import Runner
from emotirt.voices.prompts import MOST_FORESEEN, PromptVectors

TEXT, OTHER = "你好世界。", "今天天气很好。"


@pytest.fixture(scope="module")
def exact(emotivoice_bundle: Bundle) -> Iterator[Runner]:
    runner = open_runner(emotivoice_bundle, PROMPT_ENCODER, threads=1)
    yield runner
    runner.close()


def pool_of(bundle: Bundle, exact: Runner, slots: int) -> SlotPool:
    return host_pool(bundle.manifest, {PROMPT_ENCODER: exact}, slots)


def free(pool: SlotPool) -> int:
    return pool._free.qsize()


def assert_says(prompts: PromptVectors, text: str, exact: PromptVectors) -> None:
    np.testing.assert_allclose(prompts.contents([text]), exact.contents([text]), atol=1e-5)


@pytest.mark.parametrize("has_fallback", [False, True])
def test_what_is_foreseen_is_what_is_asked_for(emotivoice_bundle: Bundle, exact: Runner, has_fallback: bool) -> None:
    pool = pool_of(emotivoice_bundle, exact, 2)
    runner: Runner = runner_on(pool, PROMPT_ENCODER, emotivoice_bundle.manifest)
    prompts = PromptVectors(emotivoice_bundle, WithFallback(runner, lambda: exact) if has_fallback else runner)
    plain = PromptVectors(emotivoice_bundle, exact)
    prompts.foresee(TEXT)
    assert free(pool) == 1
    assert_says(prompts, TEXT, plain)
    assert free(pool) == 2
    assert_says(prompts, TEXT, plain)


def test_what_was_foreseen_for_nothing_gives_its_slot_back(emotivoice_bundle: Bundle, exact: Runner) -> None:
    pool = pool_of(emotivoice_bundle, exact, 2)
    prompts = PromptVectors(emotivoice_bundle, runner_on(pool, PROMPT_ENCODER, emotivoice_bundle.manifest))
    plain = PromptVectors(emotivoice_bundle, exact)
    prompts.foresee(TEXT)
    assert_says(prompts, OTHER, plain)
    assert free(pool) == 2
    prompts.foresee(TEXT)
    prompts.foresee(OTHER)
    assert free(pool) == 1
    np.testing.assert_allclose(prompts.contents([TEXT, OTHER]), plain.contents([TEXT, OTHER]), atol=1e-5)
    assert free(pool) == 2


@pytest.mark.parametrize("text", ["", " " + TEXT, "长" * (MOST_FORESEEN + 1)])
def test_some_texts_are_not_foreseen(emotivoice_bundle: Bundle, exact: Runner, text: str) -> None:
    pool = pool_of(emotivoice_bundle, exact, 2)
    prompts = PromptVectors(emotivoice_bundle, runner_on(pool, PROMPT_ENCODER, emotivoice_bundle.manifest))
    prompts.foresee(text)
    assert free(pool) == 2


def test_the_last_slot_is_never_taken_beforehand(emotivoice_bundle: Bundle, exact: Runner) -> None:
    pool = pool_of(emotivoice_bundle, exact, 1)
    prompts = PromptVectors(emotivoice_bundle, runner_on(pool, PROMPT_ENCODER, emotivoice_bundle.manifest))
    prompts.foresee(TEXT)
    assert free(pool) == 1
    assert_says(prompts, TEXT, PromptVectors(emotivoice_bundle, exact))


def test_a_closed_pool_takes_nothing_on(emotivoice_bundle: Bundle, exact: Runner) -> None:
    pool = pool_of(emotivoice_bundle, exact, 2)
    prompts = PromptVectors(emotivoice_bundle, runner_on(pool, PROMPT_ENCODER, emotivoice_bundle.manifest))
    pool.close()
    prompts.foresee(TEXT)
    assert free(pool) == 1  # the mark of its end


def test_reading_a_request_foresees_its_text(emotivoice_bundle: Bundle, exact: Runner) -> None:
    pool = pool_of(emotivoice_bundle, exact, 2)
    prompts = PromptVectors(emotivoice_bundle, runner_on(pool, PROMPT_ENCODER, emotivoice_bundle.manifest))
    plan = Planner(emotivoice_bundle, prompts).plan(SpeechRequest(TEXT))
    assert free(pool) == 1
    assert [utterance.text for utterance in plan.utterances] == [TEXT]
    assert_says(prompts, TEXT, PromptVectors(emotivoice_bundle, exact))
    assert free(pool) == 2
