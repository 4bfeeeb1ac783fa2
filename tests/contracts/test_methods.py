"""What every method must do, whoever wrote it: parametrised over discovery, so a new file is tested untouched."""

from __future__ import annotations

from functools import cache

import pytest

from harness.contract.promises import PROMISES
from harness.contract.tried import Promise, Tried, small, verdict
from models.method import Method
from tests.contracts.problems import every_method


@cache
def tried(method: type[Method]) -> Tried:
    """A method on trial: what its promises compare with is answered once for all of them."""
    return Tried(small(method), by_name=True)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@every_method
def test_every_method_keeps_every_promise(method: type[Method], promise: Promise) -> None:
    found = verdict(promise, tried(method))

    assert found.verdict == "kept", found.found
