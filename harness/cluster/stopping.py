"""Ctrl-C, or a scheduler's SIGTERM: the first lets what runs be written, the second ends at once."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

GRACE = 30.0
"""Seconds that running trials have, once asked, to write a checkpoint or their result."""

NAMESPACE = b"spadit-stop"


class Leave(BaseException):
    """Ends a Tune run from one of its callbacks, as nothing that Tune catches."""


class Stop:
    """Whether a submission was asked to end. The word reaches its workers through Ray's own key-value store."""

    def __init__(self, submission: str, say: Callable[[str], None]) -> None:
        self.submission = submission
        self.say = say
        self.since: float | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[Stop]:
        """Take signals while the body runs; in a thread that is not the main one there are none to take."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, frame: Any) -> None:
        if self.since is not None:
            raise KeyboardInterrupt
        self.since = time.monotonic()
        self.say("Stopping: what runs is being written; once more to stop at once.")
        _put(self.submission)

    @property
    def overdue(self) -> bool:
        """Whether those that run have had their time."""
        return self.since is not None and time.monotonic() - self.since > GRACE


def _put(submission: str) -> None:
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(submission.encode(), b"1", namespace=NAMESPACE)


def is_asked(submission: str) -> bool:
    """In a worker: whether its submission was asked to end."""
    from ray.experimental.internal_kv import _internal_kv_get

    return _internal_kv_get(submission.encode(), namespace=NAMESPACE) is not None
