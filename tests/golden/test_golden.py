"""A changed default or a changed number without a raised version is a failure here, on purpose."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.metrics import metrics
from tests.golden.golden import DEFAULTS, NUMBERS, components, defaults, numbers, own_methods, tag

HELP = "raise the component's `version`, then run `python -m tests.golden` and commit both"
NOW = defaults()
GOLDEN_DEFAULTS = json.loads(DEFAULTS.read_text())
GOLDEN_NUMBERS = json.loads(NUMBERS.read_text())


@pytest.fixture(scope="module")
def numbers_now() -> dict:  # type: ignore[type-arg]
    return numbers()


@pytest.mark.parametrize("name", [tag(cls) for cls in components()])
def test_defaults_are_those_of_this_version(name: str) -> None:
    assert name in GOLDEN_DEFAULTS, f"{name} is new; {HELP}"
    assert NOW[name] == GOLDEN_DEFAULTS[name], f"the defaults of {name} changed; {HELP}"


@pytest.mark.parametrize("name", [tag(cls) for cls in own_methods()] + [f"metric {m.tag}" for m in metrics().values()])
def test_numbers_are_those_of_this_version(name: str, numbers_now: dict) -> None:  # type: ignore[type-arg]
    assert name in GOLDEN_NUMBERS, f"{name} is new; {HELP}"
    now, then = numbers_now[name], GOLDEN_NUMBERS[name]
    parts = then if isinstance(then, dict) else {"values": then}
    now = now if isinstance(now, dict) else {"values": now}
    for part, expected in parts.items():
        # Another processor may round differently; a changed method differs by far more.
        np.testing.assert_allclose(now[part], expected, rtol=2e-3, atol=2e-3, err_msg=f"{name} changed; {HELP}")


def test_nothing_golden_is_left_of_what_is_gone() -> None:
    assert set(GOLDEN_DEFAULTS) == set(NOW)
