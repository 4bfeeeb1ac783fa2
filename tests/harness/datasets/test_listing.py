"""Datasets by name: what is listed, what is found in a user's folders, and what the refusals say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.datasets import known, listing, load, present
from harness.datasets.simulated import simulate, write_pair
from harness.errors import BadInput

PAPER = {"MG", "MH", "MHPR", "MVC", "MHM", "HBC", "ME", "MPMC", "MC", "ML"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_pair(simulate(20, 15, 12, name="mine"), tmp_path / "data")
    return tmp_path / "data"


def archive_layout(pair: Path) -> None:
    for half in ("sc", "st"):
        (pair / half).mkdir()
        (pair / f"{half}.h5ad").rename(pair / half / f"{pair.name}_{half}.h5ad")


def test_the_papers_ten_and_the_bundled_pair_are_always_listed() -> None:
    entries = {entry.name: entry for entry in listing()}
    assert set(entries) == PAPER | {"pbmc_tissue"}
    assert entries["pbmc_tissue"].present
    for name in PAPER:
        assert not entries[name].present
        assert f"D/{name}/sc.h5ad" in entries[name].reason


def test_facts_that_no_source_states_are_marked_as_inferred() -> None:
    datasets = known()
    assert datasets["MH"].facts.text("technology") == "seqFISH [inferred]"
    assert datasets["MHPR"].facts.text("technology") == "MERFISH"
    for name in PAPER:
        facts = datasets[name].facts
        assert facts.technology
        assert facts.source
        assert "http" not in facts.source


def test_pairs_are_found_in_both_layouts(data: Path) -> None:
    before = load("mine", [data])
    archive_layout(data / "mine")
    assert load("mine", [data]).id == before.id
    entry = present("mine", [data])
    assert entry.present
    assert entry.where == str((data / "mine").resolve())


def test_a_folder_that_is_itself_a_pair_is_named_after_itself(data: Path) -> None:
    assert load("mine", [data / "mine"]).name == "mine"
    archive_layout(data / "mine")
    assert [entry.name for entry in listing([data / "mine"]) if entry.present] == ["pbmc_tissue", "mine"]


def test_the_papers_datasets_are_present_where_their_files_are(data: Path) -> None:
    (data / "mine").rename(data / "MG")
    entry = present("MG", [data])
    assert entry.present
    assert "seqFISH" in entry.title
    assert load("MG", [data]).name == "MG"


def test_a_half_pair_is_listed_with_what_it_lacks(data: Path) -> None:
    (data / "mine" / "st.h5ad").unlink()
    entry = present("mine", [data])
    assert not entry.present
    assert "has no st.h5ad" in entry.reason
    with pytest.raises(BadInput, match=r"has no st\.h5ad"):
        load("mine", [data])


def test_an_unknown_name_gets_the_nearest_ones(data: Path) -> None:
    with pytest.raises(BadInput, match=r"did you mean .*mine"):
        load("mien", [data])
    with pytest.raises(BadInput, match="pbmc_tissue"):
        load("pbmc-tissue")


def test_a_known_but_absent_dataset_says_which_files_go_where() -> None:
    with pytest.raises(BadInput, match=r"D/HBC/sc\.h5ad and D/HBC/st\.h5ad .* Wu et al"):
        load("HBC")


def test_a_folder_without_a_pair_is_refused_with_the_layout(tmp_path: Path) -> None:
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name, words in (("empty", "has no pair"), ("file", "is a file"), ("none", "does not exist")):
        with pytest.raises(BadInput, match=words) as caught:
            listing([tmp_path / name])
        assert "D/NAME/sc.h5ad" in str(caught.value)


def test_a_name_in_two_folders_is_refused_naming_both(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "other")
    with pytest.raises(BadInput, match="expected each name once") as caught:
        load("mine", [data, tmp_path / "other"])
    assert str(data) in str(caught.value)
    assert str(tmp_path / "other") in str(caught.value)


def test_the_same_folder_twice_is_one_folder(data: Path) -> None:
    assert load("mine", [data, data / ".." / "data"]).name == "mine"


def test_a_folder_may_not_take_the_name_of_a_bundled_dataset(data: Path) -> None:
    (data / "mine").rename(data / "pbmc_tissue")
    with pytest.raises(BadInput, match="name of a bundled one"):
        listing([data])


def test_a_name_that_is_not_safe_is_refused_and_bars_no_other(data: Path) -> None:
    write_pair(simulate(20, 15, 12, name="other"), data)
    (data / "mine").rename(data / "my tissue; rm")
    (entry,) = (each for each in listing([data]) if each.name == "my tissue; rm")
    assert not entry.present
    assert "letters, digits" in entry.reason
    with pytest.raises(BadInput, match="letters, digits"):
        load("my tissue; rm", [data])
    assert load("other", [data]).name == "other"


def test_a_pair_without_a_folder_of_its_own_is_told_to_get_one(data: Path) -> None:
    for half in ("sc", "st"):
        (data / "mine" / f"{half}.h5ad").rename(data / f"brain_{half}.h5ad")
    with pytest.raises(BadInput, match=r"give brain_sc\.h5ad and brain_st\.h5ad a folder of their own"):
        listing([data])


@pytest.mark.parametrize("halves", [("sc", "st"), ("st",)])
def test_files_of_another_name_in_the_right_folder_are_to_be_renamed(data: Path, halves: tuple[str, ...]) -> None:
    write_pair(simulate(20, 15, 12, name="other"), data)
    for half in halves:
        (data / "mine" / f"{half}.h5ad").rename(data / "mine" / f"my_{half}.h5ad")
    with pytest.raises(BadInput, match="rename") as caught:
        load("mine", [data])
    assert "my_st.h5ad" in str(caught.value)
    shutil.rmtree(data / "other")
    if len(halves) == 2:
        with pytest.raises(BadInput, match=r"rename mine/my_sc\.h5ad and mine/my_st\.h5ad"):
            listing([data])


def test_without_a_data_folder_the_refusal_says_how_to_give_one() -> None:
    with pytest.raises(BadInput, match=r"--data FOLDER or \$SPADIT_DATA.*: pbmc_tissue, "):
        load("my_tissue", [])


def test_a_bad_file_is_refused_by_its_path(data: Path) -> None:
    (data / "mine" / "st.h5ad").write_text("no")
    with pytest.raises(BadInput, match=r"mine/st\.h5ad is no HDF5 file"):
        load("mine", [data])
