"""The one table from error to answer."""

from __future__ import annotations

import inspect

import pytest

from emotirt import errors
from emotirt.server.errors import RULES, problem_from_error

CLASSES = [item for item in vars(errors).values() if inspect.isclass(item) and issubclass(item, errors.EmotiRTError)]


def made(error: type[errors.EmotiRTError]) -> errors.EmotiRTError:
    further = {errors.Overloaded: (2.1,), errors.PlanUnusable: ("missing",)}.get(error, ())
    return error("what\nfailed", *further)


def test_every_error_is_mapped() -> None:
    assert not [error.__name__ for error in CLASSES if error not in RULES]


@pytest.mark.parametrize("error", CLASSES)
def test_answers(error: type[errors.EmotiRTError]) -> None:
    problem = problem_from_error(made(error))
    is_theirs = issubclass(error, (errors.InvalidRequest, errors.Overloaded))
    assert (400 <= problem.status < 500) == is_theirs
    assert problem.close_code in (1008, 1011, 1012, 1013)
    assert problem.code
    assert "\n" not in problem.message
    assert set(problem.body["error"]) == {"message", "type", "param", "code"}
    if issubclass(error, errors.InvalidRequest):
        assert problem.message == "what failed"


def test_unexpected_errors_tell_nothing() -> None:
    problem = problem_from_error(KeyError("secret"))
    assert problem.status == 500
    assert "secret" not in problem.message


def test_overloaded_says_when_to_come_again() -> None:
    assert problem_from_error(errors.Overloaded("full", 2.1)).headers["retry-after"] == "3"
