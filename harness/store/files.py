"""Whole files under a root, written so that a reader sees all of a file or none of it: on a local or mounted folder."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from harness.errors import BadInput


class StoreFailed(Exception):  # noqa: N818 - it says what happened, as the others do
    """The store cannot be written (full, read-only, out of reach): no fault of any trial, and reason to stop a run."""


class Files(Protocol):
    """What a store asks of the place it lies in. Names are relative, with forward slashes, and never leave the root.

    What is missing raises FileNotFoundError; what cannot be written raises `StoreFailed`.
    """

    @property
    def name(self) -> str:
        """The last part of where it lies."""

    @property
    def arrow(self) -> tuple[Any, str]:
        """The same place as pyarrow sees it: file system and path."""

    def names(self, folder: str, suffix: str) -> list[str]:
        """Names, without folder and suffix, of the files of a folder that end in `suffix`, sorted; one listing.

        What is there all the time is among them, whatever goes or comes meanwhile.
        """

    def sizes(self, folder: str, suffix: str) -> dict[str, int]:
        """Bytes of the same files, by name; of those that are still there when they are looked at."""

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder, sorted."""

    def read(self, name: str) -> bytes:
        """The bytes of a file."""

    def exists(self, name: str) -> bool:
        """Whether the file is there."""

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, in place of what was there."""

    def writing(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to write to, there once the body ends; if the body raises, what was there stays."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a whole small file where there is none; False, and nothing is written, where there is one."""

    def changed(self, name: str) -> float:
        """When a file was last written, in seconds, by the clock of the place it lies in."""

    def opened(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A file to read from, at any place in it."""

    def local(self, name: str, data: bytes) -> Path:
        """A local file with the bytes that were read of `name`; it may go when the process ends."""

    def delete(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""

    def move(self, name: str, to: str) -> None:
        """Rename a file within the root."""


def inside(name: str) -> tuple[str, ...]:
    """The parts of a name; `BadInput` for one that would leave the root."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise BadInput(f"{name!r} is not a name inside the store.")
    return parts


class LocalFiles:
    """`Files` of a folder that this machine can reach."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """The last part of where it lies."""
        return self.root.resolve().name

    @property
    def arrow(self) -> tuple[Any, str]:
        """See `Files.arrow`."""
        import pyarrow.fs

        return pyarrow.fs.LocalFileSystem(), str(self.root)

    def path(self, name: str) -> Path:
        """Where a file lies; `BadInput` for a name that would leave the root."""
        return self.root.joinpath(*inside(name))

    def names(self, folder: str, suffix: str) -> list[str]:
        """See `Files.names`."""
        return sorted(name for name, _ in self._listed(folder, suffix))

    def sizes(self, folder: str, suffix: str) -> dict[str, int]:
        """See `Files.sizes`."""
        found: dict[str, int] = {}
        for name, entry in sorted(self._listed(folder, suffix), key=lambda each: each[0]):
            with suppress(FileNotFoundError):  # it has gone since it was listed
                found[name] = entry.stat().st_size
        return found

    def _listed(self, folder: str, suffix: str) -> list[tuple[str, os.DirEntry[str]]]:
        with suppress(FileNotFoundError), os.scandir(self.path(folder)) as entries:
            return [
                (entry.name.removesuffix(suffix), entry)
                for entry in entries
                if entry.name.endswith(suffix) and entry.name != suffix and entry.is_file()
            ]
        return []

    def folders(self, folder: str) -> list[str]:
        """See `Files.folders`."""
        path = self.path(folder)
        return sorted(p.name for p in path.iterdir() if p.is_dir()) if path.exists() else []

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        return self.path(name).read_bytes()

    def exists(self, name: str) -> bool:
        """See `Files.exists`."""
        return self.path(name).exists()

    def write(self, name: str, data: bytes) -> None:
        """See `Files.write`."""
        with self.writing(name) as file:
            file.write(data)

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """See `Files.writing`: a temporary file beside it, fsync, replace, fsync of the folder."""
        path = self.path(name)
        with written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not by `tempfile`, whose files are private to their owner: a shared store needs what the umask allows.
            temporary = path.with_name(f".writing-{uuid.uuid4().hex}")
            try:
                with temporary.open("xb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)

    def create(self, name: str, data: bytes) -> bool:
        """See `Files.create`. Not kept through a power cut."""
        path = self.path(name)
        with written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                file = path.open("xb")
            except FileExistsError:
                return False
            try:
                with file:
                    file.write(data)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            return True

    def changed(self, name: str) -> float:
        """See `Files.changed`; on a network file system, the clock is the server's."""
        return self.path(name).stat().st_mtime

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """See `Files.opened`."""
        with self.path(name).open("rb") as file:
            yield file

    def local(self, name: str, data: bytes) -> Path:
        """See `Files.local`: the file itself."""
        return self.path(name)

    def delete(self, name: str) -> None:
        """See `Files.delete`."""
        with written(self.path(name)):
            self.path(name).unlink(missing_ok=True)

    def move(self, name: str, to: str) -> None:
        """See `Files.move`."""
        source, target = self.path(name), self.path(to)
        with written(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with written(target, FileNotFoundError):
            source.replace(target)


WHY = {
    errno.ENOSPC: "there is no room left",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "you may not write there",
    errno.EPERM: "you may not write there",
    errno.ENOTDIR: "part of the path is a file",
}


@contextmanager
def written(path: Path, *but: type[OSError]) -> Iterator[None]:
    """Turn what the system says of a write that fails into `StoreFailed`, but for these."""
    try:
        yield
    except but:
        raise
    except OSError as error:
        why = WHY.get(error.errno or 0, error.strerror or str(error))
        raise StoreFailed(f"The store cannot be written ({path}): {why}.") from error


def _sync_folder(folder: Path) -> None:
    # Without this a crash of the machine may forget the rename. Not every system can open folders, or sync them.
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
