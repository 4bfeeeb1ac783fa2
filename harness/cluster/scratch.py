"""Where Tune keeps its own files during a run; they are of no use afterwards, whoever is killed meanwhile."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

from harness.store.claims import Claims

LEFT = 24 * 3600.0
"""Seconds without a change after which a folder is a killed driver's: a living one changes its own every minute."""


@contextlib.contextmanager
def scratch(claims: Claims, spread: bool) -> Iterator[dict[str, Any]]:
    """A folder for the body, as arguments of a Tune run's configuration.

    spread: whether trials run on several nodes. Then it has to lie where each of them reaches it, which is in the
    store; what killed drivers have left there is removed.
    """
    if not spread:
        with tempfile.TemporaryDirectory(prefix="spadit-tune-", ignore_cleanup_errors=True) as folder:
            yield {"storage_path": folder}
        return
    system, root = claims.files.arrow
    folder = f"{root}/tune-{claims.driver.submission}"
    _sweep(system, root, claims)
    system.create_dir(folder, recursive=True)
    try:
        yield {"storage_path": folder, "storage_filesystem": system}
    finally:
        with contextlib.suppress(OSError):
            system.delete_dir(folder)


def _sweep(system: Any, root: str, claims: Claims) -> None:
    from pyarrow.fs import FileSelector

    for entry in system.get_file_info(FileSelector(root, allow_not_found=True)):
        if not entry.base_name.startswith("tune-"):
            continue
        files = system.get_file_info(FileSelector(entry.path, allow_not_found=True, recursive=True))
        changed = [each.mtime.timestamp() for each in [entry, *files] if each.mtime is not None]
        if changed and claims.now() - max(changed) > LEFT:
            with contextlib.suppress(OSError):  # another driver has been quicker
                system.delete_dir(entry.path)
