"""Nothing that is read can run code, nothing that is named leaves its folder, nothing that is secret is written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import Experiment, KFold, submit
from harness.cluster.tensorboard import Board
from harness.datasets.simulated import simulate, write_pair
from harness.errors import BadInput
from harness.store import Store
from harness.store.claims import Claims, Driver
from harness.store.packs import Packs
from models.controls.gene_mean import GeneMean
from tests.conftest import Spadit
from tests.test_architecture import FILES, module_name

LOADERS = {
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads", "dill.load",
    "dill.loads", "joblib.load", "marshal.load", "marshal.loads", "shelve.open", "pd.read_pickle", "pandas.read_pickle",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "eval", "exec", "os.system", "os.popen",
}  # fmt: skip
"""Calls that run code which the data may bring."""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> str:
    return next((ast.unparse(k.value) for k in call.keywords if k.arg == name), "")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_file_reads_what_could_run_code(path: Path) -> None:
    for name, call in calls(path):
        own = name == "pickle.loads" and ast.unparse(call.args[0]).startswith("pickle.dumps(")  # nobody else's bytes
        assert own or name not in LOADERS, f"{module_name(path)}, line {call.lineno}: {name}"
        assert keyword(call, "allow_pickle") in ("", "False"), f"{module_name(path)}, line {call.lineno}"
        assert keyword(call, "shell") in ("", "False"), f"{module_name(path)}, line {call.lineno}"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_torch_loads_weights_only(path: Path) -> None:
    for name, call in calls(path):
        if name in ("torch.load", "load_state", "torch.jit.load"):
            assert keyword(call, "weights_only") == "True", f"{module_name(path)}, line {call.lineno}"


EVIL = ("../../out", "/etc/out", "a/../../../out", "..", "\\\\host\\out", "out\0", "....//....//out")


@pytest.mark.parametrize("name", EVIL)
def test_no_name_that_a_store_is_asked_for_leaves_it(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "inner/S")
    claims = Claims(store.files, Driver.here("s"))

    for act in (
        lambda: store.record(name),
        lambda: store.files.write(f"trials/{name}.json", b"x"),
        lambda: store.files.create(name, b"x"),
        lambda: store.files.move("trials/a.json", name),
        lambda: claims.take(name),
        lambda: Packs(store.files).drop([name]),
        lambda: store.dataset_genes(name),
    ):
        try:
            act()
        except (BadInput, FileNotFoundError, ValueError):
            continue
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(tmp_path / "inner/S")]

    assert outside == []
    assert not Path("/etc/out.json").exists()


@pytest.mark.parametrize("name", EVIL)
def test_a_variants_label_names_no_folder_outside_the_tensorboard_logs(tmp_path: Path, name: str) -> None:
    pytest.importorskip("tensorboardX")
    board = Board(tmp_path / "logs", {"t": f"{name} · {name} · fold 0 · seed 0"})

    board.told({"trial": "t", "status": "ok", "means": {"pcc": 0.5}, "seconds": 1.0})
    board.close()

    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert written
    assert all(p.resolve().is_relative_to(tmp_path / "logs") for p in written)


@pytest.mark.ray
def test_no_secret_of_the_command_or_the_environment_is_in_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(simulate(60, 80, 30, seed=1, name="small"), tmp_path / "D")
    for name in ("AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "hidden-in-the-environment")
    command = (
        "spadit run mine --data s3://me:hidden-in-the-address@host/D --data 'https://host/D?sig=hidden-in-the-query'"
    )
    experiment = Experiment("mine", {"mean": GeneMean()}, ["small"], split=KFold(2))

    submit(experiment, tmp_path / "S", tmp_path / "D", command=command, progress=False)

    held = b"".join(path.read_bytes() for path in (tmp_path / "S").rglob("*") if path.is_file())
    assert b"spadit run mine --data s3://host/D" in held
    assert b"hidden-in" not in held


@pytest.mark.parametrize("evil", ["../evil", "a/b"])
def test_a_dataset_with_a_path_for_a_name_is_refused(spadit: Spadit, tmp_path: Path, evil: str) -> None:
    (tmp_path / "mine.py").write_text(
        "from harness import Experiment, KFold\nfrom models.controls.gene_mean import GeneMean\n"
        f"EXPERIMENT = Experiment('mine', {{'mean': GeneMean()}}, [{evil!r}], split=KFold(2))\n"
    )

    code, _, told = spadit("run", "mine.py", "--data", tmp_path, "--store", "S")

    assert code == 2
    assert "Traceback" not in told
    assert not (tmp_path / "S").exists()
