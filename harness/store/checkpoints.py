"""Checkpoints of a running trial: what it needs to go on after its worker was killed.

They lie in the store, beside the results they lead to, so that a trial can go on on another machine. What they hold
can run no code (`models.states`).
"""

from __future__ import annotations

import time
from typing import Any

from harness.errors import BadInput
from harness.store.files import Files, StoreFailed

EVERY = 30.0
"""Seconds between two checkpoints at least, unless asked otherwise: a trial loses at most so much."""


class Checkpoints:
    """The checkpoint of one trial, as one version of its method's code writes it; only the last one is kept."""

    def __init__(self, files: Files, trial_id: str, code: str, every: float = EVERY) -> None:
        self.files, self.trial_id, self.every = files, trial_id, every
        self.name = f"checkpoints/{trial_id}-{code}.pt"
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether enough time has passed since the last one, or since the start."""
        return time.monotonic() - self._last >= self.every

    def write(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint; a kill in the middle leaves the one before."""
        from models.states import write_state

        with self.files.writing(self.name) as file:
            write_state(state, file)
        self._last = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """The checkpoint, on the CPU; None if there is none, or one that cannot be read: the trial then starts anew."""
        try:
            if not self.files.exists(self.name):
                return None
            from models.states import read_state

            with self.files.opened(self.name) as file:
                return read_state(file)
        except BadInput as error:  # the store cannot be reached
            raise StoreFailed(str(error)) from None
        except (OSError, ValueError):
            self.files.delete(self.name)
            return None

    def remove(self) -> None:
        """Remove the trial's checkpoints, those of other versions of the code too."""
        for name in self.files.names("checkpoints", ".pt"):
            if name.startswith(f"{self.trial_id}-"):
                self.files.delete(f"checkpoints/{name}.pt")
