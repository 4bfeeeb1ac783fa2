"""Who computes what right now, so that several drivers on one store share a grid instead of each computing all of it.

A claim is a file made on the condition that it is not there, renewed while the trial runs and void once it is not. Its
age is the difference of two times of the storage's own clock, so clocks of nodes that disagree do not matter.
Claims save work and nothing else: were two workers to compute the same trial, one record would stand.
"""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.store.files import Files, StoreFailed
from harness.store.trials import beside

RENEWED = 15.0
"""Seconds between two renewals."""

EXPIRES = 60.0
"""Seconds after the last renewal at which a claim is void."""


@dataclass(frozen=True)
class Driver:
    """Who submits: its submission, and the process it lives in, as other processes of the same machine can see it."""

    submission: str
    machine: str
    pid: int
    started: float

    @classmethod
    def here(cls, submission: str) -> Driver:
        """This process."""
        return cls(submission, _machine(), os.getpid(), _started(os.getpid()) or 0.0)

    def is_gone(self) -> bool:
        """Whether it is known to have ended: only a process of the same machine can know."""
        try:
            return self.machine == _machine() and _started(self.pid) != self.started
        except PermissionError:  # it lives, and is another user's
            return False


def _started(pid: int) -> float | None:
    """When a process that lives started, by a clock that nobody sets; None for one that does not live."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if facts[0] in "ZX" else float(facts[19])  # it has ended, but nobody has asked how
    except OSError:  # there is no such folder on this system, or it hides what is not one's own
        pass
    import psutil

    try:
        if os.name == "posix":
            os.kill(pid, 0)
        return float(psutil.Process(pid).create_time())
    except (ProcessLookupError, psutil.NoSuchProcess):
        return None
    except psutil.AccessDenied:
        raise PermissionError from None


def _machine() -> str:
    # Containers may share a name and each have a process 1; their process namespaces differ.
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return platform.node()


UNKNOWN = Driver("", "", 0, 0.0)
"""Whose claim it is while it is being written."""


@dataclass(frozen=True)
class Claim:
    """A trial that somebody computes. node: where, since when by its clock; age: seconds since it was last renewed."""

    trial_id: str
    driver: Driver
    node: str
    since: str
    age: float

    @property
    def void(self) -> bool:
        """Whether nobody computes it any more."""
        return self.age > EXPIRES or self.driver.is_gone()


class Claims:
    """The claims of a store, as one driver and its workers take them."""

    def __init__(self, files: Files, driver: Driver) -> None:
        self.files = files
        self.driver = driver
        self._content = json.dumps(
            {
                "node": platform.node(),
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
                "driver": asdict(driver),
            }
        ).encode()

    def take(self, trial_id: str) -> bool:
        """Claim a trial; False where another driver computes it. One's own claim is one's own again."""
        name, mine = _name(trial_id), self._content
        if self.files.create(name, mine):
            return True
        there = _read(self.files, trial_id, self.now())
        if there is None:  # it has been given back this moment
            return self.files.create(name, mine)
        if there.driver == self.driver:
            self.files.write(name, mine)
            return True
        return there.void and self._take_over(there)

    def _take_over(self, there: Claim) -> bool:
        """Take a void claim. Several may have seen it: whoever makes the file that says so is the one."""
        name, mark = _name(there.trial_id), f"claims/{there.trial_id}.void"
        if not self.files.create(mark, b""):
            with suppress(FileNotFoundError):  # done with it
                if self.now() - self.files.changed(mark) > EXPIRES:  # whoever made it is gone, too
                    self.files.delete(mark)
            return False
        try:
            again = _read(self.files, there.trial_id, self.now())
            if again is not None and not again.void:  # another has taken it over before
                return False
            self.files.delete(name)
            return self.files.create(name, self._content)
        finally:
            self.files.delete(mark)

    def renew(self, trial_id: str) -> None:
        """Say that the trial is still being computed."""
        self.files.write(_name(trial_id), self._content)

    def release(self, trial_id: str) -> None:
        """Give a trial back, done or not."""
        self.files.delete(_name(trial_id))

    def now(self) -> float:
        """The time by the storage's own clock."""
        return now(self.files, self.driver.submission)

    def close(self) -> None:
        """Remove what telling the time has left."""
        self.files.delete(_clock(self.driver.submission))


def claims(files: Files, submission: str = "reader") -> dict[str, Claim]:
    """All claims that are not void, by trial id. Writes one small file, to know the time; none in an empty store."""
    ids = files.names("claims", ".json")
    if not ids:
        return {}
    try:
        time = now(files, submission)
    except StoreFailed:  # it may be read by those who may not write
        time = datetime.now(UTC).timestamp()
    found = beside(lambda trial_id: _read(files, trial_id, time), ids)
    return {claim.trial_id: claim for claim in found if claim is not None and not claim.void}


def now(files: Files, submission: str) -> float:
    """The time by the storage's own clock: that of a file written this moment."""
    files.write(_clock(submission), b"")
    return files.changed(_clock(submission))


def _clock(submission: str) -> str:
    return f"claims/{submission}.clock"


def _name(trial_id: str) -> str:
    return f"claims/{trial_id}.json"


def _read(files: Files, trial_id: str, time: float) -> Claim | None:
    """A claim; None where there is none any more. One that is not whole is being written, or its writer is gone."""
    try:
        age = time - files.changed(_name(trial_id))
        data = files.read(_name(trial_id))
    except FileNotFoundError:
        return None
    try:
        values: dict[str, Any] = json.loads(data)
        return Claim(trial_id, Driver(**values["driver"]), values["node"], values["since"], age)
    except (ValueError, TypeError, KeyError):
        return Claim(trial_id, UNKNOWN, "", "", age)
