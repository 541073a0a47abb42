"""How do tests look at a page in a real browser?"""

from __future__ import annotations

import shutil
from pathlib import Path

INSTALL = "apt-get install -y chromium chromium-driver"
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


def open_browser(profile: Path, *, size: tuple[int, int] = (1200, 900), dark: bool = False):
    """A headless Chromium with a profile of its own; fails with what to install where there is none."""
    from selenium import webdriver

    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    assert not missing, f"{' and '.join(missing)} not found: {INSTALL}"
    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    scheme = "--blink-settings=preferredColorScheme=" + ("0" if dark else "1")
    window = f"--window-size={size[0]},{size[1]}"
    for flag in (*FLAGS, f"--user-data-dir={profile}", window, scheme):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(found["chromedriver"]))
