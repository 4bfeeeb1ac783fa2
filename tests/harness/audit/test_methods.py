"""The audit of methods: what leaks is found and the stage named, whatever way it takes; what does not is clean."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.audit.barrier import unavailable
from harness.audit.methods import TESTED, Setting, audit_method, perturbed
from harness.audit.subject import subject
from harness.datasets.simulated import write_pair
from harness.errors import BadInput
from harness.methods import methods_by_name
from harness.protocol import KFold, MaskedEntries, Preprocessing, Protocol, pose, prepare
from tests.conftest import tiny_pair
from tests.contracts.problems import METHODS

NOISE, PERMUTED, MEMORY = (
    "held-out truth: noise",
    "held-out truth: permuted",
    "another fold before, in the same process",
)
DRIVER = Path(__file__).with_name("leaky_driver.py")

needs_barrier = pytest.mark.skipif(unavailable() is not None, reason=f"no barrier here: {unavailable()}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pair(dataclasses.replace(tiny_pair(), name="leaky"), folder)
    return folder


def audited(data: Path, tmp_path: Path, variant: str, monkeypatch: pytest.MonkeyPatch, **setting):  # type: ignore[no-untyped-def]
    """The verdict, and check name -> stage of those that differ."""
    monkeypatch.setenv("SPADIT_DATA", str(data))
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.read_text().replace("TRUTH_FOLDER", str(data)))
    asked = subject(f"{driver}:{variant}", METHODS)
    found = audit_method(asked, "leaky", [data], Setting(split=KFold(3), **setting))
    return found.verdict, {check.name: check.stage for check in found.checks if check.verdict != "clean"}


@needs_barrier
@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("released sampler", {NOISE: "prediction", PERMUTED: "prediction"}),
        pytest.param("opens the data folder", {NOISE: "prediction", PERMUTED: "prediction"}, marks=pytest.mark.slow),
        ("remembers", {MEMORY: "prediction"}),
        pytest.param(
            "stops early on test genes", {NOISE: "fit, report", PERMUTED: "fit, report"}, marks=pytest.mark.slow
        ),
    ],
)
def test_a_method_that_leaks_is_found_and_the_stage_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str, expected: dict[str, str]
) -> None:
    verdict, differing = audited(data, tmp_path, variant, monkeypatch)

    assert verdict == "leak"
    assert set(differing) == set(expected)
    assert all(stage.startswith(expected[name]) for name, stage in differing.items()), differing


PLUG_IN = """
import numpy as np
from dataclasses import dataclass
from models.method import Method

@dataclass(frozen=True)
class Theirs(Method):
    def impute(self, problem, run):
        return np.repeat(problem.spots.lognorm.mean(axis=1, keepdims=True), len(problem.targets), axis=1)
"""


@pytest.mark.slow
@needs_barrier
def test_a_method_of_another_installed_package_is_audited_by_its_name(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(PLUG_IN)
    facts = tmp_path / "theirs-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[spadit.methods]\ntheirs = theirs:Theirs\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    found = audit_method(subject("Theirs", methods_by_name()), "leaky", [data], Setting(split=KFold(3)))

    assert found.verdict == "clean", found.checks


@needs_barrier
def test_a_copy_of_the_truth_from_where_no_barrier_is_shows_in_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is then the same whatever becomes of the original, so nothing else can find it."""
    pair = dataclasses.replace(tiny_pair(spots=400), name="leaky")  # enough spots that genes can be judged
    write_pair(pair, tmp_path / "data")
    np.save(tmp_path / "copy.npy", np.log1p(pair.st.values.toarray()).astype(np.float64))
    monkeypatch.setenv("SPADIT_DATA", str(tmp_path / "data"))
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.read_text().replace("COPY_OF_THE_TRUTH", str(tmp_path / "copy.npy")))

    found = audit_method(
        subject(f"{driver}:keeps a copy", METHODS), "leaky", [tmp_path / "data"], Setting(split=KFold(3))
    )

    assert found.verdict == "leak"
    assert [check.name for check in found.checks if check.verdict != "clean"] == [TESTED]
    assert "exact-copies" in found.checks[0].stage


@needs_barrier
def test_the_variant_all_genes_leaks_through_the_size_factors(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = Protocol(preprocessing=Preprocessing(normalisation="all-genes"))

    verdict, differing = audited(data, tmp_path, "spage", monkeypatch, protocol=protocol)

    assert verdict == "leak"
    assert differing[NOISE] == "size factors of the spots"


@needs_barrier
def test_a_mask_drawn_by_value_leaks_through_the_choice_of_what_is_hidden(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, differing = audited(data, tmp_path, "honest", monkeypatch, task=MaskedEntries(zeros=0.6, nonzeros=0.8))

    assert verdict == "leak"
    assert differing[NOISE].startswith("which genes are visible")


@needs_barrier
@pytest.mark.parametrize("task", [None, MaskedEntries(share=0.7)])
def test_an_honest_method_is_clean(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task) -> None:  # type: ignore[no-untyped-def]
    more = {} if task is None else {"task": task}

    assert audited(data, tmp_path, "honest", monkeypatch, sampling_rate=0.5, **more) == ("clean", {})


@needs_barrier
def test_a_method_that_differs_from_itself_is_not_called_a_leak(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict, differing = audited(data, tmp_path, "unsteady", monkeypatch)

    assert verdict == "not reproducible"
    assert differing["the same run once more"] == "prediction"


@needs_barrier
def test_a_method_cannot_leave_notes_for_its_next_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="Permission"):
        audited(data, tmp_path, "notes", monkeypatch)

    assert not (data / "notes").exists()


def test_a_driver_inside_the_data_it_hides_is_refused(data: Path) -> None:
    inside = data / "leaky" / "driver.py"
    inside.write_text(DRIVER.read_text())
    try:
        with pytest.raises(BadInput, match="move it elsewhere"):
            audit_method(subject(f"{inside}:honest", METHODS), "leaky", [data])
    finally:
        inside.unlink()


def test_an_unknown_subject_gets_the_nearest_names(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean spage"):
        subject("spagee", METHODS)
    with pytest.raises(BadInput, match="did you mean honest"):
        subject(f"{DRIVER}:onest", METHODS)


@pytest.mark.parametrize("kind", ["noise", "permuted"])
@pytest.mark.parametrize("task", [None, MaskedEntries(share=0.7)])
def test_a_perturbed_copy_differs_in_what_is_hidden_and_nowhere_else(kind: str, task) -> None:  # type: ignore[no-untyped-def]
    pair = tiny_pair()
    data = prepare(pair, Protocol())
    problem, truth = pose(data, KFold(3), 1, task=task)

    other = perturbed(pair, truth, kind)

    hidden = np.zeros(pair.st.values.shape, dtype=bool)
    columns = pair.st.columns(truth.genes)
    hidden[np.ix_(np.arange(len(pair.st)), columns)] = True
    if truth.scored is not None:
        hidden[:, columns] = False
        hidden[np.ix_(truth.spots, columns)] = truth.scored
    before, after = pair.st.values.toarray(), other.st.values.toarray()
    assert (before[~hidden] == after[~hidden]).all()
    assert (before[hidden] != after[hidden]).mean() > 0.3
    again, _ = pose(prepare(other, Protocol(), data.frame), KFold(3), 1, task=task)
    assert (again.spots.lognorm == problem.spots.lognorm).all()
    if kind == "permuted" and task is None:
        assert (np.sort(before[:, columns], axis=0) == np.sort(after[:, columns], axis=0)).all()


@needs_barrier
def test_behind_the_barrier_neither_python_nor_a_c_library_reads_the_hidden_folder(tmp_path: Path) -> None:
    for name in ("hidden", "open", "scratch"):
        (tmp_path / name).mkdir()
    write_pair(dataclasses.replace(tiny_pair(), name="p"), tmp_path / "hidden")
    (tmp_path / "open/link.h5ad").symlink_to(tmp_path / "hidden/p/st.h5ad")
    code = f"""
from pathlib import Path
from harness.audit.barrier import seal
t = Path({str(tmp_path)!r})
seal([t / "hidden"], t / "scratch")
import h5py, subprocess
def can(act):
    try: return bool(act())
    except OSError: return False
print([can(f) for f in (
    lambda: (t / "hidden/p/st.h5ad").read_bytes(),
    lambda: h5py.File(t / "hidden/p/st.h5ad"),
    lambda: (t / "open/link.h5ad").read_bytes(),
    lambda: subprocess.run(["cat", str(t / "hidden/p/st.h5ad")], capture_output=True).stdout,
    lambda: (t / "open/new").write_text("x"),
    lambda: (t / "scratch/new").write_text("x"),
    lambda: Path(h5py.__file__).read_bytes(),
)])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert ran.stdout.strip() == "[False, False, False, False, False, True, True]", ran.stderr
