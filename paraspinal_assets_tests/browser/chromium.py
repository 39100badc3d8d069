"""Debian's Chromium without a window, driven by Playwright; nothing is downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS: Final = 120_000
"""Waits end when what they wait for is there; a busy machine must not fail a test."""
WINDOW: Final = (1400, 900)


needs_chromium: Final = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="Chromium is not installed: .ci/system-packages chromium"
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*ARGUMENTS], timeout=PATIENCE_MS
        )
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, scale: float = 1.0) -> Page:
    """A page in a profile of its own; `scale` is pixels of a picture per pixel of the page."""
    page = browser.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]}, device_scale_factor=scale)
    page.set_default_timeout(PATIENCE_MS)
    return page
