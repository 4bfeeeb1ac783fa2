"""Curves and results as TensorBoard reads them: one run per trial, named by its variant, dataset, fold and seed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import BadInput
from harness.reading.uri import shown


class Board:
    """Writes what workers tell: its validation score over the per cent that is done, then its means.

    folder: a local folder. labels: trial id -> "label · dataset · fold · seed".
    """

    def __init__(self, folder: str | Path, labels: Mapping[str, str]) -> None:
        if "://" in str(folder):
            raise BadInput(f"TensorBoard logs go to a local folder, not to {shown(folder)}; give one.")
        if find_spec("tensorboardX") is None:
            raise BadInput(
                "TensorBoard logs need a package that is not installed; run pip install 'spadit-harness[tensorboard]'."
            )
        self.folder = str(folder)
        self.labels = labels
        self._open: dict[str, Any] = {}

    def told(self, message: Mapping[str, Any]) -> None:
        """Take a message of a worker (`worker.work`); only those about scores leave a mark."""
        if message.get("validation") is not None:
            step = round(100 * message["share"])
            self._writer(message["trial"]).add_scalar("validation", message["validation"], step)
        elif message.get("status") == "ok":
            writer = self._writer(message["trial"])
            for name, value in message["means"].items():
                if value is not None:
                    writer.add_scalar(f"test/{name}", value)
            writer.add_scalar("seconds", message["seconds"])
            writer.close()
            del self._open[message["trial"]]
        elif "status" in message and message["trial"] in self._open:
            self._open.pop(message["trial"]).close()

    def close(self) -> None:
        """Write what is open to the end."""
        for writer in self._open.values():
            writer.close()
        self._open = {}

    def _writer(self, trial_id: str) -> Any:
        from tensorboardX import SummaryWriter

        if trial_id not in self._open:
            parts = [re.sub(r"[^\w.+=-]+", "_", part).strip("._") or "_" for part in self.labels[trial_id].split(" · ")]
            self._open[trial_id] = SummaryWriter("/".join([self.folder.rstrip("/"), *parts]))
        return self._open[trial_id]
