"""How long does a report take, and how much memory, on stores of the size that a benchmark paper has?

    python tests/benchmarks/report_speed.py --part report   12 variants x 10 datasets x 5 folds x 3 seeds x 500 genes
    python tests/benchmarks/report_speed.py --part tables   50 million rows in 1,000 files, beside DuckDB alone

The numbers of a simulated store are made up; its files are those of the harness. Seconds and peak memory are of a
process of its own for each side; `tables` prints medians over repeats in which both take turns. DuckDB alone averages
the same files over seeds gene by gene and then over genes, without checksums, intervals or ranks.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.record import GENE_COLUMNS, Asked, Outcome, Record
from harness.store import Store

METRICS = ("pcc", "ssim", "rmse", "js")


def simulate(root: Path, variants: int, datasets: int, folds: int, seeds: int, genes: int) -> None:
    """A store in which every trial finished: variants x datasets x folds x seeds files of genes / folds rows."""
    store = Store(root)
    cells = []
    names = [f"method {v}" for v in range(variants)]
    for d in range(datasets):
        rng = np.random.default_rng(d)
        panel = np.array([f"Gene{i:06d}" for i in range(genes)])
        difficulty = rng.normal(0.3, 0.15, genes)
        for v, label in enumerate(names):
            for seed in range(seeds):
                for fold in range(folds):
                    record = _record(f"dataset{d}", label, fold, seed)
                    own = difficulty[fold::folds] + 0.01 * v + rng.normal(0, 0.05, len(panel[fold::folds]))
                    store.put(Outcome(record, _rows(record, panel[fold::folds], np.clip(own, -0.9, 0.95))))
                    cell = {"label": label, "dataset": record.dataset, "fold": fold, "seed": seed}
                    cells.append(cell | {"sampling_rate": 1.0, "trial_id": record.trial_id})
    store.put_asked(_asked(names, datasets, folds, tuple(cells)))


def _record(dataset: str, label: str, fold: int, seed: int) -> Record:
    return Record(
        trial_id=hashlib.sha256(f"{dataset} {label} {fold} {seed}".encode()).hexdigest()[:16],
        status="ok",
        trial={"metrics": [f"{metric}@1" for metric in METRICS]},
        dataset=dataset,
        dataset_id="0" * 16,
        method="some_method",
        variant_id="1" * 8,
        fold=fold,
        seed=seed,
        sampling_rate=1.0,
        timings={"load": 0.1, "impute": 1.0 + fold, "score": 0.1},
        peak_memory_mib=500.0,
        code="c0de",
    )


def _rows(record: Record, genes: np.ndarray, pcc: np.ndarray) -> pa.Table:
    own = {
        "gene": genes,
        "pcc": pcc,
        "ssim": 0.8 * pcc,
        "rmse": np.sqrt(2 * (1 - pcc)),
        "js": 0.3 * (1 - pcc),
        "js_flat": np.full(len(pcc), 0.2),
        "bias": 0.1 * pcc,
        "truth_sd": np.full(len(pcc), 0.5),
    }
    same = {"task": "HeldOutGenes", "split": "{}", "protocol_id": "2" * 8, "n_spots": 50, "truth_nonzero": 20}
    columns = {}
    for name, kind in GENE_COLUMNS.items():
        value = own.get(name, same.get(name, getattr(record, name, None)))
        columns[name] = pa.array(value if name in own else [value] * len(pcc), type=kind)
    return pa.table(columns)


def _asked(names: Sequence[str], datasets: int, folds: int, cells: tuple[dict[str, object], ...]) -> Asked:
    facts = {"variant_id": "1" * 8, "method": "some_method", "control": False, "component": {"component": "m:M"}}
    return Asked(
        name="big",
        definition="d0d0d0d0",
        asked_at="2026-01-01",
        title="How long does this take?",
        commands=(),
        protocol_id="00000000",
        variants={label: dict(facts) for label in names},
        datasets={f"dataset{d}": {"dataset_id": "0" * 16} for d in range(datasets)},
        task={"component": "harness.protocol.task:HeldOutGenes", "version": 1},
        protocol={"component": "harness.protocol:Protocol", "version": 1},
        split={"component": "harness.protocol.splits:KFold", "version": 1, "k": folds},
        folds=folds,
        flags=(),
        cells=cells,
    )


ALONE = """
import duckdb, sys
root = sys.argv[1]
duckdb.sql(f"CREATE VIEW labels AS SELECT unnest(cells, recursive := true) "
           f"FROM read_json('{root}/experiments/*.json', maximum_object_size=1000000000)")
duckdb.sql(f"CREATE VIEW genes AS SELECT label, genes.dataset, gene, pcc, ssim, rmse, js "
           f"FROM read_parquet('{root}/genes/*.parquet') genes JOIN labels USING (trial_id)")
means = "avg(pcc) AS pcc, avg(ssim) AS ssim, avg(rmse) AS rmse, avg(js) AS js"
print(duckdb.sql(f"SELECT dataset, label, {means} FROM (SELECT dataset, label, gene, {means} FROM genes GROUP BY ALL) "
                 "GROUP BY ALL ORDER BY ALL").fetchall()[-1])
"""

OURS = """
import sys
from harness.store import Store
from reports.report import scores
print(scores(Store(sys.argv[1]), 'big').tail(1))
"""

REPORT = """
import sys
from pathlib import Path
from harness.store import Store
from reports.report import write_report
print(len(write_report(Store(sys.argv[1]), Path(sys.argv[2]))))
"""


def timed(code: str, *words: str) -> tuple[float, float]:
    """Seconds and peak MiB of a process that runs this code."""
    start = time.perf_counter()
    measure = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    out = subprocess.run([sys.executable, "-c", code + measure, *words], check=True, capture_output=True, text=True)
    return time.perf_counter() - start, float(out.stdout.split()[-1])


def report(root: Path) -> None:
    """A whole report."""
    if not root.exists():
        simulate(root, variants=12, datasets=10, folds=5, seeds=3, genes=500)
    with tempfile.TemporaryDirectory() as out:
        seconds, memory = timed(REPORT, str(root), f"{out}/report")
    print(f"report of 0.9 million rows: {seconds:.1f} s, {memory:.0f} MiB")


def tables(root: Path, repeats: int) -> None:
    """The accuracy-score tables alone, beside DuckDB alone."""
    if not root.exists():
        simulate(root, variants=4, datasets=10, folds=5, seeds=5, genes=250_000)
    sides = {"DuckDB alone": ALONE, "accuracy-score tables": OURS}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, code in sides.items():
            taken[name].append(timed(code, str(root)))
    for name, runs in taken.items():
        seconds, memory = (statistics.median(values) for values in zip(*runs, strict=True))
        print(f"50 million rows, {name}: {seconds:.1f} s, {memory:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["report", "tables"], required=True)
    parser.add_argument("--store", type=Path, default=None, help="where the simulated store lies, or is to lie")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        where = asked.store or Path(made) / "store"
        report(where) if asked.part == "report" else tables(where, asked.repeats)
