"""The nodes of a Ray: whether their packages are the driver's, what they have, and which cards."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness._house import ROOMS
from harness.errors import BadInput
from harness.trial import versions

ANSWER_WITHIN = 120.0
"""Seconds a node has to start a worker and say what it runs."""


@dataclass(frozen=True)
class Node:
    """One node. resources: {"CPU": .., "GPU": ..}; cards: bytes of each card; versions: what would compute there."""

    name: str
    resources: Mapping[str, float]
    versions: Mapping[str, str]
    cards: tuple[int, ...] = ()


@functools.cache
def signature() -> dict[str, str]:
    """What has to be the same on the driver and on every node for numbers to be comparable: versions, and our code."""
    public = {name: version.partition("+")[0] for name, version in versions().items()}
    public["python"] = ".".join(platform.python_version_tuple()[:2])
    public.pop("spadit-harness", None)  # where the code was shipped rather than installed, there is none
    return public | {"code of the harness": _code()}


def _code() -> str:
    root = Path(__file__).resolve().parents[2]
    files = sorted(path for room in ("harness", *ROOMS) for path in (root / room).rglob("*.py"))
    total = hashlib.sha256()
    for path in files:
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def require_same(expected: Mapping[str, str] | None) -> None:
    """In a worker: `BadInput` that names this node and what differs from the driver; nothing to do for None."""
    if expected is not None:
        _require(platform.node(), expected, signature())


def _require(node: str, expected: Mapping[str, str], there: Mapping[str, str]) -> None:
    for name, version in expected.items():
        if there.get(name) != version:
            raise BadInput(
                f"Node {node} has {name} {there.get(name, 'not installed')}, the driver {version}; install the same on "
                "both, since numbers of different versions are not comparable."
            )


def nodes(measure_cards: bool, compare: bool) -> list[Node]:
    """The nodes of the connected Ray.

    compare: ask each what it runs; `BadInput` where that is not what the driver runs, or one does not answer.
    measure_cards: ask those that have cards how large these are.
    """
    import ray

    found = {node["NodeID"]: (node["NodeManagerHostname"], node["Resources"]) for node in ray.nodes() if node["Alive"]}
    asked = {
        node_id: _ask(node_id, measure_cards and resources.get("GPU", 0) > 0)
        for node_id, (_, resources) in found.items()
        if compare or (measure_cards and resources.get("GPU", 0) > 0)
    }
    answers = {}
    for node_id, ref in asked.items():
        name, _ = found[node_id]
        answer = _answer(node_id, name, ref)
        if answer is None:
            del found[node_id]
        else:
            answers[node_id] = answer
            if compare:
                _require(name, signature(), answer[0])
    return [Node(name, resources, *answers.get(node_id, ({}, ()))) for node_id, (name, resources) in found.items()]


def _ask(node_id: str, measure: bool) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def facts(measure: bool) -> tuple[dict[str, str], tuple[int, ...]]:
        from models.devices import cards

        return signature(), tuple(cards()) if measure else ()

    there = NodeAffinitySchedulingStrategy(node_id, soft=False)
    return ray.remote(facts).options(num_cpus=0, max_retries=1, scheduling_strategy=there).remote(measure)


Answer = tuple[dict[str, str], tuple[int, ...]]


def _answer(node_id: str, node: str, ref: Any) -> Answer | None:
    """Versions and cards of a node; None if it has gone meanwhile."""
    import ray

    try:
        answer: Answer = ray.get(ref, timeout=ANSWER_WITHIN)
    except Exception as error:  # whatever went wrong there, the driver cannot go on with it
        if node_id not in {each["NodeID"] for each in ray.nodes() if each["Alive"]}:
            return None
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise BadInput(
            f"Node {node} cannot run the harness ({type(error).__name__}: {(lines or [''])[-1][:200]}); check that it "
            "has the packages of the driver."
        ) from None
    return answer


def largest(found: Sequence[Node]) -> Mapping[str, float]:
    """The resources of the node with the most processors."""
    return max((node.resources for node in found), key=lambda r: r.get("CPU", 0.0), default={})
