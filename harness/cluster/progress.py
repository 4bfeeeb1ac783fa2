"""What a person sees while trials run: finished, running, failed, rate, time left, who leads, what nodes use.

A live line on a terminal; plain lines, now and then, anywhere else (a job's log). On stderr, so that stdout stays for
results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.cluster.tensorboard import Board

CHEAP = 0.05
"""What a cheap trial weighs against any other when the time that is left is estimated."""

PLAIN_EVERY = 10.0
"""Seconds between two plain lines where there is no terminal."""

USAGE_EVERY = 60.0
"""Seconds between two plain lines about what nodes use, or about what is waited for."""


class Progress:
    """Counts what it is told and shows it. Use as a context manager round the run.

    labels: trial id -> "label · dataset · fold", in order of the grid; more may be added. expected: how many there will
    be in all, where that is more.
    groups: trial id -> the label whose mean PCC it counts towards in who leads.
    cheap: ids that hardly take time; they count for little in the time that is left.
    tensorboard: folder for curves and results as TensorBoard reads them; none is written without.
    """

    def __init__(
        self,
        labels: Mapping[str, str],
        groups: Mapping[str, str],
        show: bool = True,
        cheap: frozenset[str] = frozenset(),
        tensorboard: str | Path | None = None,
    ) -> None:
        self.labels = dict(labels)
        self.groups = dict(groups)
        self.expected = 0
        self.weight = {trial_id: CHEAP if trial_id in cheap else 1.0 for trial_id in labels}
        self.show = show
        self.running: dict[str, float] = {}
        self.status: dict[str, str] = {}
        self.pcc: dict[str, list[float]] = {}
        self.usage: dict[str, Mapping[str, Any]] = {}
        self.counts = {"ok": 0, "failed": 0, "skipped": 0}
        self._board = None if tensorboard is None else Board(tensorboard, labels)
        self._weighed = 0.0
        self._start = time.monotonic()
        self._last_line = self._last_usage = self._last_wait = 0.0
        self.waits = ""
        self._console = Console(file=sys.stderr, highlight=False)
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self.show and self._console.is_terminal:
            self._live = Live(
                get_renderable=self.render, console=self._console, refresh_per_second=4, redirect_stdout=False
            )
            self._live.start()
        known = f"{len(self.labels)} trials to run" if self.labels else "trials are counted as they are suggested"
        self._line(f"{known}; starting Ray")
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._board is not None:
            self._board.close()
        if self.status and len(self.status) < self.total:
            self._line(self.line())

    @property
    def total(self) -> int:
        """How many trials there are, as far as is known."""
        return max(self.expected, len(self.labels))

    def add(self, trial_id: str, label: str, group: str = "") -> None:
        """One more trial, which was not known before, or is run once more; without a group it leads nobody."""
        self.labels[trial_id], self.groups[trial_id] = label, group
        self.weight[trial_id] = 1.0

    def started(self, slots: int, nodes: int = 1, dashboard: str | None = None) -> None:
        """Ray is there, with room for so many batches at once."""
        self._start = time.monotonic()
        where = "" if nodes == 1 else f" on {nodes} nodes"
        self._line(f"Ray is up; up to {slots} at once{where}")
        if dashboard is not None:
            self.say(f"Ray's dashboard: {dashboard}")

    def waiting(self, what: str) -> None:
        """Nothing of ours runs; say what is waited for, until something does."""
        self.waits = f"waiting for {what}"
        now = time.monotonic()
        if now - self._last_line >= PLAIN_EVERY and now - self._last_wait >= USAGE_EVERY:
            self._last_wait = now
            self._line(f"{self.line()} · {self.waits}")

    def told(self, message: Mapping[str, Any]) -> None:
        """Take a message of a worker: see `worker.work`."""
        self.waits = ""
        if "usage" in message:
            self.usage[message["usage"]["node"]] = message["usage"]
        elif "share" in message:
            self.running[message["trial"]] = message["share"]
        elif "lost" in message:
            self.again(message["trial"], message["lost"])
        elif message["trial"] not in self.status:
            self._finished(message)
        if self._board is not None:
            self._board.told(message)
        last = len(self.status) == self.total
        if last or time.monotonic() - self._last_line >= PLAIN_EVERY:
            self._line(self.line())
            if self.usage and time.monotonic() - self._last_usage >= USAGE_EVERY:
                self._last_usage = time.monotonic()
                self._line(f"in use: {self.used()}")

    def _finished(self, message: Mapping[str, Any]) -> None:
        trial_id = message["trial"]
        self.running.pop(trial_id, None)
        self.status[trial_id] = message["status"]
        self.counts[message["status"]] += 1
        self._weighed += self.weight[trial_id]
        pcc = message["means"].get("pcc")
        if pcc is not None and self.groups[trial_id]:
            self.pcc.setdefault(self.groups[trial_id], []).append(pcc)
        if message["status"] == "failed":
            self.say(f"failed: {self.labels[trial_id]}: {message['reason']}")

    def again(self, trial_id: str, reason: str) -> None:
        """An attempt at a trial has ended without a result, through no fault of its method."""
        self.running.pop(trial_id, None)
        self.say(f"lost: {self.labels[trial_id]}: {reason}")

    def say(self, text: str) -> None:
        """A line of its own, on a terminal too."""
        if self.show:
            self._console.print(Text(text), soft_wrap=True)

    # -- rendering ------------------------------------------------------------------------------------------------

    def line(self) -> str:
        """The state in one line."""
        finished, total = len(self.status), self.total
        elapsed = time.monotonic() - self._start
        parts = [f"{finished}/{total} finished"]
        parts += [f"{self.counts[status]} {status}" for status in ("failed", "skipped") if self.counts[status]]
        if finished:
            parts.append(f"{finished / elapsed * 60:.1f}/min")
            if finished < total:
                done = self._done()
                parts.append(f"about {_clock(elapsed * (1 - done) / done)} left")
            else:
                parts.append(f"took {_clock(elapsed)}")
        if best := self.best():
            parts.append(f"highest PCC of the rows that are done: {best}")
        return " · ".join(parts)

    def best(self) -> str:
        """Of the variants that have nothing left to run, two or more, the one with the highest mean PCC: a hint.

        Before that, means are over different trials: those of the easiest dataset, where that one comes first.
        """
        left = {self.groups[trial_id] for trial_id in self.labels if trial_id not in self.status}
        means = {label: sum(values) / len(values) for label, values in self.pcc.items() if label not in left}
        if len(means) < 2:
            return ""
        label = max(means, key=lambda name: means[name])
        return f"{label} ({means[label]:.3f})"

    def used(self) -> str:
        """What each node uses of its processors, its memory and its card, as its last message had it."""
        return " · ".join(
            f"{node}: {use['cpu']:.0%} of processors, {use['memory']:.0%} of memory"
            + (f", {use['card']:.0%} of the card" if "card" in use else "")
            for node, use in sorted(self.usage.items())
        )

    def render(self) -> Table:
        """The live display: a bar, the line, what runs now, and what nodes use."""
        grid = Table.grid(padding=(0, 1))
        head = Table.grid(padding=(0, 1))
        head.add_row(ProgressBar(total=1.0, completed=self._done(), width=24), Text(self.line()))
        grid.add_row(head)
        if self.waits:
            grid.add_row(Text(f"  {self.waits}", style="dim"))
        for trial_id, share in list(self.running.items())[:8]:
            grid.add_row(Text.from_markup(f"[dim]  running {escape(self.labels[trial_id])} {share:4.0%}[/dim]"))
        if self.usage:
            grid.add_row(Text.from_markup(f"[dim]  {escape(self.used())}[/dim]"))
        return grid

    def _done(self) -> float:
        """The share of all work that is done, by weight."""
        done = self._weighed + sum(self.weight[trial_id] * share for trial_id, share in self.running.items())
        whole = sum(self.weight.values()) + self.total - len(self.labels)
        return min(1.0, done / max(whole, 1e-9) + 1e-9)

    def _line(self, text: str) -> None:
        if self.show and self._live is None:
            self._last_line = time.monotonic()
            self.say(text)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
