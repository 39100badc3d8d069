"""The study report in a browser: nothing to load, nothing to complain of, everything visible and accessible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from paraspinal_assets.report.study_report import study_report
from paraspinal_assets_tests.browser.chromium import chromium, needs_chromium, new_page
from paraspinal_assets_tests.report import tables as study

pytestmark = [pytest.mark.slow, needs_chromium]


@dataclass(frozen=True)
class Opened:
    """A page that was opened, what it asked for, and what the browser said about it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(study_report(study.study_tables(), study.INFO).html, encoding="utf-8")
    with chromium() as browser:
        opened = Opened(new_page(browser))
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.messages.append(message.text))
        opened.page.on("pageerror", lambda error: opened.messages.append(str(error)))
        opened.page.goto(Path(path).as_uri())
        opened.page.wait_for_load_state("networkidle")
        yield opened


def test_the_page_asks_for_nothing_and_the_browser_has_nothing_to_say(opened: Opened) -> None:
    assert opened.requests == [opened.page.url]
    assert opened.messages == []


def test_every_figure_is_visible_and_draws_something(opened: Opened) -> None:
    figures = opened.page.locator("figure")
    assert figures.count() > 10
    for figure in figures.all():
        drawing = figure.locator("svg, img").first  # contact sheets are pictures
        box = drawing.bounding_box()
        assert drawing.is_visible()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 100
        if figure.locator("svg").count():
            assert drawing.locator("path, rect, line, circle, polyline").count() > 3
        else:
            assert drawing.evaluate("image => image.naturalWidth") > 0
        assert figure.locator("figcaption").inner_text()


def test_no_text_leaves_the_page_on_a_small_screen(opened: Opened) -> None:
    opened.page.set_viewport_size({"width": 480, "height": 800})
    try:
        wide = opened.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    finally:
        opened.page.set_viewport_size({"width": 1400, "height": 900})
    assert wide <= 0


def test_axe_finds_no_accessibility_violation(opened: Opened) -> None:
    found = Axe().run(opened.page)
    assert found.violations_count == 0, found.generate_report()
