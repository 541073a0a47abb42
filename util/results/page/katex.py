"""What sets the formulas of a page, and where is it found?

Call `find_katex`. KaTeX is one file of an installed package, of which nothing else is used; it is no part of
the suite, and a page does without it.
"""

from __future__ import annotations

import hashlib
from importlib import metadata

PACKAGE, VERSION = "sphinxcontrib-katex", "0.9.11"  # requirements/page.txt
FILE = "sphinxcontrib/katex.min.js"
SHA256 = "e8d885505949f3a5f4abdd5dd0d53696bd1371ad26ffbf4f310dcd77c8cdae89"
NAME = "KaTeX 0.16.22"
HOLDER = "Copyright (c) 2013-2020 Khan Academy and other contributors"
INSTALL = f"pip install --no-deps {PACKAGE}=={VERSION}"


def find_katex() -> str | None:
    """The script with its licence, or None unless the very file that this suite was tested with is there."""
    try:
        package = metadata.distribution(PACKAGE)
        script = package.locate_file(FILE).read_bytes()  # type: ignore[attr-defined]
        licence = package.read_text("licenses/LICENSE") or ""
    except (metadata.PackageNotFoundError, OSError):
        return None
    permission = licence[licence.find("Permission is hereby granted") :].strip()
    if hashlib.sha256(script).hexdigest() != SHA256 or not permission.startswith("Permission"):
        return None
    # Both are under the MIT licence, so its text is that of the package, under the name of KaTeX's authors.
    return f"/*! {NAME}. {HOLDER}. The MIT License.\n\n{permission}\n*/\n{script.decode('utf-8')}\n"
