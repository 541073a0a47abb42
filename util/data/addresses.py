"""Where do rows lie that a flag names: in a file here, or in a data set of the hub?

Call `read_address` for problems of one's own and `read_field` for one text of a data set.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from util.data.files import READERS
from util.errors import UserError

SCHEME = "hf://datasets/"
SUFFIXES = (*READERS,)
_NAME = r"(?P<path>[^/@:#]+/[^/@:#]+)(?:@(?P<revision>[^/:#]+))?"
_ROWS = re.compile(rf"{SCHEME}{_NAME}(?::(?:(?P<config>[^/#]+)/)?(?P<split>[^/#]+))?")
_FIELD = re.compile(rf"{SCHEME}{_NAME}(?:/(?P<file>[^#]+))?#(?P<field>.+)")


@dataclass(frozen=True)
class Address:
    """Rows that somebody named: a file, or one split of a data set of the hub."""

    path: str  # the whole path of a file, or ORG/NAME
    revision: str | None = None  # a commit, branch or tag; None: a file, or what `main` is
    config: str | None = None
    split: str | None = None

    @property
    def is_file(self) -> bool:
        return os.path.isabs(self.path)

    @property
    def name(self) -> str:
        """What the rows are called in results and folders."""
        if self.is_file:
            return Path(self.path).name
        return "--".join(filter(None, [*self.path.split("/"), self.config]))

    def __str__(self) -> str:
        if self.is_file:
            return self.path
        parts = "/".join(filter(None, [self.config, self.split]))
        revision = f"@{self.revision}" if self.revision else ""
        return f"{SCHEME}{self.path}{revision}" + (f":{parts}" if parts else "")


@dataclass(frozen=True)
class Field:
    """One text of a data set: a field of the first row of a file."""

    path: str
    revision: str | None
    file: str | None  # None: the first one there
    field: str


def is_address(text: str) -> bool:
    """Whether a text means rows at a place rather than the name of a benchmark."""
    return text.startswith("hf://") or text.lower().endswith(SUFFIXES) or os.sep in text


def read_address(text: str) -> Address:
    """The rows that a text names. Raises UserError where it is neither a file of rows nor a data set."""
    if text.startswith("hf://"):
        match = _ROWS.fullmatch(text)
        if match is None:
            raise UserError(
                f"{text} names no data set: write {SCHEME}ORG/NAME, with @REVISION and :CONFIG/SPLIT behind "
                "it where they matter"
            )
        return Address(match["path"], match["revision"], match["config"], match["split"])
    if not text.lower().endswith(SUFFIXES):
        raise UserError(f"{text} is no file of rows: its name has to end in {', '.join(SUFFIXES)}")
    path = os.path.abspath(os.path.expanduser(text))
    if not os.path.isfile(path):
        raise UserError(f"there is no file {path}: check the path")
    return Address(path)


def read_field(flag: str, text: str) -> Field:
    """The text of a data set that a flag names."""
    match = _FIELD.fullmatch(text)
    if match is None:
        raise UserError(
            f"{flag} {text} is not a field of a data set: write {SCHEME}ORG/NAME#FIELD, such as "
            f"{SCHEME}NovaSky-AI/Sky-T1_data_17k#system"
        )
    return Field(match["path"], match["revision"], match["file"], match["field"])
