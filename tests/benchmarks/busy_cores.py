"""How busy the processors are while a grid of real trials runs: 40 SpaDiT `tiny` trials on osmfish_ssp.

    SPADIT_DATA=... python -m tests.benchmarks.busy_cores [--trials 40]

Between the first trial's start and the last one's end, by the side of a meter that reads what every process of the run
has used: processor seconds of the workers over (processors x wall seconds), and what the machine as a whole was doing.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import threading
import time
from pathlib import Path

import psutil

from harness import submit
from harness.cluster.connection import processors
from harness.experiment import load_experiment
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
    print(f"{len(results.records())} trials of {variant[0]} on osmfish_ssp, {processors()} processors")
    meter.report()


class Meter:
    """Reads twice a second: the machine's busy time, and the processor time of all descendants of this process."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.readings: list[tuple[float, float, float, int, int]] = []

    def read(self, store: Path) -> None:
        """Note readings until the end."""
        used: dict[int, float] = {}
        while not self.end.wait(0.25):
            for process in psutil.Process().children(recursive=True):
                try:
                    if "trainable" in " ".join(process.cmdline()):
                        times = process.cpu_times()
                        used[process.pid] = times.user + times.system
                except psutil.Error:
                    continue
            busy = psutil.cpu_times()
            total = busy.user + busy.system + busy.nice
            done = len(list((store / "trials").glob("*.json"))) if store.exists() else 0
            held = len(list((store / "claims").glob("*.json"))) if store.exists() else 0
            self.readings.append((time.monotonic(), sum(used.values()), total, done, held))

    def report(self) -> None:
        """Print the shares between the first start and the last end."""
        running = [r for r in self.readings if r[4] > 0]
        first, last = running[0], next((r for r in self.readings if r[0] > running[-1][0]), running[-1])
        wall = last[0] - first[0]
        cores = processors()
        print(f"wall {wall:.1f} s between first start and last end")
        print(f"workers: {(last[1] - first[1]) / (cores * wall):.1%} of {cores} processors")
        print(f"machine: {(last[2] - first[2]) / ((os.cpu_count() or 1) * wall):.1%} of all processors")


if __name__ == "__main__":
    main()
