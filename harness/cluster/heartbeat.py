"""What a worker does beside computing: it renews its claim, hears whether to stop, and measures what it uses."""

from __future__ import annotations

import contextlib
import platform
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

from harness.store.claims import RENEWED, Claims
from models.devices import memory_in_use

BEAT = 1.0
"""Seconds between two questions whether to stop."""

MEASURED = 5.0
"""Seconds between two measurements of the node."""


class Heartbeat:
    """A thread of a worker, while it is in a batch. Whatever it cannot do, it tries again at the next beat."""

    def __init__(self, claims: Claims, asked: Callable[[], bool]) -> None:
        self.claims = claims
        self.usage: dict[str, Any] = {}
        self._asked = asked
        self._trial: str | None = None
        self._stopping = self._asked()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._beat, name="spadit-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5.0)

    def stopping(self) -> bool:
        """Whether the submission was asked to end."""
        return self._stopping

    def take(self, trial_id: str) -> bool:
        """Claim a trial, and renew the claim from now on; False where another driver computes it."""
        with self._lock:
            taken = self.claims.take(trial_id)
            self._trial = trial_id if taken else None
            return taken

    def release(self) -> None:
        """Give the trial back."""
        with self._lock:
            if self._trial is not None:
                self.claims.release(self._trial)
            self._trial = None

    def _beat(self) -> None:
        renewed = measured = time.monotonic()
        psutil.cpu_percent()  # the first answer is about nothing; the next is about the time since
        while not self._ended.wait(BEAT):
            # A store or a Ray that cannot be reached for a moment must not end the trial, nor one the other's turn.
            with contextlib.suppress(Exception):
                if time.monotonic() - renewed >= RENEWED:
                    renewed = time.monotonic()
                    with self._lock:
                        if self._trial is not None:
                            self.claims.renew(self._trial)
            with contextlib.suppress(Exception):
                self._stopping = self._stopping or self._asked()
            with contextlib.suppress(Exception):
                if time.monotonic() - measured >= MEASURED:
                    measured = time.monotonic()
                    self.usage = usage()


def usage() -> dict[str, Any]:
    """What the node of this process uses: {"node", "cpu", "memory", "card"}, shares; no "card" where none is used."""
    found: dict[str, Any] = {
        "node": platform.node(),
        "cpu": psutil.cpu_percent() / 100,
        "memory": psutil.virtual_memory().percent / 100,
    }
    if (card := memory_in_use()) is not None:
        found["card"] = card[0] / card[1]
    return found
