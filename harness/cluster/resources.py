"""What trials run on, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from harness.errors import BadInput
from harness.store.checkpoints import EVERY

Keep = Literal["all", "first-seed", "none"]
"""Of which trials the prediction itself is stored."""

AUTO: Literal["auto"] = "auto"
"""GPUs per trial by what its method says it takes and by the cards that are there (see `shares`)."""


def kept(text: str) -> Keep:
    """The text as a `Keep`; `BadInput` lists the choices."""
    if text not in get_args(Keep):
        raise BadInput(f"keep_predictions={text!r} is unknown; use {', '.join(get_args(Keep))}.")
    return cast(Keep, text)


def gpus(text: str) -> float | Literal["auto"]:
    """The text as GPUs per trial; `BadInput` says what it may be."""
    try:
        return AUTO if text == AUTO else float(text)
    except ValueError:
        raise BadInput(
            f"gpus_per_trial={text!r} is neither a number nor 'auto'; give 0, a share such as 0.25, or auto."
        ) from None


@dataclass(frozen=True)
class Share:
    """What a trial is given of a node: processors and (a share of) GPUs, and how many threads it computes with."""

    cpus: float = 1.0
    gpus: float = 0.0
    threads: int = 1

    @property
    def device(self) -> str:
        """Where torch computes."""
        return "cuda" if self.gpus > 0 else "cpu"


@dataclass(frozen=True)
class Resources:
    """What trials run on.

    address: None for a local Ray, "auto" or HOST:PORT for a cluster. gpus_per_trial: may be a fraction, or "auto".
    max_concurrent: at most so many batches at once. timeout: seconds per trial. checkpoint_every: seconds between two
    checkpoints of a trial at least: so much of it is lost when its worker is.
    """

    address: str | None = None
    cpus_per_trial: float = 1.0
    gpus_per_trial: float | Literal["auto"] = 0.0
    max_concurrent: int | None = None
    timeout: float | None = None
    checkpoint_every: float = EVERY

    def __post_init__(self) -> None:
        if self.address is not None and self.address.startswith("ray://"):
            raise BadInput(
                f"{self.address} is a Ray Client address, over which Ray Tune does not run; submit the same command "
                "as a job: `ray job submit --working-dir . -- spadit run ...`."
            )
        if self.cpus_per_trial <= 0:
            raise BadInput(f"cpus_per_trial={self.cpus_per_trial:g}: a trial needs a share of a processor; give > 0.")
        if self.gpus_per_trial != AUTO:
            if self.gpus_per_trial < 0:
                raise BadInput(f"gpus_per_trial={self.gpus_per_trial:g} cannot be negative; give 0 for none.")
            if self.gpus_per_trial > 1 and self.gpus_per_trial % 1:
                raise BadInput(
                    f"gpus_per_trial={self.gpus_per_trial:g}: a GPU can be shared, but not one and a half be given; "
                    "give at most 1, or a whole number."
                )
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise BadInput(f"max_concurrent={self.max_concurrent}: at least 1 batch must be able to run.")
        if self.timeout is not None and self.timeout <= 0:
            raise BadInput(f"timeout={self.timeout:g}: a time limit is a positive number of seconds.")
        if self.checkpoint_every < 0:
            raise BadInput(f"checkpoint_every={self.checkpoint_every:g}: give the seconds between two, 0 for each.")

    @property
    def threads(self) -> int:
        """Threads per trial: as many as it has whole processors, at least one."""
        return max(1, int(self.cpus_per_trial))

    def slots(self, nodes: Sequence[Mapping[str, float]], smallest: float | None = None) -> int:
        """How many batches fit these nodes ({"CPU": .., "GPU": ..} each) at once.

        smallest: the smallest share of a GPU that a trial takes, where shares differ. `BadInput` where no single node
        has what one trial asks for: a trial does not spread over nodes.
        """
        share = self.gpus_per_trial if smallest is None and self.gpus_per_trial != AUTO else smallest or 0.0
        cpus, there = (max((node.get(kind, 0.0) for node in nodes), default=0.0) for kind in ("CPU", "GPU"))
        if self.cpus_per_trial > cpus:
            raise BadInput(
                f"cpus_per_trial={self.cpus_per_trial:g} but Ray has no node with more than {cpus:g} processors; ask "
                "for less."
            )
        if share > there:
            raise BadInput(
                f"gpus_per_trial={self.gpus_per_trial} but Ray has no node with more than {there:g} GPUs; ask for "
                "less, or 0."
            )
        fit = sum(self._on(node, share) for node in nodes)
        if fit == 0:
            raise BadInput(
                f"No node of this Ray has both {self.cpus_per_trial:g} processors and {share:g} GPUs; ask for less."
            )
        return min(fit, self.max_concurrent or fit)

    def _on(self, node: Mapping[str, float], share: float) -> int:
        fit = node.get("CPU", 0.0) / self.cpus_per_trial
        # Ray gives shares of one card at a time: two of 0.4 fit a card, four fit two.
        cards = node.get("GPU", 0.0)
        by_card = fit if share == 0 else cards * int(1 / share + 1e-9) if share < 1 else cards // share
        return int(min(fit, by_card))
