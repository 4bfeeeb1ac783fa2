"""Connecting: what is there is said, what is not there is refused at once, and a Ray open to anybody is remarked on."""

from __future__ import annotations

import json
import time

import pytest

from harness.cluster.connection import Connection, _remarks, connected
from harness.cluster.nodes import Node, signature
from harness.cluster.resources import Resources
from harness.cluster.shipping import runtime_environment
from harness.errors import BadInput


def test_an_address_where_nobody_listens_is_refused_at_once() -> None:
    start = time.monotonic()

    with (
        pytest.raises(BadInput, match=r"Nothing answers at 127\.0\.0\.1:1"),
        connected(Resources(address="127.0.0.1:1")),
    ):
        pass

    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("token", "address", "remarked"),
    [(False, "10.0.0.5", True), (True, "10.0.0.5", False), (False, "127.0.0.1", False)],
)
def test_a_ray_that_others_reach_and_that_asks_for_no_token_is_remarked_on(
    monkeypatch: pytest.MonkeyPatch, token: bool, address: str, remarked: bool
) -> None:
    import ray
    from ray._private.authentication import authentication_utils

    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeManagerAddress": address}])
    monkeypatch.setattr(authentication_utils, "is_token_auth_enabled", lambda: token)

    assert any("RAY_AUTH_MODE=token" in remark for remark in _remarks()) is remarked


def test_a_ray_that_does_not_start_is_one_sentence_and_not_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(**given: object) -> None:
        raise Exception("The current node timed out during startup.")  # as Ray does on a busy machine

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    said = r"a local Ray: The current node timed out.*run the same again\."
    with pytest.raises(BadInput, match=said), connected(Resources()):
        pass


def test_a_head_without_processors_is_no_working_node() -> None:
    there = Connection((Node("head", {}, {}), Node("a", {"CPU": 2.0}, {}, (8, 16)), Node("b", {"CPU": 1.0}, {})))

    assert there.working == 2
    assert there.cards == [8, 16]


def test_what_a_job_has_set_is_not_set_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"runtime_env": {"working_dir": "gcs://x", "env_vars": {"A": "theirs"}}}
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", json.dumps(job))

    with runtime_environment({"A": "ours", "B": "ours"}, "auto") as environment:
        assert environment == {"env_vars": {"B": "ours"}}


def test_the_code_that_is_shipped_is_all_of_ours_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    with runtime_environment({}, "auto") as environment:
        shipped = Path(environment["working_dir"])
        assert {path.name for path in shipped.iterdir()} == {"harness", "models", "reports", "experiments"}
        assert (shipped / "harness/cluster/worker.py").exists()
        assert not list(shipped.rglob("*.pyc"))


def test_the_signature_of_this_process_says_what_numbers_depend_on() -> None:
    found = signature()

    assert {"python", "torch", "numpy", "scipy", "ray", "code of the harness"} <= set(found)
    assert "+" not in found["torch"]  # a build for cards and one without compute the same
