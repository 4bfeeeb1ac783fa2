"""What a person sees while trials run: finished, running, failed, rate, time left, best so far.

A live line on a terminal; plain lines, now and then, anywhere else. On stderr, so that stdout stays for results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

CHEAP = 0.05
"""What a cheap trial weighs against any other when the time that is left is estimated."""

PLAIN_EVERY = 10.0
"""Seconds between two plain lines where there is no terminal."""


class Progress:
    """Counts what it is told and shows it. Use as a context manager round the run.

    labels: trial id -> "label · dataset · fold", in order of the grid; its length is the total.
    groups: trial id -> the label whose mean PCC it counts towards in "best so far".
    cheap: ids that hardly take time; they count for little in the time that is left.
    """

    def __init__(
        self,
        labels: Mapping[str, str],
        groups: Mapping[str, str],
        show: bool = True,
        cheap: frozenset[str] = frozenset(),
    ) -> None:
        self.labels = labels
        self.groups = groups
        self.weight = {trial_id: CHEAP if trial_id in cheap else 1.0 for trial_id in labels}
        self.show = show
        self.running: dict[str, float] = {}
        self.status: dict[str, str] = {}
        self.pcc: dict[str, list[float]] = {}
        self.slots = 0
        self._start = time.monotonic()
        self._last_line = 0.0
        self._console = Console(file=sys.stderr, highlight=False)
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self.show and self._console.is_terminal:
            self._live = Live(
                get_renderable=self.render, console=self._console, refresh_per_second=4, redirect_stdout=False
            )
            self._live.start()
        self._say(f"{len(self.labels)} trials to run; starting Ray")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self.status and len(self.status) < len(self.labels):
            self._say(self.line())

    def started(self, slots: int) -> None:
        """Ray is there, with room for so many batches at once."""
        self.slots = slots
        self._start = time.monotonic()
        self._say(f"Ray is up; up to {slots} at once")

    def told(self, message: Mapping[str, Any]) -> None:
        """Take a message of a worker: a share of a running trial, or a finished trial's summary."""
        trial_id = message["trial"]
        if "share" in message:
            self.running[trial_id] = message["share"]
        else:
            self.running.pop(trial_id, None)
            self.status[trial_id] = message["status"]
            pcc = message["means"].get("pcc")
            if pcc is not None:
                self.pcc.setdefault(self.groups[trial_id], []).append(pcc)
            if message["status"] == "failed":
                self._say(f"failed: {self.labels[trial_id]}: {message['reason']}", always=True)
        last = len(self.status) == len(self.labels)
        if last or time.monotonic() - self._last_line >= PLAIN_EVERY:
            self._say(self.line())

    def callback(self) -> Any:
        """A Ray Tune callback that passes on what workers report."""
        from ray.tune import Callback

        progress = self

        class Listener(Callback):
            def on_trial_result(self, iteration: int, trials: Sequence[Any], trial: Any, result: Any, **_: Any) -> None:
                progress.told(result)

            def __getstate__(self) -> dict[str, Any]:
                # Tune writes its callbacks to disk; a display has nothing to restore.
                return {}

            def __reduce__(self) -> Any:
                return Callback, ()

        return Listener()

    # -- rendering ------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """How many trials are ok, failed, skipped."""
        values = list(self.status.values())
        return {status: values.count(status) for status in ("ok", "failed", "skipped")}

    def line(self) -> str:
        """The state in one line."""
        finished, total = len(self.status), len(self.labels)
        counts = self.counts
        elapsed = time.monotonic() - self._start
        parts = [f"{finished}/{total} finished"]
        parts += [f"{counts[status]} {status}" for status in ("failed", "skipped") if counts[status]]
        if finished:
            parts.append(f"{finished / elapsed * 60:.1f}/min")
            if finished < total:
                done = self._done()
                parts.append(f"about {_clock(elapsed * (1 - done) / done)} left")
            else:
                parts.append(f"took {_clock(elapsed)}")
        if best := self.best():
            parts.append(f"best so far {best}")
        return " · ".join(parts)

    def best(self) -> str:
        """The variant with the highest mean PCC over its finished trials: a hint, not a result."""
        if not self.pcc:
            return ""
        means = {label: sum(values) / len(values) for label, values in self.pcc.items()}
        label = max(means, key=lambda name: means[name])
        return f"{label} (PCC {means[label]:.3f} over {len(self.pcc[label])})"

    def render(self) -> Table:
        """The live display: a bar, the line, and what runs now."""
        grid = Table.grid(padding=(0, 1))
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(total=1.0, completed=self._done(), width=24), Text(self.line()))
        grid.add_row(head)
        for trial_id, share in list(self.running.items())[:8]:
            grid.add_row(Text.from_markup(f"[dim]  running {escape(self.labels[trial_id])} {share:4.0%}[/dim]"))
        return grid

    def _done(self) -> float:
        """The share of all work that is done, by weight."""
        done = sum(self.weight[trial_id] for trial_id in self.status)
        done += sum(self.weight[trial_id] * share for trial_id, share in self.running.items())
        return min(1.0, done / max(sum(self.weight.values()), 1e-9) + 1e-9)

    def _say(self, text: str, always: bool = False) -> None:
        if not self.show or (self._live is not None and not always):
            return
        self._last_line = time.monotonic()
        self._console.print(Text(text), soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
