"""How do tests look at a page in a real browser?"""

from __future__ import annotations

import shutil
from pathlib import Path

PROGRAMS = ("chromium", "chromedriver")
NO_BROWSER = f"{' or '.join(PROGRAMS)} is missing; as root: apt-get install chromium chromium-driver"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def browser_is_installed() -> bool:
    return all(shutil.which(name) for name in PROGRAMS)


def open_browser(profile: Path, *, size: tuple[int, int] = (1200, 900), dark: bool = False):
    """A headless Chromium with a profile of its own."""
    from selenium import webdriver

    assert browser_is_installed(), NO_BROWSER
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    scheme = "--blink-settings=preferredColorScheme=" + ("0" if dark else "1")
    window = f"--window-size={size[0]},{size[1]}"
    for flag in (*FLAGS, f"--user-data-dir={profile}", window, scheme):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
