"""The page that `runs compare --format html` writes, in a real browser without a network."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.comparable import HOSTILE, hex_id, hostile_bundle, large_bundle

from runsync import compare_runs
from runsync.errors import WrongUsage
from runsync.extras import how_to_install
from runsync.runs.compare_page import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHARTS = ("parallel", "scatter", "contour", "curves")
LARGEST_PAGE = 10_000_000
LONGEST_TASKS = 20.0
"""Seconds of the page's own thread until the charts in sight are drawn: generous, as a busy machine stretches it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Software rendering: a container has no graphics card. Root may not have a sandbox.
        arguments = ["--enable-unsafe-swiftshader", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


class Tab:
    """An opened page, and what went wrong in it."""

    def __init__(self, browser: Any, file: Path) -> None:
        self.faults: list[str] = []
        context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
        self.tab = context.new_page()
        self.tab.on("console", lambda m: self.faults.append(m.text) if m.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("request", self._note_request)
        self.tab.on("dialog", lambda dialog: self.faults.append(dialog.message))
        self._session = context.new_cdp_session(self.tab)
        self._session.send("Performance.enable")
        self.tab.goto(file.as_uri())
        self.tab.wait_for_selector("body[data-ready]")

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.faults.append(f"asked for {request.url}")

    def wait_for_charts(self) -> None:
        for chart in CHARTS:
            self.tab.locator(f"#{chart}").scroll_into_view_if_needed()
            self.tab.wait_for_selector(f"#{chart} .main-svg")
        self.tab.wait_for_selector("#parallel canvas")

    def busy_seconds(self) -> float:
        told = self._session.send("Performance.getMetrics")["metrics"]
        return float(next(m["value"] for m in told if m["name"] == "TaskDuration"))

    def rows(self) -> list[str]:
        texts: list[str] = self.tab.locator("#table tbody tr:not(.group) th").all_inner_texts()
        return texts

    def cells(self, row: str) -> list[str]:
        line = self.tab.locator("#table tr", has=self.tab.locator(f"button[title='{row}']"))
        return [text.strip() for text in line.locator("td").all_inner_texts()]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    report = compare_runs(str(hostile_bundle(folder / "bundle")), curves=True)
    file = folder / "page.html"
    file.write_text(page.to_html(report, x="params.lr", y="metrics.auc", color="duration"), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def tab(browser: Any, small: Path) -> Iterator[Tab]:
    """One tab for all tests, which leave the table as it was: opening it costs seconds."""
    opened = Tab(browser, small)
    yield opened
    opened.tab.context.close()


def test_all_charts_are_drawn_without_a_network_and_without_an_error(tab: Tab) -> None:
    tab.wait_for_charts()
    assert "WebGL is not supported" not in tab.tab.inner_text("#parallel")
    assert tab.tab.locator("#parallel .y-axis").count() >= 3
    assert tab.tab.locator("#scatter .point").count() == 2  # one run has no finite auc
    assert tab.tab.locator("#contour .contour").count() == 1
    assert tab.tab.locator("#curves .js-line").count() >= 2
    assert tab.faults == []


def test_names_and_params_that_are_markup_stay_text(tab: Tab, small: Path) -> None:
    tab.wait_for_charts()
    assert tab.tab.evaluate("window.broken") is None
    assert tab.tab.locator("img[src=x]").count() == 0
    assert HOSTILE in tab.cells("note")[0]
    assert tab.faults == []
    text = small.read_text(encoding="utf-8")
    island = text.partition('id="values">')[2]
    assert island.index("</script>") > island.index("most_points")
    assert "\u2028" not in island


def test_the_switch_hides_what_is_equal(tab: Tab) -> None:
    assert {"optimizer", "team", "lr"} <= set(tab.rows())
    tab.tab.get_by_role("switch").click()
    assert not {"optimizer", "team", "experiment"} & set(tab.rows())
    assert "lr" in tab.rows()
    tab.tab.get_by_role("switch").click()
    assert "optimizer" in tab.rows()


def test_a_row_sorts_the_runs_by_number_and_what_is_no_number_comes_last(tab: Tab) -> None:
    tab.tab.locator("button[title=lr]").click()
    assert tab.cells("lr") == ["0.001", "0.01", "0.1"]
    tab.tab.locator("button[title=lr]").click()
    assert tab.cells("lr") == ["0.1", "0.01", "0.001"]
    assert tab.tab.locator("th[aria-sort=descending]").count() == 1
    tab.tab.locator("button[title=auc]").click()
    assert tab.cells("auc") == ["★ 0.9", "0.5", "NaN"]
    tab.tab.get_by_role("button", name="Original order").click()
    assert tab.cells("run_id") == [hex_id(2), hex_id(1), hex_id(0)]


def test_axes_and_curves_are_drawn_anew_as_they_are_chosen(tab: Tab) -> None:
    tab.wait_for_charts()
    assert "params.lr" in tab.tab.text_content("#scatter .xtitle")
    tab.tab.select_option("#x", "metrics.val_loss")
    assert "metrics.val_loss" in tab.tab.text_content("#scatter .xtitle")
    assert "metrics.val_loss" in tab.tab.text_content("#contour .xtitle")
    tab.tab.check("#x-log")
    assert tab.tab.evaluate("document.getElementById('scatter').layout.xaxis.type") == "log"
    tab.tab.check("input[name=over][value=times]")
    assert "seconds" in tab.tab.text_content("#curves .xtitle")
    assert tab.tab.locator("#metric option").all_inner_texts() == ["auc", "val_loss"]  # the third has one point
    tab.tab.select_option("#metric", "val_loss")
    assert "val_loss" in tab.tab.text_content("#curves .ytitle")
    before = tab.tab.locator("#parallel .y-axis").count()
    tab.tab.locator("#dimensions summary").click()
    tab.tab.uncheck("#dimensions input[value='params.lr']")
    tab.tab.wait_for_function(f"document.querySelectorAll('#parallel .y-axis').length === {before - 1}")
    assert tab.faults == []


def test_a_thousand_runs_open_soon_and_weigh_little(browser: Any, tmp_path: Path) -> None:
    report = compare_runs(str(large_bundle(tmp_path / "bundle")), curves=True)
    file = tmp_path / "page.html"
    file.write_text(page.to_html(report), encoding="utf-8")
    assert file.stat().st_size < LARGEST_PAGE
    opened = Tab(browser, file)
    opened.tab.wait_for_selector("#scatter .main-svg")
    assert opened.busy_seconds() < LONGEST_TASKS
    opened.wait_for_charts()
    assert "at most" in opened.tab.inner_text("#curves-hint")
    assert opened.tab.inner_text("#shown") == "1–50 of 1000"
    opened.tab.get_by_role("button", name="Runs after").click()
    assert opened.tab.inner_text("#shown") == "51–100 of 1000"
    assert opened.faults == []
    opened.tab.context.close()


def test_an_axis_that_no_run_has_is_refused(small: Path) -> None:
    report = compare_runs(str(small.parent / "bundle"))
    with pytest.raises(WrongUsage, match=r"params\.depth is no axis: none of these runs has it"):
        page.to_html(report, x="params.depth")


def test_without_plotly_it_says_what_to_install(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = compare_runs(str(small.parent / "bundle"))
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(WrongUsage, match=re.escape(how_to_install("plot"))):
        page.to_html(report)
