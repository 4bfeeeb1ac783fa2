"""A web server on this machine whose faults are arranged, and which remembers what it was asked and what it sent."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FileServer:
    """files: path -> content. ranges, etag, if_range, length: what the server supports or says.

    faults: what happens to the next requests, one each, then nothing.
    A fault is a status ("500"), "cut:N" (the connection drops after N bytes), "stall:N" (nothing more comes after N
    bytes), or "silent" (not even headers come).
    """

    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    ranges: bool = True
    etag: bool = True
    if_range: bool = True
    length: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)
    sent: int = 0
    address: str = ""
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    """Serve on 127.0.0.1 while the block runs."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": server}))
    web.daemon_threads = True
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.address = f"http://127.0.0.1:{web.server_port}"
    try:
        yield server
    finally:
        server.closing.set()
        web.shutdown()
        thread.join()
        web.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: FileServer

    def do_GET(self) -> None:
        state, path = self.state, self.path.partition("?")[0]
        asked = self.headers.get("Range")
        state.asked.append((path, asked))
        state.conditions.append(self.headers.get("If-Range"))
        fault, _, after = (state.faults.pop(0) if state.faults else "").partition(":")
        if path in state.redirects:
            self.send_response(302)
            self.send_header("Location", state.redirects[path])
            self.end_headers()
            return
        if fault.isdigit() or path not in state.files:
            self.send_error(int(fault or 404))
            return
        self._send(state.files[path], asked, fault, int(after or 0))

    def _send(self, content: bytes, asked: str | None, fault: str, after: int) -> None:
        state, tag, start = self.state, f'"{hash(content)}"', 0
        fresh = state.etag and state.if_range and self.headers.get("If-Range") not in (None, tag)
        span = re.fullmatch(r"bytes=(\d+)-", asked or "")
        if span is not None and state.ranges and not fresh:
            start = int(span[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
        if fault == "silent":
            state.closing.wait(10)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if state.etag:
            self.send_header("ETag", tag)
        if state.length:
            self.send_header("Content-Length", str(len(content) - start))
        for name, value in state.headers.items():
            self.send_header(name, value)
        self.end_headers()
        body = content[start:] if not fault else content[start : start + after]
        self.wfile.write(body)
        self.wfile.flush()
        state.sent += len(body)
        if fault == "stall":
            state.closing.wait(10)
        elif fault == "cut":
            time.sleep(0.05)  # what was sent arrives before the connection goes
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
