"""What a person does in the Dagster UI of a study that is built: look at the graph and at results, rebuild a scan."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from playwright.sync_api import Locator, Page

from paraspinal_assets.defs.instance import environment, study_instance
from paraspinal_assets.defs.rules import asset_rules
from paraspinal_assets.defs.workspace import Workspace
from paraspinal_assets_tests.browser.chromium import chromium, needs_chromium, new_page
from paraspinal_assets_tests.browser.screenshot import GROUPS, node, open_graph
from paraspinal_assets_tests.browser.site import Site, user_interface
from paraspinal_assets_tests.defs.automation.daemon import built_since, wait_for
from paraspinal_assets_tests.defs.conftest import built_once

__all__ = ["built_once"]

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def page(built_once: Path) -> Iterator[Page]:
    # Ends with the module: while Playwright is at work, its event loop is that of the whole process.
    with chromium() as browser:
        yield new_page(browser)


@pytest.fixture(scope="module")
def site(page: Page, built_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("ui") / "study"
    shutil.copytree(built_once, root)
    with pytest.MonkeyPatch.context() as patch:
        for name in environment(Workspace.open(root / "study.yaml")):
            patch.setenv(name, "")
        with user_interface(root) as running:
            yield running


@pytest.fixture
def instance(site: Site) -> Iterator[DagsterInstance]:
    with study_instance(Workspace.open(site.root / "study.yaml")) as opened:
        yield opened


def entry(page: Page, key: str) -> Locator:
    """The row of a metadata entry."""
    return page.locator("tr", has=page.get_by_text(key, exact=True))


def picture(page: Page, key: str, alt: str) -> tuple[int, int]:
    """Width and height of the picture behind a metadata entry, once it is drawn."""
    entry(page, key).get_by_text("[Show Markdown]").click()
    shown = page.get_by_role("img", name=alt)
    shown.wait_for()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=shown.element_handle())
    width, height = shown.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    page.keyboard.press("Escape")
    return width, height


def out_of_date(site: Site) -> set[str]:
    """Tables that Dagster itself calls out of date; it knows each input's version, and not the study file."""
    query = {"query": "{ assetNodes { assetKey { path } staleStatus } }"}
    request = urllib.request.Request(f"{site.url}/graphql", json.dumps(query).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=600) as answer:
        nodes = json.load(answer)["data"]["assetNodes"]
    stale = {node["assetKey"]["path"][0] for node in nodes if node["staleStatus"] != "FRESH"}
    return {name for name in stale if not asset_rules()[name].partitioned}


def test_the_graph_shows_the_groups(page: Page, site: Site) -> None:
    open_graph(page, site.url)
    places = {group: node(page, group).bounding_box() for group in GROUPS}
    left = [place["x"] for place in places.values() if place is not None]
    assert len(left) == len(GROUPS)
    assert left == sorted(left)  # in reading order
    node(page, "measurement").click()
    node(page, "scan_muscle").wait_for()


def test_a_scans_page_shows_its_picture(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/assets/quality?view=partitions&partition=exam5-1001")
    assert entry(page, "verdict").inner_text().split() == ["verdict", "accepted"]
    assert min(picture(page, "picture", "quality picture")) > 100


def test_a_tables_page_shows_its_rows_its_columns_and_its_picture(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/assets/cohort?view=overview")
    rows = entry(page, "preview of cohort").locator("table")
    rows.get_by_text("1001", exact=True).wait_for()
    assert rows.get_by_text("attenuation", exact=True).is_visible()
    page.get_by_text("Median muscle attenuation over all levels, both sides, at baseline [HU]").wait_for()
    assert min(picture(page, "flow", "flow of participants")) > 100


def test_one_stale_partition_is_built_from_the_ui_and_nothing_else(
    page: Page, site: Site, instance: DagsterInstance
) -> None:
    assert out_of_date(site) == set()
    with (site.root / "review.csv").open("a") as decisions:
        decisions.write("1003,exam5,reject,reader-a,motion\n")
    before = instance.event_log_storage.get_maximum_record_id() or 0
    known = set(instance.get_run_ids())
    page.goto(f"{site.url}/assets/quality?view=partitions&partition=exam5-1003")
    assert entry(page, "verdict").inner_text().split() == ["verdict", "accepted"]
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Launch 1 run").click()

    def ended() -> bool:
        runs = [run for run in instance.get_runs() if run.run_id not in known]
        return bool(runs) and all(run.is_finished for run in runs)

    wait_for(ended, "the run", site.root)
    (run,) = [run for run in instance.get_runs() if run.run_id not in known]
    assert run.status is DagsterRunStatus.SUCCESS
    assert built_since(instance, list(asset_rules()), before) == {"quality": ["exam5-1003"]}
    assert out_of_date(site) == {"scans", "contact_sheets"}
    page.reload()
    assert entry(page, "verdict").inner_text().split() == ["verdict", "rejected"]
    assert entry(page, "why").inner_text().split() == ["why", "study", "file:", "review", "changed"]
    assert [line for line in site.log.read_text().splitlines() if "WARNING" in line or "ERROR" in line] == []
