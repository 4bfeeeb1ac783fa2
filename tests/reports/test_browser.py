"""The page in a real browser: it sorts, filters and copies, its console is silent, and it asks nothing of a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.reports.programs import program


@pytest.fixture(scope="module")
def opened(written: Path) -> Iterator[tuple[Page, list[str], list[str]]]:
    """The golden page, what its console said, and what it asked for."""
    chromium = program("chromium", "chromium", "google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((written / "index.html").as_uri())
        yield page, said, asked
        browser.close()


@pytest.fixture
def page(opened: tuple[Page, list[str], list[str]]) -> Page:
    return opened[0]


def column(page: Page, table: str, place: int) -> list[str]:
    return page.locator(f"{table} tbody tr:not(.rule) > :nth-child({place})").all_inner_texts()


def test_a_click_on_a_heading_sorts_numbers_by_size_and_a_second_one_turns_them(page: Page) -> None:
    table = "#genes-browser table"
    heading = page.locator(f"{table} thead th", has_text="PCC").locator("button")
    place = page.locator(f"{table} thead th").all_inner_texts().index("PCC ↑") + 1

    heading.click()
    falling = [float(text) for text in column(page, table, place)]
    heading.click()
    rising = [float(text) for text in column(page, table, place)]

    assert falling == sorted(falling, reverse=True)
    assert rising == sorted(rising)
    assert falling[0] > rising[0]


def test_a_table_of_scores_sorts_within_its_groups_and_keeps_what_has_no_number_last(page: Page) -> None:
    table = "section:has(#accuracy_score) table.sortable >> nth=0"
    page.locator(table).locator("thead button").nth(1).click()
    body = page.locator(table).locator("tbody").first

    sizes = body.locator("tr > td:nth-child(2)").evaluate_all("cells => cells.map(cell => cell.dataset.sort)")

    numbers = [float(size) for size in sizes if size]
    assert numbers == sorted(numbers, reverse=True)
    assert [bool(size) for size in sizes] == sorted((bool(size) for size in sizes), reverse=True)


def test_a_search_and_a_choice_leave_the_rows_that_match_both(page: Page) -> None:
    browser = page.locator("#genes-browser")
    browser.locator(".find").fill("gene007")
    browser.locator("select", has=page.locator("option", has_text="MG")).first.select_option(label="MG")

    rows = browser.locator("tbody tr").all_inner_texts()
    assert rows
    assert all("gene007" in row and "MG" in row for row in rows)
    assert f"{len(rows)} of {len(rows)} rows" in browser.locator(".count").inner_text()

    browser.locator(".find").fill("no such gene")
    assert browser.locator("tbody tr").count() == 0
    browser.locator(".find").fill("")


def test_a_gene_named_like_a_script_is_shown_as_its_name(page: Page) -> None:
    browser = page.locator("#genes-browser")
    browser.locator(".find").fill("alert(2)")

    assert "<script>alert(2)</script>" in browser.locator("tbody tr").first.inner_text()
    browser.locator(".find").fill("")


def test_the_button_copies_the_latex_of_its_table(page: Page, written: Path) -> None:
    source = page.locator("section:has(#accuracy_score) details.source").first
    source.locator("summary").click()
    source.locator("button.copy").click()
    source.get_by_text("copied").wait_for()

    copied = page.evaluate("navigator.clipboard.readText()")
    body = copied[copied.index("\\begin{table") :].strip()
    assert body in (written / "accuracy_score.tex").read_text()


def test_every_control_is_reached_by_the_keyboard(page: Page) -> None:
    page.locator("#genes-browser .find").focus()
    seen = set()
    for _ in range(4):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName"))

    assert {"SELECT", "DIV"} <= seen or {"SELECT", "BUTTON"} <= seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background_in_both_schemes(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).slice(0, 3).map(Number)")
        for name in ("color", "backgroundColor")
    )

    assert contrast(ink, paper) > 7  # WCAG 2, level AAA


def contrast(a: list[int], b: list[int]) -> float:
    """WCAG 2.2's contrast ratio of two sRGB colours."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[int]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_console_stays_silent_and_nothing_is_asked_of_a_network(
    opened: tuple[Page, list[str], list[str]], written: Path
) -> None:
    _, said, asked = opened

    assert said == []
    assert asked == [(written / "index.html").as_uri()]
