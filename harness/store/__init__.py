"""The store: the only state there is. A trial is done when its record exists, whole, under its content id.

Resume, retry, sharing between experiments and "run only what is missing" are one set difference on one listing.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import BadInput
from harness.reading.uri import located, over_http, remote, shown
from harness.store.audits import Audits
from harness.store.datasets import Datasets
from harness.store.experiments import Experiments
from harness.store.files import Files, LocalFiles
from harness.store.packs import Packs
from harness.store.searches import Searches
from harness.store.trials import Trials

__all__ = ["Store"]


class Store(Trials, Experiments, Datasets, Searches, Audits):
    """A store in a folder or under a URI (s3://, gs://); it is created by the first write, never by looking.

    trials/ holds ok records (written last: presence is the commit), genes/ and predictions/ their tables, packs/ many
    of both (`spadit compact`), unfinished/ the failed and skipped, datasets/ what figures need of a dataset,
    experiments/ what was asked, superseded/ records that `--stale` replaced, damaged/ what did not match its checksum,
    searches/ what searches suggested and what came of it, audits/ what audits of methods found, claims/ and
    checkpoints/ what runs.
    """

    def __init__(self, where: str | Path) -> None:
        self.where = shown(where)
        self.files = files_at(where)
        self.packs = Packs(self.files)


def files_at(where: str | Path) -> Files:
    """The files under a folder or URI; `BadInput` for a file, a web address, and a URI that nothing here can open."""
    place = located(where)
    if over_http(place):
        raise BadInput(
            f"The store {shown(where)} is a web address, where nothing can be written; give a folder or a URI such as "
            "s3://bucket/results."
        )
    if remote(place):
        from harness.store.remote_files import RemoteFiles

        return RemoteFiles(str(where))
    root = Path(place).expanduser().absolute()  # workers may stand elsewhere
    if root.exists() and not root.is_dir():
        raise BadInput(f"The store {where} is a file; give a folder (it may not exist yet).")
    return LocalFiles(root)
