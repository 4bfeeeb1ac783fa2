"""Where Optuna keeps the studies of a search, which decides how many drivers may suggest at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from harness.errors import BadInput
from harness.store import Store
from harness.store.claims import RENEWED, Claims
from harness.store.files import LocalFiles

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

LOCKED = 100.0
"""Seconds that a driver waits for a database which another one is writing to."""

MAKING = ("IntegrityError", "OperationalError", "ProgrammingError")
"""SQLAlchemy's errors that a database gives while another driver makes the same tables in it."""

ATTEMPTS = 5
"""How often a database is opened whose tables another driver is making."""


@contextmanager
def storages(
    store: Store, url: str | None, studies: Sequence[str], claims: Claims
) -> Iterator[Callable[[str], BaseStorage]]:
    """Study id -> its storage, for the body.

    With a url, an RDB of any number of drivers. Without: in a folder, a journal beside the study's configurations, for
    any number of drivers that reach the folder; under a URI, the memory of this process, and no other driver may work
    on the studies meanwhile (`BadInput`). What it does not know of the store is told to it when a search starts.
    """
    from optuna.exceptions import StorageInternalError
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if url is not None:
        shared = _database(url)
        try:
            yield lambda study: shared
        except StorageInternalError as error:
            said = " ".join(str(error.__cause__ or error).split())[:200]
            raise BadInput(f"The database of --storage failed: {said}; run the same command again to go on.") from None
    elif isinstance(files := store.files, LocalFiles):

        def journal(study: str) -> BaseStorage:
            path = files.path(f"searches/{study}/optuna.journal")
            path.parent.mkdir(parents=True, exist_ok=True)
            return JournalStorage(JournalFileBackend(str(path)))

        yield journal
    else:
        with _alone(store, studies, claims):
            yield lambda study: InMemoryStorage()


def _database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage

    kind = url.partition(":")[0]
    # Several drivers write to it at once; SQLite gives up on a lock after five seconds if it is not told otherwise.
    patience = {"connect_args": {"timeout": LOCKED}} if kind.startswith("sqlite") else {}
    for attempt in range(ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs=patience)
        except Exception as error:  # each kind of database raises its own
            if type(error).__name__ in MAKING and attempt + 1 < ATTEMPTS:
                time.sleep(1.0)
                continue
            said = " ".join(str(error).split())[:200]
            raise BadInput(
                f"The database of --storage ({kind}) cannot be opened: {said}; give a URL as SQLAlchemy has them, "
                "e.g. postgresql://user@host/name or sqlite:///studies.db."
            ) from None
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def _alone(store: Store, studies: Sequence[str], claims: Claims) -> Iterator[None]:
    """Refuse where another driver works on one of the studies; keep others away for the body."""
    taken: list[str] = []
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED):
            for study in taken:
                with suppress(Exception):  # tried again in a moment
                    claims.renew(study)

    thread = threading.Thread(target=renew, name="spadit-studies", daemon=True)
    try:
        for study in studies:
            if not claims.take(study):
                raise BadInput(
                    f"Another driver searches in {store.where} already. Several share a study by a journal, which an "
                    "object store cannot append to; give each --storage URL of a database, or run one at a time."
                )
            taken.append(study)
        thread.start()
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()
        for study in taken:
            claims.release(study)
