"""Where data lies: a local path, or any URI that fsspec knows, as an object with the methods of a pathlib.Path.

A local path stays a plain `pathlib.Path`. Anything else becomes a `UPath`, which has the same methods; the type is
written `Path` throughout, for that is how it is used. Whatever its protocol's library raises becomes one sentence.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.errors import BadInput

BUFFER = 2**20  # bytes asked for at once of a remote file

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def located(given: Path | str) -> Path:
    """The place a path or URI names: a plain Path where it is local (`file://` too), else a UPath.

    Raises `BadInput` for an unknown protocol and, naming it, for one whose package is not installed.
    """
    if not isinstance(given, str):
        place: Any = given
        return Path(place.path) if remote(place) and place.protocol in ("", "file", "local") else place
    text = given
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Path(text)
    if scheme[1].lower() in ("file", "local"):
        return Path(url2pathname(text[scheme.end() :].removeprefix("localhost")))
    from upath import UPath

    try:
        place = UPath(text)
    except ValueError:
        raise BadInput(
            f"{shown(text)} has the unknown protocol {scheme[1]!r}; expected a path or a URI that fsspec knows "
            "(such as s3://, gs:// or http://), so check how it begins."
        ) from None
    with reached(place):
        place.fs  # noqa: B018 - made now, so that a missing package is said now and once
    return cast(Path, place)


def several(text: str) -> list[str]:
    """The paths and URIs of a list such as $SPADIT_DATA, separated by ':' (';' on Windows); '://' separates none."""
    return [part for part in re.split(re.escape(os.pathsep) + "(?!//)", text) if part]


def remote(place: Path) -> bool:
    """Whether it is reached through fsspec rather than the local file system."""
    return not isinstance(place, Path)


def over_http(place: Path) -> bool:
    """Whether it is a web address: one file, in no folder that could be listed."""
    return remote(place) and str(place).lower().startswith(("http://", "https://"))


def file_name(place: Path) -> str:
    """Its last part, without the query of a web address."""
    return urlsplit(str(place)).path.rpartition("/")[2] if over_http(place) else place.name


def shown(place: Any) -> str:
    """How messages write a place: without the user, password and query that a URI may carry."""
    return without_secrets(str(place))


def without_secrets(text: str) -> str:
    """A text whose URIs have lost their user and password, and their query, which may be a signature."""
    text = re.sub(r"(\w://)[^/?#\s'\"]*@", r"\1", text)
    return re.sub(r"(\w://[^?\s'\"]*)\?[^\s'\")]*", r"\1", text)


@contextmanager
def reached(place: Any) -> Iterator[None]:
    """Turn whatever reaching a remote place raises into a `BadInput`; a local one is left alone."""
    try:
        yield
    except BadInput:
        raise
    # Each protocol's library raises its own exceptions, most of which derive from nothing that could be named here.
    except Exception as error:
        if not remote(place):
            raise
        raise BadInput(unreached(shown(place), error)) from None


def unreached(place: str, error: Exception) -> str:
    """One sentence on a place that could not be reached, with no secret in it."""
    if isinstance(error, ImportError):
        package = getattr(error.__cause__, "name", None) or error.name or "the one its protocol needs"
        return f"{place} needs a package that is not installed; expected {package}, so run pip install {package}."
    cause = error.__cause__  # fsspec calls every failure over HTTP "not found"; what it was lies beneath
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
        error = FileNotFoundError() if getattr(cause, "status", None) in (404, 410) else cause
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{place} does not exist; expected a file or folder there, so check the address."
    if isinstance(error, PermissionError):
        return f"{place} may not be read by you; expected one that is readable, so check the permissions and login."
    reason = " ".join(without_secrets(str(error)).split())[:160].rstrip(". ")
    reason = re.sub(r"\. (?=[A-Z])", "; ", reason)
    return (
        f"{place} cannot be reached ({type(error).__name__}{f': {reason}' if reason else ''}); expected one that "
        "answers, so check the address, the connection and the login."
    )


@contextmanager
def opened(place: Path, expected: str) -> Iterator[Any]:
    """A file open for reading bytes. Raises `BadInput` where it is missing, a folder, or cannot be reached.

    expected: what the file should be, as messages say it ("AnnData .h5ad").
    """
    check_file(place, expected)
    if not remote(place):
        try:
            file: Any = place.open("rb")
        except PermissionError:
            raise unreadable(place) from None
        with file:
            yield file
        return
    with reached(place):
        file = place.open("rb")
    with io.BufferedReader(_Remote(place, file), BUFFER) as buffered:
        yield buffered


def listed(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files and the folders in a folder, by name, in one request; FileNotFoundError where it is none.

    Raises `BadInput` where it may not be listed or cannot be reached. fsspec's own exists, isdir and isfile say no in
    that case, and what is there would seem not to be.
    """
    files: dict[str, Path] = {}
    folders: dict[str, Path] = {}
    if not remote(folder):
        try:
            for path in folder.iterdir():
                kind = files if path.is_file() else folders if path.is_dir() else {}
                kind[path.name] = path
        except NotADirectoryError:
            raise FileNotFoundError(str(folder)) from None
        except PermissionError:
            raise unreadable(folder) from None
        return files, folders
    place: Any = folder
    try:
        entries = place.fs.ls(place.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(str(folder)) from None
    except Exception as error:  # as in `reached`
        raise BadInput(unreached(shown(folder), error)) from None
    own = place.path.rstrip("/")
    if [(entry["name"], entry["type"]) for entry in entries] == [(own, "file")]:
        raise FileNotFoundError(str(folder))  # what is listed is a file
    for entry in entries:
        path = entry["name"].rstrip("/")
        if path != own:  # object stores may list a marker of the folder itself
            name = path.rpartition("/")[2]
            (folders if entry["type"] == "directory" else files)[name] = folder / name
    return files, folders


def is_file(place: Path) -> bool:
    """Whether a file is there; one that may not be seen is not. Raises `BadInput` where that cannot be told."""
    if not remote(place):
        return place.is_file()
    with reached(place):
        try:
            return bool(cast(Any, place).fs.info(cast(Any, place).path)["type"] == "file")
        # Where keys may be read but not listed, stores answer a missing one with "forbidden".
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False


def check_file(place: Path, expected: str) -> None:
    """Raise `BadInput` where a local path is a folder or is not there; remote ones are known when they are opened."""
    if remote(place):
        return
    article = "an" if expected[0] in "AEIOU" else "a"
    if place.is_dir():
        raise BadInput(f"{place} is a folder; expected one {expected} file, so give the path of the file itself.")
    if not place.exists():
        raise BadInput(f"{place} does not exist; expected {article} {expected} file, so check the path.")


def unreadable(place: Path) -> BadInput:
    """The refusal of a file without the right to read it."""
    return BadInput(f"{shown(place)} may not be read by you; expected a readable file, so change its permissions.")


class _Remote(io.RawIOBase):
    """A remote file all of whose failures are `BadInput`, so that a lost connection is not taken for a damaged file."""

    def __init__(self, place: Path, file: Any) -> None:
        self.place, self.file = place, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self.file.seekable())

    def tell(self) -> int:
        return int(self.file.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        with reached(self.place):
            return int(self.file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        with reached(self.place):
            data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            with reached(self.place):
                self.file.close()
        super().close()
