"""Warm start: configurations of a space whose parts the store has already, from grids or from other searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.search.space import Space
from harness.store import Store
from harness.trial import Trial
from models.component import ComponentError, canonical_text, rebuild
from models.method import Method


def earlier(store: Store, space: Space, parts: Sequence[Trial]) -> list[Method]:
    """Methods of the space with a finished trial for each of these parts, in the order of their ids.

    parts: what a configuration is judged by, of any method. Methods of a user's own file are not found again: their
    class is not known by its name.
    """
    wanted = {_question(trial.identity, trial.method.needs.randomness) for trial in parts}
    answered: dict[str, set[str]] = {}
    described: dict[str, Any] = {}
    for record in store.records():
        asked = {_question(record.trial, randomness) for randomness in (True, False)}
        if asked & wanted:
            text = canonical_text(record.trial["method"])
            answered.setdefault(text, set()).update(asked & wanted)
            described[text] = record.trial["method"]
    whole = [described[text] for text in sorted(answered) if answered[text] == wanted]
    return [method for method in map(_rebuilt, whole) if method is not None and space.contains(method)]


def _question(identity: Mapping[str, Any], randomness: bool) -> str:
    """All of an identity but the method; without its seed where a method has no randomness."""
    left_out = {"method"} if randomness else {"method", "seed"}
    return canonical_text({name: value for name, value in identity.items() if name not in left_out})


def _rebuilt(described: Any) -> Method | None:
    try:
        found = rebuild(described)
    except (ComponentError, ValueError, TypeError):  # of another version, or of a user's file
        return None
    return found if isinstance(found, Method) else None
