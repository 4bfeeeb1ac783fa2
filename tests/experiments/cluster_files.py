"""The files of experiments/clusters as tests read them: their text, the commands in it, and programs that only note."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLUSTERS = ROOT / "experiments" / "clusters"
FILES = ("ray-up.yaml", "kuberay-job.yaml", "slurm.sh")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

HERE = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def text(name: str) -> str:
    return (CLUSTERS / name).read_text()


def commands(name: str, program: str) -> list[list[str]]:
    """The command lines of a program in the comments of a file: those that begin a line there, or follow `&&`, `;`."""
    comments = "\n".join(line.strip()[1:] for line in text(name).splitlines() if line.strip().startswith("#"))
    found = []
    for line in re.sub(r"\\\n\s*", "", comments).splitlines():
        line = re.sub(r"^ *(Edit|Data|Auth|Submit|Watch|Go on) ", "", line)
        for part in re.split(r";|&&", re.sub(r"\s{2,}\(.*\)$|\s*> /dev/null", "", line)):
            if command := re.match(rf"\s*(?:\w+=\S+\s+)*({program}\s.*)", part):
                found.append(shlex.split(command[1]))
    return found


def check(root: Any, words: list[str]) -> None:
    """Parse a command line down to the last subcommand, and run nothing; raises for a wrong one."""
    command = root
    while subcommands := getattr(command, "commands", None):
        assert words, f"{command.name} needs a subcommand"
        assert words[0] in subcommands, f"{command.name} has no subcommand {words[0]}"
        command, words = subcommands[words[0]], words[1:]
    command.make_context(command.name, list(words))


def check_ours(words: list[str]) -> None:
    """Parse a command line of `spadit`, and what a command makes of its options before it starts."""
    import typer

    from harness.cli import app
    from harness.cluster.resources import gpus

    assert words[0] == "spadit"
    check(typer.main.get_command(app), words[1:])
    if "--gpus-per-trial" in words:
        gpus(words[words.index("--gpus-per-trial") + 1])


NOTE = """
import json, os, sys
with open("{calls}", "a") as file:
    file.write(json.dumps({{"words": sys.argv[1:], "environment": dict(os.environ)}}) + "\\n")
"""
"""A program that notes how it was called."""


def program(path: Path, source: str) -> Path:
    """A Python program, ready to be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)
    return path


def noted(calls: Path) -> list[dict[str, Any]]:
    """The calls that `NOTE` noted."""
    return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []
