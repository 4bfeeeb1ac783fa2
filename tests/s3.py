"""An S3 on loopback, for tests: moto in a process of its own, answering one request at a time.

moto looks whether a key is there and then writes it; of two requests at once, a condition would hold for both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECRET = "the-secret-of-the-object-store"


@contextmanager
def serving(bucket: str = "bucket") -> Iterator[dict[str, str]]:
    """A server with one empty bucket; what a process has to have in its environment to reach it, as this one has."""
    root = Path(__file__).parents[1]
    words = [sys.executable, "-m", "tests.s3"]
    server = subprocess.Popen(words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    port = server.stdout.readline().decode().strip()
    assert port, "the server of the object store does not start"
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(bucket)
        yield environment
    finally:
        server.kill()
        server.communicate()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def main() -> None:
    """Serve on a free port, which is printed, until standard input ends: with the process that started this one."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication
    from moto.server import ThreadedMotoServer

    answer, one = DomainDispatcherApplication.__call__, threading.Lock()

    def in_turn(self: Any, *request: Any) -> Any:
        with one:
            return answer(self, *request)

    DomainDispatcherApplication.__call__ = in_turn
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
