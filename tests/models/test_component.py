"""Identity of components: equal meaning, equal JSON, on any machine; anything else, another id."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.protocol import KFold, Panel, Protocol
from models.component import Component, ComponentError, canonical, canonical_text, nearest, rebuild, short_hash


@dataclass(frozen=True)
class Inner(Component):
    width: int = 4


@dataclass(frozen=True)
class Outer(Component):
    inner: Inner = Inner()
    rate: float = 1.0
    sizes: tuple[int, ...] = (1, 2)
    label: str | None = None
    anything: Any = None


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)


def test_numerically_equal_fields_have_one_identity() -> None:
    assert canonical_text(Outer(rate=1)) == canonical_text(Outer(rate=1.0))


def test_a_boolean_and_the_number_one_are_different_values() -> None:
    assert canonical_text(Outer(anything=True)) != canonical_text(Outer(anything=1))


@given(a=scalars, b=scalars)
def test_different_values_have_different_identities(a: Any, b: Any) -> None:
    same = (type(a) is type(b) and a == b) or (not isinstance(a, bool) and not isinstance(b, bool) and a == b)
    assert (canonical_text(Outer(anything=a)) == canonical_text(Outer(anything=b))) == bool(same)


def test_a_raised_version_changes_the_identity() -> None:
    before = short_hash(Inner(), 16)

    @dataclass(frozen=True)
    class Later(Inner):
        version: ClassVar[int] = 2

    Later.__qualname__ = "Inner"

    assert short_hash(Later(), 16) != before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.zeros(3), {1, 2}, len])
def test_what_has_no_canonical_form_is_refused_by_field_name(value: Any) -> None:
    with pytest.raises(ComponentError, match=r"Outer\.anything"):
        canonical(Outer(anything=value))


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, (1, [2])])
def test_what_could_change_after_its_identity_was_taken_is_refused(value: Any) -> None:
    with pytest.raises(ComponentError, match=r"Outer\.anything.*use a tuple"):
        canonical(Outer(anything=value))


def test_keys_that_would_read_alike_are_refused() -> None:
    with pytest.raises(ComponentError, match="the key 1"):
        canonical({1: "a"})


def test_first_party_components_are_rebuilt_from_their_json() -> None:
    protocol = Protocol(panel=Panel(max_genes=50))

    assert rebuild(canonical(protocol)) == protocol


def test_an_unknown_field_names_the_nearest_one() -> None:
    described = {**canonical(KFold(5)), "valdation": 0.1}

    with pytest.raises(ComponentError, match="did you mean validation"):
        rebuild(described)


def test_another_version_is_not_rebuilt() -> None:
    with pytest.raises(ComponentError, match="version 99"):
        rebuild({**canonical(KFold(5)), "version": 99})


def test_identity_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from harness.protocol import Protocol, KFold; from models.component import short_hash;"
        "print(short_hash([Protocol(), KFold(5)], 16))"
    )

    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1")
    }

    assert len(printed) == 1


def test_a_class_of_a_users_file_is_identified_by_its_source() -> None:
    described = canonical(Outer())

    assert described["component"] == "user:Outer"
    assert len(described["source"]) == 16


@pytest.mark.parametrize(
    ("name", "expected"),
    [("spagee", "did you mean spage?"), ("zzz", "available: js, pcc, spage."), ("PCC", "did you mean pcc?")],
)
def test_misspelt_names_get_their_nearest_neighbours(name: str, expected: str) -> None:
    assert nearest(name, ["spage", "pcc", "js"]) == expected
