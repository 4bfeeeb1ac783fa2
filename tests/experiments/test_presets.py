"""The presets are the paper's supplementary Table 1, and every dataset of the paper has its row in listings."""

from __future__ import annotations

from experiments.presets import TABLE_1
from harness.views.data import listing_facts

PRINTED = """
MG    512   32  1000  3000  32  1024  3e-4  0.4  0.3  3
MH    512   32  1000  4000  16  2048  2e-6  0.3  0.1  2
MHPR  1024  16  2000  3000  8   1024  1e-4  0.1  0.2  3
MVC   1024  64  2000  4000  64  1024  3e-6  0.3  0.2  4
MHM   1024  64  2000  4000  64  1024  3e-6  0.3  0.2  4
HBC   1024  64  2000  4000  64  1024  3e-6  0.3  0.2  4
ME    256   8   1000  2000  32  2048  2e-5  0.2  0.3  5
MPMC  256   8   1000  2000  32  2048  2e-5  0.2  0.3  5
MC    256   8   1000  2000  32  2048  2e-5  0.2  0.3  5
ML    256   8   1000  2000  32  2048  2e-5  0.2  0.3  5
"""


def test_every_value_is_the_printed_one() -> None:
    rows = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in PRINTED.strip().splitlines()}

    assert list(TABLE_1) == list(rows)
    for name, preset in TABLE_1.items():
        assert list(preset.to_json().values()) == rows[name]


def test_a_listing_shows_of_each_of_the_papers_datasets_what_is_known_and_its_preset() -> None:
    facts = {fact["name"]: fact for fact in listing_facts([])}

    for name, preset in TABLE_1.items():
        assert facts[name]["preset"] == preset.to_json()
        assert not facts[name]["present"]
        for known in ("technology", "tissue", "organism", "source", "size"):
            assert facts[name]["facts"][known]
    assert facts["pbmc_tissue"]["preset"] is None
