"""How busy the processors are while a grid of real trials runs: 40 SpaDiT `tiny` trials on osmfish_ssp.

    SPADIT_DATA=... python -m tests.benchmarks.busy_cores [--trials 40]

Between the first trial's start and the last one's end, by the side of a meter that reads what every process of the run
has used: processor seconds of the workers over (processors x wall seconds), and what the machine as a whole was doing.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness import submit
from harness.cluster.connection import processors
from harness.drivers import load_experiment
from harness.protocol import KFold


def main() -> None:
    """Print the share of processor time that went into workers, and into anything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    asked = load_experiment("backbones", "tiny")
    variant = next(iter(asked.variants.items()))
    grid = dataclasses.replace(
        asked, name="busy", variants=dict([variant]), datasets=("osmfish_ssp",), split=KFold(5),
        seeds=tuple(range(options.trials // 5)),
    )  # fmt: skip
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=meter.read, args=(Path(folder) / "S",), daemon=True).start()
        results = submit(grid, Path(folder) / "S", keep_predictions="none")
        meter.end.set()
        done = len(results.records())
    print(f"{done} trials of {variant[0]} on osmfish_ssp, {processors()} processors")
    meter.report()


@dataclass(frozen=True)
class Reading:
    """Processor seconds until a moment: by kind of process, of the whole machine, and of this meter; claims held."""

    at: float
    used: dict[str, float]
    machine: float
    meter: float
    held: int


class Meter:
    """Reads once a second what this process and all its descendants have used."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.readings: list[Reading] = []

    def read(self, store: Path) -> None:
        """Note readings until the end."""
        seen: dict[int, tuple[str, float]] = {}
        while not self.end.wait(1.0):
            own = psutil.Process()
            for process in [own, *own.children(recursive=True)]:
                try:
                    times, name = process.cpu_times(), process.name()
                except psutil.Error:
                    continue
                worker = name.startswith("ray::ImplicitFunc")  # what Tune calls a worker
                kind = "workers" if worker else "driver" if process.pid == own.pid else "Ray"
                seen[process.pid] = (kind, times.user + times.system)
            used = {k: sum(s for kind, s in seen.values() if kind == k) for k in ("workers", "driver", "Ray")}
            busy = psutil.cpu_times()
            held = len(list((store / "claims").glob("*.json"))) if store.exists() else 0
            total = busy.user + busy.system + busy.nice
            self.readings.append(Reading(time.monotonic(), used, total, time.thread_time(), held))

    def report(self) -> None:
        """Print the shares between the first start and the last end."""
        running = [i for i, reading in enumerate(self.readings) if reading.held]
        first, last = self.readings[running[0]], self.readings[running[-1]]
        room = (last.at - first.at) * processors()
        print(f"wall {last.at - first.at:.1f} s between first start and last end")
        for kind in first.used:
            print(f"{kind}: {(last.used[kind] - first.used[kind]) / room:.1%} of {processors()} processors")
        print(f"(of the driver's, this meter: {(last.meter - first.meter) / room:.1%})")
        print(f"whole machine: {(last.machine - first.machine) / room:.1%}")


if __name__ == "__main__":
    main()
