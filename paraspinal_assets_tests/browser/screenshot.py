"""The picture of the asset graph in the README: ``make screenshot`` takes it of the demo study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import FloatRect, Locator, Page

from paraspinal_assets_tests.browser.chromium import chromium, new_page
from paraspinal_assets_tests.browser.site import user_interface

GROUPS: Final = ("ingest", "segmentation", "measurement", "cohort", "analysis", "report")
MARGIN: Final = 24
"""Pixels around the graph."""


def node(page: Page, name: str) -> Locator:
    """A group or an asset of the graph."""
    return page.locator("foreignObject").get_by_text(name, exact=True)


def open_graph(page: Page, url: str) -> None:
    """The asset graph with its groups closed."""
    page.goto(f"{url}/asset-groups")
    for group in GROUPS:
        node(page, group).wait_for()


def take(page: Page, url: str, picture: Path) -> None:
    """The graph with one group open, so that its assets are seen, and nothing around it."""
    page.set_viewport_size({"width": 1360, "height": 1400})
    open_graph(page, url)
    page.get_by_role("button", name="Hide navigation").click()
    page.get_by_role("img", name="panel_show_right").click()
    node(page, "measurement").click()
    for group in GROUPS:
        node(page, group).wait_for()
    page.mouse.move(0, 0)
    page.wait_for_timeout(3000)  # until it has stopped moving
    boxes = [box for shape in page.locator("foreignObject").all() if (box := shape.bounding_box())]
    left, top = (min(box[side] for box in boxes) - MARGIN for side in ("x", "y"))
    right = max(box["x"] + box["width"] for box in boxes) + MARGIN
    bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
    clip: FloatRect = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    page.screenshot(path=picture, clip=clip)


def main(study: Path, picture: Path) -> None:
    """Open the study's UI, take the picture, close the UI."""
    with user_interface(study.resolve()) as site, chromium() as browser:
        take(new_page(browser, scale=1.5), site.url, picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
