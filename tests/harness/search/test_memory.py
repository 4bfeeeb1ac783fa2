"""How much memory a configuration may take: the smallest card, or a node's memory over those that run on it at once."""

from __future__ import annotations

import pytest

from harness.cluster.connection import Connection
from harness.cluster.nodes import Node
from harness.cluster.resources import Resources
from harness.search.running import _limit

THERE = Connection(
    (
        Node("a", {"CPU": 8.0, "memory": 64e9, "GPU": 2.0}, {}, (80_000, 24_000)),
        Node("b", {"CPU": 4.0, "memory": 16e9, "GPU": 1.0}, {}, (40_000,)),
        Node("head", {"memory": 1e9}, {}),
    )
)


@pytest.mark.parametrize(
    ("resources", "limit"),
    [
        (Resources(), 4e9),  # node b: 16e9 for four at once
        (Resources(cpus_per_trial=2.0), 8e9),
        (Resources(cpus_per_trial=16.0), 16e9),
        (Resources(gpus_per_trial="auto"), 24_000),
        (Resources(gpus_per_trial=0.5), 12_000),
        (Resources(gpus_per_trial=2.0), 24_000),
    ],
)
def test_a_configuration_may_take_what_the_smallest_place_has_for_one_of_them(
    resources: Resources, limit: float
) -> None:
    assert _limit(resources, THERE) == pytest.approx(limit)


def test_where_nothing_was_measured_nothing_is_too_large() -> None:
    nobody = Connection((Node("a", {"CPU": 8.0}, {}),))

    assert _limit(Resources(), nobody) is None
    assert _limit(Resources(gpus_per_trial=1.0), nobody) is None
