"""The same whole files in an object store, or wherever fsspec reaches: one put each, seen whole or not at all."""

from __future__ import annotations

import functools
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

from harness.errors import BadInput
from harness.reading.uri import located, reached, shown, unreached
from harness.store.files import StoreFailed, inside, written

TRIES = 4
"""A request that fails for want of a connection is made again, after 0.5, 1 and 2 seconds."""

Found = TypeVar("Found")


class RemoteFiles:
    """`Files` under a URI. Nothing of a listing is remembered: others write there, too."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        parts = urlsplit(self.uri)
        if parts.password is not None or parts.query:
            raise BadInput(
                f"The store {shown(self.uri)} is given with a password or a query; give its plain URI, which goes to "
                "every worker, and the login where its library looks for it, such as AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY."
            )
        place: Any = located(self.uri)
        with reached(place):
            options = {**place.storage_options, "use_listings_cache": False, "skip_instance_cache": True}
            self._place = type(place)(self.uri, **options)
            self._fs = self._place.fs
        self._heeds_conditions = False  # not seen yet

    def __reduce__(self) -> Any:
        return RemoteFiles, (self.uri,)  # a worker opens its own connection, with its own login

    @property
    def name(self) -> str:
        """The last part of where it lies."""
        return str(self._place.path).rstrip("/").rpartition("/")[2]

    def path(self, name: str) -> str:
        """Where a file lies, as its file system writes it; `BadInput` for a name that would leave the root."""
        return "/".join([str(self._place.path).rstrip("/"), *inside(name)])

    @property
    def arrow(self) -> tuple[Any, str]:
        """See `Files.arrow`."""
        import pyarrow.fs

        return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(self._fs)), str(self._place.path).rstrip("/")

    def names(self, folder: str, suffix: str) -> list[str]:
        """See `Files.names`."""
        return list(self.sizes(folder, suffix))

    def sizes(self, folder: str, suffix: str) -> dict[str, int]:
        """See `Files.sizes`."""
        entries = self._listed(folder)
        named = {entry["name"].rpartition("/")[2]: entry for entry in entries if entry["type"] == "file"}
        return {
            n.removesuffix(suffix): int(named[n]["size"]) for n in sorted(named) if n.endswith(suffix) and n != suffix
        }

    def folders(self, folder: str) -> list[str]:
        """See `Files.folders`."""
        entries = self._listed(folder)
        return sorted(e["name"].rstrip("/").rpartition("/")[2] for e in entries if e["type"] == "directory")

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        path = self.path(folder)
        with reached(self._place):
            try:
                return list(_again(functools.partial(self._fs.ls, path, detail=True)))
            except FileNotFoundError:
                return []

    def read(self, name: str) -> bytes:
        """See `Files.read`."""
        return bytes(self._reading(functools.partial(self._fs.cat_file, self.path(name))))

    def exists(self, name: str) -> bool:
        """See `Files.exists`."""
        try:
            self._reading(functools.partial(self._fs.info, self.path(name)))
        except FileNotFoundError:
            return False
        return True

    def write(self, name: str, data: bytes) -> None:
        """See `Files.write`."""
        self._writing(name, functools.partial(self._fs.pipe_file, self.path(name), data))

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """See `Files.writing`: gathered in a temporary file of this machine, then put as a whole."""
        with written(Path(tempfile.gettempdir())), tempfile.NamedTemporaryFile(prefix="spadit-") as file:
            yield file
            file.flush()
            self._writing(name, functools.partial(self._fs.put_file, file.name, self.path(name)))

    def create(self, name: str, data: bytes) -> bool:
        """See `Files.create`: a put on the condition that nothing is there; `BadInput` where conditions go unheeded."""
        if not self._heeds_conditions:
            self._demand_conditions(name)
        return self._created(name, data, name)

    def _demand_conditions(self, name: str) -> None:
        # Servers, and libraries of servers, that do not know the condition ignore it: two drivers would take one trial.
        # Tried on a file of our own, since what is there under `name` would be written over.
        probe = f"{name}.{secrets.token_hex(8)}"
        self._created(probe, b"", name)
        heeded = not self._created(probe, b"", name)
        self.delete(probe)
        if not heeded:
            raise BadInput(
                f"The store {shown(self.uri)} writes over a file though told not to, so that two drivers could take "
                "one trial; use a storage that heeds conditions (S3's If-None-Match, with s3fs or gcsfs from 2024.12 "
                "on), or a shared folder."
            )
        self._heeds_conditions = True

    def _created(self, name: str, data: bytes, asked: str) -> bool:
        def put() -> bool:
            try:
                self._fs.pipe_file(self.path(name), data, mode="create")
            except OSError as error:
                if isinstance(error, FileExistsError) or _is_refused(error):
                    return False
                raise
            return True

        return bool(self._writing(asked, put))

    def changed(self, name: str) -> float:
        """See `Files.changed`."""
        return float(self._reading(functools.partial(self._fs.modified, self.path(name))).timestamp())

    @contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """See `Files.opened`: fetched as a whole into a temporary file."""
        with tempfile.TemporaryFile() as file:
            file.write(self.read(name))
            file.seek(0)
            yield file

    def local(self, name: str, data: bytes) -> Path:
        """See `Files.local`: a copy in a folder of this process."""
        path = Path(_scratch(self.uri).name).joinpath(*inside(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def delete(self, name: str) -> None:
        """See `Files.delete`."""

        def remove() -> None:
            try:
                self._fs.rm_file(self.path(name))
            except FileNotFoundError:
                return

        self._writing(name, remove)

    def move(self, name: str, to: str) -> None:
        """See `Files.move`: a copy, then a deletion."""
        self.write(to, self.read(name))
        self.delete(name)

    def _reading(self, request: Callable[[], Found]) -> Found:
        try:
            return _again(request)
        except FileNotFoundError:
            raise
        except Exception as error:  # each protocol's library raises its own
            raise BadInput(unreached(f"The store {shown(self.uri)}", error)) from None

    def _writing(self, name: str, request: Callable[[], Found]) -> Found:
        try:
            return _again(request)
        except BadInput:  # of its name
            raise
        except Exception as error:  # as above
            reason = " ".join(shown(error).split())[:160].rstrip(". ")
            raise StoreFailed(
                f"The store cannot be written ({shown(self.uri)}/{name}): {type(error).__name__}: {reason}."
            ) from error


def _is_refused(error: OSError) -> bool:
    # s3fs knows the answer of AWS to a condition that does not hold; other servers word theirs differently.
    said = getattr(error.__cause__, "response", None) or {}
    return said.get("Error", {}).get("Code") in ("PreconditionFailed", "412")


def _again(request: Callable[[], Found]) -> Found:
    """Make a request, several times if there is no connection."""
    for wait in [0.5 * 2**i for i in range(TRIES - 1)]:
        try:
            return request()
        except (FileNotFoundError, FileExistsError, PermissionError):
            raise
        except (OSError, TimeoutError):
            time.sleep(wait)
    return request()


_scratches: dict[str, tempfile.TemporaryDirectory[str]] = {}
_making = threading.Lock()


def _scratch(uri: str) -> tempfile.TemporaryDirectory[str]:
    with _making:  # of two folders made at once, one would be forgotten, and removed with what lies in it
        if uri not in _scratches:
            _scratches[uri] = tempfile.TemporaryDirectory(prefix="spadit-store-")
        return _scratches[uri]
