"""What a store supports: claims hold, do not hold, or cannot be told, by a rule that is stated and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from harness.store import Store
from reports.reading.claims import Claim, Instance, claims, fair_datasets
from reports.report import comparisons
from reports.writing.findings import MOST, RULE, findings
from tests.reports.stores import Plan, Variant, build, genes, qualities, row


def instance(lead: float, spread: float = 0.02, p: float = 0.001, **more: object) -> Instance:
    return Instance("here", lead, lead - spread, lead + spread, p, **more)  # type: ignore[arg-type]


def claim(*instances: Instance) -> Claim:
    return Claim("other", "variant", 1.0, instances)


@pytest.mark.parametrize(
    ("instances", "finding"),
    [
        ([instance(0.1), instance(0.05)], "holds"),
        ([instance(0.1)], "too noisy"),  # one tissue cannot support a general claim
        ([instance(-0.1)], "does not"),  # but it can refute one
        ([instance(0.1), instance(-0.05)], "does not"),
        ([instance(0.1), instance(0.05, p=0.2)], "too noisy"),
        ([instance(0.1), instance(0.05, spread=0.1)], "too noisy"),  # p says yes, the interval no
        ([instance(-0.1), instance(0.05, p=0.2)], "does not"),
        ([instance(0.001, spread=0.005), instance(0.0, spread=0.009)], "does not"),  # the same for all that matters
        ([instance(0.0, p=1.0, identical=True), instance(0.0, p=1.0, identical=True)], "does not"),
        ([instance(0.0, p=1.0, identical=True), instance(0.1)], "too noisy"),
    ],
)
def test_the_rule(instances: list[Instance], finding: str) -> None:
    assert claim(*instances).finding == finding


@given(
    st.lists(st.tuples(st.floats(-0.3, 0.3), st.floats(0.001, 0.2), st.floats(0, 1)), min_size=1, max_size=5),
)
def test_what_holds_one_way_round_never_holds_the_other_way_round(drawn: list[tuple[float, float, float]]) -> None:
    """Whichever row is called the reference, a store does not support both."""
    here = claim(*(instance(lead, spread, p) for lead, spread, p in drawn))
    turned = claim(*(instance(-lead, spread, p) for lead, spread, p in drawn))

    assert not (here.finding == "holds" and turned.finding != "does not")
    if here.finding == "too noisy" and len(drawn) > 1:
        assert turned.finding in ("too noisy", "does not")


MEANS = {"ours": 0.6, "weaker": 0.4, "stronger": 0.8, "alike": 0.6, "ridge": 0.3, "hopeless": 0.0}


def store_of(root: Path, **more: object) -> Store:
    variants = {label: Variant() for label in MEANS} | {
        "ridge": Variant(method="low_rank_ridge", control=True),
        "hopeless": Variant(method="gene_mean", control=True),
    }
    plan: dict[str, object] = {"variants": variants, "values": qualities(MEANS, spread=0.3)}
    plan |= {"datasets": {"a": genes(60), "b": genes(60)}}
    return build(root, Plan(**(plan | more)))  # type: ignore[arg-type]


def texts(store: Store) -> dict[str, str]:
    """Heading -> its bullets."""
    return {title: "\n".join(bullets) for title, _, bullets in findings(comparisons(store))}


def test_claims_are_against_the_variants_and_the_bar_and_no_other_control(tmp_path: Path) -> None:
    (comparison,) = comparisons(store_of(tmp_path / "S"))

    found = {claim.other: claim.finding for claim in claims(comparison, 1.0)}

    assert found == {"weaker": "holds", "stronger": "does not", "alike": "too noisy", "ridge": "holds"}


def test_a_lead_is_the_reference_minus_the_other_row_and_its_p_is_the_signed_rank_tests(tmp_path: Path) -> None:
    values = qualities(MEANS, spread=0.3)
    variants = {"ours": Variant(), "weaker": Variant()}
    store = store_of(tmp_path / "S", variants=variants, datasets={"a": genes(60)})
    differences = [values("ours", "a", 0, gene)["pcc"] - values("weaker", "a", 0, gene)["pcc"] for gene in genes(60)]

    ((found,),) = (each.instances for each in claims(comparisons(store)[0], 1.0))

    assert found.lead == pytest.approx(np.mean(differences))
    assert found.low < found.lead < found.high
    assert found.p == pytest.approx(wilcoxon(np.round(differences, 12)).pvalue)


@pytest.mark.parametrize("tuned", ["ours", "weaker"])
def test_a_tissue_whose_genes_chose_the_settings_of_either_row_is_no_evidence(tmp_path: Path, tuned: str) -> None:
    variants = {label: Variant(selection="tuned on these genes" if label == tuned else "") for label in MEANS}
    (comparison,) = comparisons(store_of(tmp_path / "S", variants=variants))

    found = {claim.other: claim for claim in claims(comparison, 1.0)}

    assert "weaker" not in found
    assert fair_datasets(list(found.values())) == (() if tuned == "ours" else ("a", "b"))


def test_a_metric_that_says_the_opposite_is_named_beside_the_claim(tmp_path: Path) -> None:
    def values(label: str, dataset: str, seed: int, gene: str) -> Mapping[str, float]:
        noise = qualities(dict.fromkeys(MEANS, 0.0), spread=0.02)(label, dataset, seed, gene)["pcc"] / 10
        return row(
            {"ours": 0.6, "weaker": 0.4}[label] + noise, ssim=0.5, js={"ours": 0.3, "weaker": 0.1}[label] + noise
        )

    store = store_of(tmp_path / "S", variants={"ours": Variant(), "weaker": Variant()}, values=values)

    (found,) = claims(comparisons(store)[0], 1.0)
    said = texts(store)

    assert found.finding == "holds"
    assert [each.against for each in found.instances] == [("JS",), ("JS",)]
    assert "but JS says the opposite on a and b (weaker)" in said["What holds"]


def test_every_claim_stands_under_exactly_one_heading(tmp_path: Path) -> None:
    said = texts(store_of(tmp_path / "S"))

    assert list(said) == ["What holds", "What does not", "What is too noisy to say"]
    assert RULE.startswith("A claim is")
    for label, title in {"weaker": 0, "ridge": 0, "stronger": 1, "alike": 2}.items():
        assert [bool(re.search(rf"\b{label}\b", text)) for text in said.values()] == [
            place == title for place in range(3)
        ], label
    assert "hopeless" not in "".join(said.values())


def test_each_heading_opens_with_how_many_of_all_claims_stand_under_it_and_of_what_kinds(tmp_path: Path) -> None:
    store = store_of(tmp_path / "S")
    (alike,) = (c for c in claims(comparisons(store)[0], 1.0) if c.other == "alike")
    signs = {np.sign(each.lead) for each in alike.instances}
    kinds = [signs == {1.0}, signs == {-1.0}, len(signs) > 1]  # one claim, of one kind

    assert [opening for _, opening, _ in findings(comparisons(store))] == [
        "2 of 4 claims.",
        "1 of 4 claims: the other row is better on a tissue in 1, the two are the same in 0.",
        "1 of 4 claims: in {:d} the experiment's row is ahead on every tissue, but not surely on each of two or more; "
        "in {:d} it is behind on every tissue; in {:d} neither.".format(*kinds),
    ]


def test_a_prediction_that_holds_the_truth_is_told_with_the_best_honest_row_beside_it(tmp_path: Path) -> None:
    means = MEANS | {"cheat": 0.9}
    variants = {label: Variant() for label in MEANS} | {"cheat": Variant(external=True)}
    store = store_of(tmp_path / "S", variants=variants, values=qualities(means, spread=0.1))
    cheat, best = (
        np.mean([qualities(means, 0.1)(who, "a", 0, g)["pcc"] for g in genes(60)]) for who in ("cheat", "stronger")
    )

    text = texts(store)["What does not"]

    assert f"cheat has a mean PCC of {cheat:.3f} on a (best honest row {best:.3f})" in text
    assert "above every honest row on 2 of 2" in text


def test_of_many_rows_in_the_same_state_the_nearest_are_named_and_the_others_counted_with_their_range(
    tmp_path: Path,
) -> None:
    means = {"ours": 0.8} | {f"row{i}": 0.7 - 0.1 * i for i in range(MOST + 3)}
    store = store_of(tmp_path / "S", variants={label: Variant() for label in means}, values=qualities(means, 0.05))
    (comparison,) = comparisons(store)
    leads = {claim.other: [i.lead for i in claim.instances] for claim in claims(comparison, 1.0)}
    far = [lead for label in list(means)[-3:] for lead in leads[label]]

    ((bullet,), *_) = (bullets for _, _, bullets in findings([comparison]))

    assert bullet.startswith("**demo** (2 tissues: a, b): ours is better than row0 (+0.")
    assert re.findall(r"row\d", bullet) == ["row0", "row1", "row2", "row3"]
    assert f"and 3 other rows, differences {min(far):+.3f} to {max(far):+.3f} (all in the tables below)." in bullet


def test_on_one_tissue_it_is_said_once_that_no_claim_can_hold_and_what_is_so_there(tmp_path: Path) -> None:
    store = store_of(tmp_path / "S", datasets={"a": genes(60)})

    said = texts(store)

    assert said["What holds"] == ""
    assert re.fullmatch(
        r"\*\*demo\*\* \(1 tissue: a\): one tissue can never make a claim hold; there ours is better than "
        r"weaker \(\+0\.\d+\) and ridge \(\+0\.\d+\), and it cannot be told from alike \([+-]?0\.\d+\)\.",
        said["What is too noisy to say"],
    )
    assert "ours is not better than stronger" in said["What does not"]
