"""The golden store as tables: `python -m tests.reports.golden_tables` writes them anew after a wanted change."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from harness.store import Store
from reports.report import write_report

FOLDER = Path(__file__).parent / "golden"
KINDS = (".csv", ".md", ".tex")


def tables(folder: Path) -> dict[str, bytes]:
    """Name -> bytes of the tables in a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in KINDS}


def renew(store: Store) -> None:
    """Write the tables of a store's report in place of those there are."""
    with tempfile.TemporaryDirectory() as made:
        write_report(store, Path(made) / "report", "demo")
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
        for name, data in tables(Path(made) / "report").items():
            (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    from tests.reports.conftest import golden_store

    with tempfile.TemporaryDirectory() as root:
        renew(golden_store(Path(root)))
