"""What trials run on, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from harness.errors import BadInput

Keep = Literal["all", "first-seed", "none"]
"""Of which trials the prediction itself is stored."""


def kept(text: str) -> Keep:
    """The text as a `Keep`; `BadInput` lists the choices."""
    if text not in get_args(Keep):
        raise BadInput(f"keep_predictions={text!r} is unknown; use {', '.join(get_args(Keep))}.")
    return cast(Keep, text)


@dataclass(frozen=True)
class Resources:
    """What trials run on.

    address: None for a local Ray, "auto" or HOST:PORT for a cluster. gpus_per_trial may be a fraction.
    max_concurrent: at most so many batches at once. timeout: seconds per trial.
    """

    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.address is not None and self.address.startswith("ray://"):
            raise BadInput(
                f"{self.address} is a Ray Client address, over which Ray Tune does not run; submit the same command "
                "as a job: `ray job submit --working-dir . -- spadit run ...`."
            )
        if self.cpus_per_trial <= 0:
            raise BadInput(f"cpus_per_trial={self.cpus_per_trial:g}: a trial needs a share of a processor; give > 0.")
        if self.gpus_per_trial < 0:
            raise BadInput(f"gpus_per_trial={self.gpus_per_trial:g} cannot be negative; give 0 for none.")
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise BadInput(f"max_concurrent={self.max_concurrent}: at least 1 batch must be able to run.")
        if self.timeout is not None and self.timeout <= 0:
            raise BadInput(f"timeout={self.timeout:g}: a time limit is a positive number of seconds.")

    @property
    def threads(self) -> int:
        """Threads per trial: as many as it has whole processors, at least one."""
        return max(1, int(self.cpus_per_trial))

    @property
    def device(self) -> str:
        """Where torch computes."""
        return "cuda" if self.gpus_per_trial > 0 else "cpu"

    def slots(self, there: Mapping[str, float]) -> int:
        """How many batches fit a Ray with these resources at once; `BadInput` when not even one does."""
        cpus, gpus = there.get("CPU", 0.0), there.get("GPU", 0.0)
        if self.cpus_per_trial > cpus:
            raise BadInput(f"cpus_per_trial={self.cpus_per_trial:g} but Ray has {cpus:g} processors; ask for less.")
        if self.gpus_per_trial > gpus:
            raise BadInput(f"gpus_per_trial={self.gpus_per_trial:g} but Ray has {gpus:g} GPUs; ask for less, or 0.")
        fit = cpus / self.cpus_per_trial
        if self.gpus_per_trial > 0:
            fit = min(fit, gpus / self.gpus_per_trial)
        return max(1, min(int(fit), self.max_concurrent or int(fit)))
