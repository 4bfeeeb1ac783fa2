"""`spadit methods`: everything on disk, and other packages' methods; a broken plug-in breaks nothing."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from harness import methods
from harness.errors import BadInput
from harness.methods import PLUG_INS
from harness.views.methods import method_facts, one_method, print_one_method
from tests.toys import VisibleMean


def offer(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    points = [EntryPoint("theirs", value, PLUG_INS)]
    monkeypatch.setattr(methods, "entry_points", lambda group: points if group == PLUG_INS else [])


def test_every_file_that_defines_a_method_is_listed_with_its_defaults() -> None:
    facts = {fact["name"]: fact for fact in method_facts()}

    assert {"spadit", "spage", "gene_mean", "low_rank_ridge", "transformer", "flash_attention"} <= set(facts)
    assert facts["spage"]["parameters"]["neighbours"] == 50
    assert facts["spadit"]["needs"] == {"randomness": True}
    assert [name for name, fact in facts.items() if fact["joint"]] == ["gimvi", "spatialscope", "stdiff"]


def test_one_method_is_described_with_all_that_its_parts_can_be(capsys: pytest.CaptureFixture[str]) -> None:
    facts = one_method("SPADIT")

    assert facts["kind"] == "model"
    assert set(facts["choices"]) < set(facts["parameters"])
    classes = {field: {choice["class"] for choice in choices} for field, choices in facts["choices"].items()}
    assert classes["backbone"] == {"Transformer", "UNet", "Mamba", "BlindMLP"}
    assert {"DDPM", "DDIM"} < classes["sampler"]
    assert {"FullMask", "EntryMask"} == classes["masking"]

    print_one_method(facts)
    said = capsys.readouterr().out
    assert facts["doc"].splitlines()[0] in said
    assert "EntryMask" in said


def test_a_part_is_described_and_an_unknown_name_gets_the_nearest() -> None:
    assert one_method("unet")["choices"] == {}
    with pytest.raises(BadInput, match="did you mean tangram"):
        one_method("tangrm")


def test_a_summary_is_one_whole_sentence() -> None:
    for fact in method_facts() + [each for part in one_method("spadit")["choices"].values() for each in part]:
        assert fact["summary"].endswith("."), fact["summary"]


def test_a_method_of_another_package_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "tests.toys:VisibleMean")

    assert method_facts()[-1]["class"] == VisibleMean.__qualname__
    assert method_facts()[-1]["kind"] == "plug-in"


@pytest.mark.parametrize("value", ["no_such_package:Method", "tests.toys:note"])
def test_a_broken_plug_in_is_a_warning_that_names_it(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    offer(monkeypatch, value)

    with pytest.warns(UserWarning, match="theirs"):
        facts = method_facts()

    assert all(fact["kind"] != "plug-in" for fact in facts)
