"""Links lead somewhere, files that the pages name are there, and the README's index has every page."""

import re

import pytest

from paraspinal_assets_tests.docs.pages import FENCE, PAGES, ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(r"`((?:[\w.-]+/)+[\w-]+\.(?:py|yaml|csv|md|json))`")
FOLDERS = [ROOT, ROOT / "paraspinal_assets", ROOT / "paraspinal_assets_tests"]
NOT_SHIPPED = {"my-study/study.yaml", "paraspinal_assets/imaging/spine_length.py"}


def anchors(page):
    """Names of the headings as Markdown viewers make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name}: {target}"
        assert there.is_relative_to(ROOT), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_named_are_there(page):
    for name in set(FILE.findall(FENCE.sub("", page.read_text()))) - NOT_SHIPPED:
        assert any((folder / name).exists() for folder in FOLDERS), f"{page.name}: {name}"


def test_the_readme_lists_every_page_once():
    listed = re.findall(r"^\| \[[^]]*\]\((docs/[^)#]+)\)", (ROOT / "README.md").read_text(), re.MULTILINE)
    there = [f"docs/{path.name}" for path in (ROOT / "docs").iterdir() if path.suffix in {".md", ".ipynb"}]
    assert sorted(listed) == sorted(there)
