"""One file over HTTP, resumed where it was cut: what has arrived is kept in a `.part` file between attempts.

A `.part.json` beside it says which version of the remote file the part belongs to, so that a file that has changed
since is never glued to an old beginning.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadInput
from harness.reading.uri import located, shown, without_secrets

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes expected, None where the server does not say."""

CHUNK = 2**16
"""Bytes taken at once; of a connection that stalls, less than this is lost."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    silence: seconds without a byte after which it counts as stalled. retries: further attempts after a dropped
    connection or an answer of 5xx. pause: seconds before the first of them, doubled before each next.
    """

    silence: float = 60.0
    retries: int = 3
    pause: float = 1.0


class _Dropped(Exception):  # noqa: N818 - an event, not an error yet
    """A failure that another attempt may mend."""


class Download:
    """A downloader as pooch calls one: `download(url, output_file, pooch)` leaves the whole file there.

    part: where the bytes are kept until they are whole. Raises `BadInput`, one sentence without the secrets of the
    URL; the part stays, and the next attempt goes on from it.
    """

    def __init__(self, part: Path, patience: Patience, progress: Progress | None) -> None:
        self.part, self.patience = part, patience
        self.notes = part.with_name(f"{part.name}.json")
        self.progress = progress or (lambda done, total: None)

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        if url.lower().startswith("file:"):
            self._copy(url)
        else:
            self._attempts(url)
        self.part.replace(output_file)

    def _copy(self, url: str) -> None:
        source = located(url)
        if not source.is_file():
            raise BadInput(f"{shown(url)} is not there; expected a file, so check the path.")
        total, done = source.stat().st_size, 0
        with source.open("rb") as given, self.part.open("wb") as kept:
            while chunk := given.read(CHUNK):
                kept.write(chunk)
                done += len(chunk)
                self.progress(done, total)
            kept.flush()
            os.fsync(kept.fileno())

    def _attempts(self, url: str) -> None:
        reason = ""
        for attempt in range(self.patience.retries + 1):
            if attempt:
                time.sleep(self.patience.pause * 2 ** (attempt - 1))
            try:
                return self._guarded(url)
            except _Dropped as error:
                reason = str(error)
        raise BadInput(
            f"{shown(url)} could not be downloaded in {self.patience.retries + 1} attempts ({reason}); expected the "
            "whole file, so try again later: what has arrived is kept."
        )

    def _guarded(self, url: str) -> None:
        """One attempt, its exceptions sorted into those that another may mend and those that none will."""
        import requests
        import urllib3

        try:
            self._attempt(url)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise self._stalled(url) from None
        except (requests.exceptions.SSLError, requests.exceptions.InvalidSchema, requests.TooManyRedirects) as error:
            raise BadInput(f"{shown(url)} cannot be downloaded ({_words(error)}); check the address.") from None
        except (
            requests.ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError,
        ) as error:  # fmt: skip
            raise _Dropped(_words(error)) from None
        except requests.RequestException as error:
            raise BadInput(f"{shown(url)} cannot be downloaded ({_words(error)}); check the address.") from None

    def _stalled(self, url: str) -> BadInput:
        return BadInput(
            f"{shown(url)} sent nothing for {self.patience.silence:g} seconds; expected a server that answers, so try "
            "again later: what has arrived is kept."
        )

    def _attempt(self, url: str) -> None:
        import requests

        known = self._known(url)
        size = self.part.stat().st_size if known is not None else 0
        headers = {"Accept-Encoding": "identity"}
        if known is not None:
            # The last byte is asked for again: then a part that is whole already gets an answer too.
            headers["Range"] = f"bytes={size - 1}-"
            if known["version"]:
                headers["If-Range"] = known["version"]
        with requests.get(url, stream=True, headers=headers, timeout=self.patience.silence) as answer:
            if known is None or self._continues(answer, known, size):
                _check_status(url, answer, 200 if known is None else 206)
                self._receive(url, answer, 0 if known is None else size - 1)
                return
            self._forget()
            if answer.status_code == 200:  # without ranges, or changed since: the whole of it
                self._receive(url, answer, 0)
                return
        self._attempt(url)

    def _continues(self, answer: Any, known: dict[str, Any], size: int) -> bool:
        """Whether an answer is the rest of the part: that range of the same version. Failures are neither."""
        if answer.status_code not in (200, 206, 416):
            return True
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if answer.status_code != 206 or span is None or int(span[1]) != size - 1:
            return False
        version = _version(answer)
        same_version = not (version and known["version"]) or version == known["version"]
        return same_version and (known["total"] is None or span[2] in ("*", str(known["total"])))

    def _receive(self, url: str, answer: Any, start: int) -> None:
        import urllib3

        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        if answer.headers.get("Content-Encoding", "identity") != "identity" and not self._compressed():
            raise BadInput(
                f"{shown(url)} comes compressed although it was asked for as it is; expected the file itself, so "
                "give another address."
            )
        self.notes.write_text(json.dumps({"url": _mark(url), "version": _version(answer), "total": total}))
        done = start
        with self.part.open("r+b" if start else "wb") as kept:
            kept.seek(start)
            try:
                # Raw bytes: requests would decode what it takes for a transfer encoding, and the length would not fit.
                for chunk in answer.raw.stream(CHUNK, decode_content=False):
                    kept.write(chunk)
                    done += len(chunk)
                    self.progress(done, total)
            except urllib3.exceptions.ProtocolError:
                raise _Dropped(f"{done} of {total or 'unknown'} bytes arrived") from None
            kept.flush()
            os.fsync(kept.fileno())
        if total is not None and done != total:
            raise _Dropped(f"{done} of {total} bytes arrived")

    def _compressed(self) -> bool:
        return self.part.name.removesuffix(".part").endswith((".gz", ".tgz"))

    def _known(self, url: str) -> dict[str, Any] | None:
        """What is noted of the part; None, and nothing of it left, where there is none of this URL."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            notes = json.loads(self.notes.read_text())
            if notes["url"] == _mark(url) and self.part.stat().st_size > 0:
                return {"version": notes["version"], "total": notes["total"]}
        self._forget()
        return None

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)


def _check_status(url: str, answer: Any, expected: int) -> None:
    code, said = answer.status_code, f"{answer.status_code} {answer.reason or ''}".strip()
    if code >= 500 or code in (408, 429):
        raise _Dropped(f"the server said {said}")
    if code in (401, 403):
        raise BadInput(f"{shown(url)} may not be read ({said}); expected a file you may have, so check the login.")
    if code != expected:
        raise BadInput(f"{shown(url)} is not there ({said}); expected a file, so check the address.")


def _version(answer: Any) -> str:
    """What names this version of the remote file in If-Range: a strong ETag, else the date of its last change."""
    tag = answer.headers.get("ETag", "")
    return str(tag if tag.startswith('"') else answer.headers.get("Last-Modified", ""))


def _mark(url: str) -> str:
    """Which URL a part is of, without keeping its secrets on disk."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _words(error: BaseException) -> str:
    """What lies at the bottom of an exception, short: the wrappers around it repeat the address with its secrets."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    said = getattr(error, "strerror", None) or re.sub(r"with url: \S+", "", without_secrets(str(error)))
    return " ".join(said.split())[:120].rstrip(". ") or type(error).__name__
