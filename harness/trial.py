"""A trial is a value; running it is a plain function. No Ray here: this works in a debugger."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import platform
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from harness.answer import answer
from harness.metrics import metrics
from harness.protocol import HeldOutGenes, Prepared, Protocol, Split, Task, pose
from harness.record import Cause, Outcome, Record
from harness.scoring import score_table
from harness.store.checkpoints import Checkpoints
from harness.store.files import StoreFailed
from models.component import Json, canonical, canonical_text, code_hash, short_hash, stem
from models.devices import out_of_memory
from models.method import Method, Problem, Run, Skipped, Stopped, absent_packages

METHOD_STREAM = 0
"""Purpose of the random stream a method receives: `SeedSequence(seed, spawn_key=(fold, purpose))`."""


@dataclass(frozen=True)
class Trial:
    """One method on one fold of one dataset. Equal content, equal `id`, whoever asks and whatever they call it.

    `dataset` is the name to find and to show; the identity holds the content's hash only.
    """

    method: Method
    dataset: str
    dataset_id: str
    split: Split
    fold: int
    seed: int
    sampling_rate: float = 1.0
    protocol: Protocol = field(default_factory=Protocol)
    task: Task = field(default_factory=HeldOutGenes)

    def __post_init__(self) -> None:
        # A method without randomness runs once and serves every seed.
        if not self.method.needs.randomness and self.seed != 0:
            object.__setattr__(self, "seed", 0)

    @property
    def identity(self) -> dict[str, Json]:
        """Everything that may change the numbers, in canonical form."""
        return {
            "method": canonical(self.method),
            "dataset": self.dataset_id,
            "task": canonical(self.task),
            "protocol": canonical(self.protocol),
            "split": canonical(self.split),
            "fold": self.fold,
            "sampling_rate": canonical(float(self.sampling_rate)),
            "seed": self.seed,
            "metrics": sorted(metric.tag for metric in metrics().values()),
        }

    @functools.cached_property
    def id(self) -> str:
        """16 hex digits over the identity."""
        return short_hash(self.identity, 16)

    @property
    def variant_id(self) -> str:
        """8 hex digits over the method's canonical form."""
        return short_hash(self.method, 8)

    def flags(self, kind: str) -> tuple[str, ...]:
        """What a table must say about its numbers; kind: what the ST values are."""
        return self.protocol.flags + self.task.flags + self.protocol.thinning.flags(kind, self.sampling_rate)

    @property
    def columns(self) -> dict[str, Any]:
        """What every row of its per-gene table says of it."""
        return {
            "trial_id": self.id,
            "dataset": self.dataset,
            "dataset_id": self.dataset_id,
            "method": stem(type(self.method)),
            "variant_id": self.variant_id,
            "task": type(self.task).__name__,
            "split": canonical_text(self.split),
            "protocol_id": self.protocol.id,
            "fold": self.fold,
            "seed": self.seed,
            "sampling_rate": float(self.sampling_rate),
        }

    def rng(self) -> np.random.Generator:
        """The method's random stream."""
        return method_stream(self.seed, self.fold)


def method_stream(seed: int, fold: int) -> np.random.Generator:
    """The random stream a method receives; never derived from an id, a name or data."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(fold, METHOD_STREAM)))


@dataclass(frozen=True)
class Setting:
    """How a trial runs; nothing here enters an identity. All but `timeout` is recorded as it is.

    code: `code_hash(method)` where the caller knows it; a class that travelled by value cannot be hashed on arrival.
    earlier: {cause, reason} of each attempt that was lost before this one. cpus, gpus: what it was given of a node.
    """

    device: str = "cpu"
    threads: int = 1
    timeout: float | None = None
    git: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    earlier: tuple[dict[str, str], ...] = ()
    cpus: float = 1.0
    gpus: float = 0.0


class Interrupted(BaseException):
    """The trial was asked to end early, and has kept what it needs to go on: it is neither done nor failed."""


Listen = Callable[[float, float | None], None]
"""Called with the share of a method's work that is done and its validation score, if it has one."""


class TrialRun(Run):
    """The run of a trial: tells a listener how far it is, stops at the deadline, notes when fitting ended.

    A trial that goes on from a checkpoint has the seconds behind it that it took until then (`before`).
    """

    def __init__(
        self,
        rng: np.random.Generator,
        setting: Setting,
        listen: Listen | None = None,
        checkpoints: Checkpoints | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(rng, setting.device, setting.threads)
        self._listen = listen
        self._checkpoints = checkpoints
        self._stopping = stopping
        self._saves = False
        self._started = time.monotonic()
        self._timeout = setting.timeout
        self.before = 0.0
        self.fitted_after: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds that the trial has run, before a kill too."""
        return self.before + time.monotonic() - self._started

    def save(self, state: Any) -> None:
        """See `Run.save`; not every one is written (see `checkpoints`)."""
        self._saves = self._checkpoints is not None
        if self._checkpoints is not None and (self._checkpoints.due() or self._stopping()):
            self._checkpoints.write({"seconds": self.elapsed, "state": state})
        if self._stopping():
            raise Interrupted

    def restored(self) -> Any:
        """See `Run.restored`."""
        saved = None if self._checkpoints is None else self._checkpoints.read()
        if saved is None:
            return None
        self.before = saved["seconds"]
        return saved["state"]

    def report(self, step: int, of: int, validation: float | None = None) -> None:
        """See `Run.report`; raises `Stopped` once the time limit is over.

        A trial that is to end early ends here if it keeps no checkpoints, else once it has written one.
        """
        if self._stopping() and not self._saves:
            raise Interrupted
        elapsed = self.elapsed
        if step >= of:
            self.fitted_after = elapsed
        if self._timeout is not None and elapsed > self._timeout:
            raise Stopped(
                f"stopped after {elapsed:.0f} s at step {step} of {of}; the time limit is {self._timeout:g} s"
            )
        if self._listen is not None:
            self._listen(step / of if of else 1.0, validation)


def run_trial(
    trial: Trial,
    data: Prepared,
    setting: Setting | None = None,
    listen: Listen | None = None,
    checkpoints: Checkpoints | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run a trial and score it. Never raises for what the method does: failing and skipping are outcomes.

    data: the trial's dataset under its protocol, from `harness.protocol.prepare`.
    checkpoints: where the method's own go; without, a trial that is killed starts anew.
    stopping: whether the trial should end early; it then raises `Interrupted` at its next report or checkpoint.
    A store that cannot be written raises `StoreFailed`: that is not the method's doing.
    """
    setting = setting or Setting()
    if data.dataset_id != trial.dataset_id or data.protocol != trial.protocol:
        raise ValueError(f"The data given are {data.dataset} under another protocol or of another content.")
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    clock = time.perf_counter
    reset_peak_memory()
    with threads(setting.threads):
        start = clock()
        problem, truth = pose(data, trial.split, trial.fold, trial.sampling_rate, trial.task)
        loaded = clock()
        run = TrialRun(trial.rng(), setting, listen, checkpoints, stopping)
        common = _common(trial, problem, setting, started_at, data.kind)
        common["n_spots"] = {"measured": len(data.spots), "scored": len(truth.spots)}
        try:
            prediction = answer(trial.method, problem, run)
        except Skipped as skip:
            cause: Cause = "packages" if str(skip) == absent_packages(type(trial.method)) else "skipped"
            return Outcome(Record(status="skipped", reason=str(skip), cause=cause, **common))
        except Stopped as stop:
            return Outcome(failure(common, stop, "timeout"))
        except (KeyboardInterrupt, SystemExit, Interrupted, StoreFailed):
            raise
        except BaseException as error:  # whatever a method raises is its outcome, and the grid goes on
            return Outcome(failure(common, error, "memory" if out_of_memory(error) else "method"))
        imputed = clock()
        table, facts = score_table(trial.columns, prediction, truth)
    fitted = run.fitted_after
    record = Record(
        status="ok",
        prediction_sha256=hashlib.sha256(np.ascontiguousarray(prediction, dtype="<f4").tobytes()).hexdigest(),
        timings={
            "load": round(loaded - start, 4),
            "fit": None if fitted is None else round(fitted, 4),
            "impute": round(run.before + imputed - loaded - (fitted or 0.0), 4),
            "score": round(clock() - imputed, 4),
        },
        peak_memory_mib=peak_memory_mib(),
        **facts,
        **common,
    )
    return Outcome(record, table, prediction.astype(np.float32), problem.targets, truth.spots)


def failure(common: dict[str, Any], error: BaseException, cause: Cause) -> Record:
    """A failed record with a one-line reason and the traceback for `spadit status`."""
    text = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {text[0] if text else 'no message'}"
    lines = "".join(traceback.format_exception(error)[-12:])
    return Record(status="failed", reason=reason, cause=cause, traceback=lines, **common)


def lost(trial: Trial, reason: str, setting: Setting, cause: Cause = "infrastructure") -> Record:
    """The record of a trial whose worker is gone."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(status="failed", reason=reason, cause=cause, **_common(trial, None, setting, started_at))


def selection(method: Method, dataset_id: str) -> str:
    """How a method's settings were chosen, seen from a dataset of that content (protocol section 3)."""
    if dataset_id in method.chosen_on.values():
        return "tuned on these genes"
    return "elsewhere" if method.chosen_on else "untuned"


def _common(trial: Trial, problem: Problem | None, setting: Setting, started_at: str, kind: str = "") -> dict[str, Any]:
    return {
        "trial_id": trial.id,
        "trial": trial.identity,
        "dataset": trial.dataset,
        "dataset_id": trial.dataset_id,
        "method": stem(type(trial.method)),
        "variant_id": trial.variant_id,
        "fold": trial.fold,
        "seed": trial.seed,
        "sampling_rate": float(trial.sampling_rate),
        "input_sparsity": None if problem is None else float((problem.spots.lognorm == 0).mean()),
        "device": device_name(setting.device),
        "threads": setting.threads,
        "node": platform.node(),
        "versions": versions(trial.method.needs.modules),
        "code": setting.code or code_hash(trial.method),
        "git": dict(setting.git),
        "selection": selection(trial.method, trial.dataset_id),
        "flags": trial.flags(kind) if kind else trial.protocol.flags + trial.task.flags,
        "attempts": len(setting.earlier) + 1,
        "earlier": setting.earlier,
        "resources": {"cpus": setting.cpus, "gpus": setting.gpus},
        "started_at": started_at,
    }


# ---------------------------------------------------------------------------------------------------------------
# Where and with what


def threads(n: int) -> threadpool_limits:
    """Limit BLAS, OpenMP and (where it is loaded) torch to n threads: two on a busy core cost 4 to 14 times."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n)
    return threadpool_limits(limits=n)


def device_name(device: str) -> str:
    """The device as records name it: a card with its model, since models differ in the last digits."""
    if device.startswith("cuda") and "torch" in sys.modules:
        cuda = sys.modules["torch"].cuda
        return f"{device}: {cuda.get_device_name()}" if cuda.is_available() else device
    return device


@functools.cache
def versions(modules: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of what computes the numbers, with the packages that bring a method's own modules."""
    found = {"python": platform.python_version()}
    own = metadata.packages_distributions() if modules else {}
    common = ("spadit-harness", "torch", "numpy", "scipy", "scikit-learn", "anndata", "pandas", "pyarrow", "ray")
    for package in (*common, *(name for module in modules for name in own.get(module, ()))):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def release_memory() -> None:
    """Give the system back what the allocator keeps for reuse, where it can (glibc)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def reset_peak_memory() -> None:
    """Make the system's high-water mark start anew, where it can (Linux); elsewhere it is the process's whole life.

    What an earlier trial in this process has freed does not count.
    """
    release_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_memory_mib() -> float:
    """The process's peak resident memory since `reset_peak_memory`, MiB, imports and shared data included."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)
