"""What it means that a batch broke: its worker is lost, ran out of memory, or left of its own accord."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.record import Cause


@dataclass(frozen=True)
class Fault:
    """Why a batch broke. cause: what its trial is charged with, None for nothing."""

    cause: Cause | None
    reason: str


OF_MEMORY = ("OutOfMemoryError", "running low on memory")
"""What Ray says when it has ended a worker because its node had no memory left."""


def fault(text: str) -> Fault:
    """What Ray says of a batch that broke, as Tune notes it: a heading, then a message or a trace.

    Text, not the exception itself: that would be a pickle. `worker.Recycled` is no fault of any trial.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Failure #")]
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Recycled)\b", line)]
    reason = (raised[-1] if raised else lines[0] if lines else "its worker was lost")[:300]
    if re.match(r"[\w.]*Recycled\b", reason):
        return Fault(None, reason)
    return Fault("memory" if any(said in text for said in OF_MEMORY) else "infrastructure", reason)
