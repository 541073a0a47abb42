"""How does one file of a hub repository get onto this machine, or which sentence says why not?

Call `resolve` for the commit, then `fetch` for a file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from util.data.background import begin
from util.errors import DiskTrouble, UserError
from util.terminal import say

ATTEMPTS = 5  # of anything that may pass: a lost connection, 408, 429, 5xx
FIRST_WAIT_S = 1.0  # doubled after each attempt
LONGEST_WAIT_S = 60.0  # a hub that asks to wait longer than this is told of, not waited for

Result = TypeVar("Result")


class MissingFile(UserError):
    """The repository has no such file at this commit."""


class MissingRevision(UserError):
    """The repository has no such commit, branch or tag."""


def is_commit(revision: str) -> bool:
    """Whether `revision` is a full commit, which can only ever mean one content."""
    return re.fullmatch(r"[0-9a-f]{40}", revision) is not None


def resolve(path: str, file: str, revision: str) -> str:
    """Ask the hub which commit `revision` of data set `path` is (one request, through one of its files)."""

    def ask() -> str | None:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(path, file, repo_type="dataset", revision=revision, endpoint=endpoint())
        return get_hf_file_metadata(url, endpoint=endpoint()).commit_hash

    return _known(_persistently(ask, path=path, file=file, revision=revision))


def commit_of(path: str, revision: str) -> str:
    """The full commit that a branch or tag of data set `path` is now (one request)."""

    def ask() -> str | None:
        from huggingface_hub import HfApi

        return HfApi(endpoint=endpoint()).dataset_info(path, revision=revision).sha

    instead = "download its files and name one of them"
    return _known(_persistently(ask, path=path, file="the list of files", revision=revision, instead=instead))


def _known(commit: str | None) -> str:
    if commit is None:
        raise _no_hub()
    return commit


def _no_hub() -> UserError:
    return UserError(f"{endpoint()} does not answer like a data set hub: check HF_ENDPOINT and your proxy")


def fetch(path: str, file: str, commit: str) -> Path:
    """The local copy of one file at a commit. A copy that is already here costs no request."""
    local = cached(path, file, commit)
    if local is not None:
        return local
    for _ in range(2):
        local = _download(path, file, commit)
        if is_intact(local) is not False:
            return local
        discard(local)
    raise UserError(
        f"{file} of {path} arrived damaged twice (its checksum does not fit): "
        f"try again later, or another HF_ENDPOINT than {endpoint()}"
    )


def cached(path: str, file: str, commit: str) -> Path | None:
    """The local copy of a file at a commit, if there is one."""
    _quiet()
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(path, file, repo_type="dataset", revision=commit)
    return Path(found) if isinstance(found, str) else None


def is_intact(local: Path) -> bool | None:
    """Whether a file of the cache has the content it was stored under; None where its name does not tell.

    The hub's cache names a blob after its ETag: SHA-256 of a large file, git id (SHA-1) of a small one.
    """
    blob = local.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        digest = hashlib.sha256()
    elif re.fullmatch(r"[0-9a-f]{40}", blob.name):
        digest = hashlib.sha1(b"blob %d\0" % blob.stat().st_size)
    else:
        return None
    with blob.open("rb") as data:
        return hashlib.file_digest(data, lambda: digest).hexdigest() == blob.name


def discard(local: Path) -> None:
    """Remove a file from the cache, so that it is fetched anew."""
    local.resolve().unlink(missing_ok=True)
    local.unlink(missing_ok=True)


def remembered(path: str, ref: str) -> str | None:
    """The commit that a branch or tag was resolved to when it was first used on this machine."""
    note = _ref_note(path, ref)
    return note.read_text(encoding="ascii").strip() if note.is_file() else None


def remember(path: str, ref: str, commit: str) -> None:
    """Keep which commit a branch or tag stands for, in the place where the hub's own cache keeps it."""
    note = _ref_note(path, ref)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        fresh = note.with_name(f"{note.name}.{os.getpid()}")
        fresh.write_text(commit, encoding="ascii")
        fresh.replace(note)
    except OSError as error:
        raise _explained(error, path=path, file=str(note), revision=ref) from error


def files_below(path: str, folder: str, revision: str) -> tuple[str, ...]:
    """Names of the files directly in a folder of a repository, sorted (one request)."""

    def ask() -> list[str]:
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        tree = HfApi(endpoint=endpoint()).list_repo_tree(path, folder, repo_type="dataset", revision=revision)
        return [entry.path for entry in tree if isinstance(entry, RepoFile)]

    return tuple(sorted(_persistently(ask, path=path, file=folder, revision=revision)))


def endpoint() -> str:
    """Address of the hub in use."""
    _quiet()
    from huggingface_hub import constants

    return (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")


def answers(*, within_s: float = 5.0) -> bool:
    """Whether the hub can be reached: nobody waits long for a text that can be done without."""
    from huggingface_hub import get_session
    from huggingface_hub.errors import HTTPError

    found: list[bool] = []

    def ask() -> None:
        try:
            get_session().head(endpoint())
            found.append(True)
        except (HTTPError, OSError):
            pass

    asking = threading.Thread(target=ask, daemon=True)  # names may take a minute to be unknown
    asking.start()
    asking.join(within_s)
    return bool(found)


def is_mirror() -> bool:
    """Whether HF_ENDPOINT names another hub than the default one."""
    return endpoint() != "https://huggingface.co"


def _quiet() -> None:
    """No telemetry and no warnings from the hub's client: what matters, this module says itself."""
    import logging  # its client loads it, too; --help need not wait for it

    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _ref_note(path: str, ref: str) -> Path:
    return _cache() / f"datasets--{path.replace('/', '--')}" / "refs" / ref


def _download(path: str, file: str, commit: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    resolve(path, file, commit)  # refusals are met here, before the client's own retries, which have no bound
    say(f"fetching {file} of {path} ...")
    had_bars = not are_progress_bars_disabled()
    disable_progress_bars()

    def download() -> str:
        return hf_hub_download(path, file, repo_type="dataset", revision=commit, endpoint=endpoint())

    try:
        return Path(_persistently(download, path=path, file=file, revision=commit))
    finally:
        if had_bars:
            enable_progress_bars()


def _persistently(
    action: Callable[[], Result], *, path: str, file: str, revision: str, instead: str = "give --data-dir"
) -> Result:
    """Do `action`, again after errors that may pass, at growing intervals; others become one sentence.

    `instead` is what a person without a connection can do.
    """
    _quiet()
    from huggingface_hub.errors import FileMetadataError, HTTPError, XetDownloadError

    wait_s = FIRST_WAIT_S
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return begin(action).result()  # a signal ends us whatever the hub's client waits for
        except (HTTPError, OSError, FileMetadataError, XetDownloadError) as error:
            asked_s = _asked_to_wait_s(error)
            if not _may_pass(error) or attempt == ATTEMPTS or asked_s > LONGEST_WAIT_S:
                raise _explained(error, path=path, file=file, revision=revision, instead=instead) from error
            pause_s = max(wait_s, asked_s)
            say(f"{path}: {_in_short(error)}; trying again in {pause_s:.0f} s ({attempt} of {ATTEMPTS})")
        time.sleep(pause_s)
        wait_s *= 2
    raise AssertionError("the last attempt returns or raises")


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed a little later."""
    from huggingface_hub.errors import (
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        XetDownloadError,
    )

    if isinstance(error, LocalEntryNotFoundError):
        return isinstance(error.__cause__, Exception) and _may_pass(error.__cause__)
    status = _status(error)
    if status is not None:
        return status in (408, 429) or status >= 500
    if isinstance(error, OfflineModeIsEnabled):
        return False
    if isinstance(error, (HTTPError, ConnectionError, TimeoutError, XetDownloadError)):
        return True
    return isinstance(error, OSError) and "Consistency check failed" in str(error)


def _status(error: BaseException | None) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _asked_to_wait_s(error: Exception) -> float:
    response = getattr(error, "response", None)
    value = response.headers.get("Retry-After", "") if response is not None else ""
    return float(value) if value.isdigit() else 0.0


def _in_short(error: Exception) -> str:
    status = _status(error) or _status(error.__cause__)
    if status is not None:
        return f"{endpoint()} answered {status}"
    return f"no complete answer from {endpoint()} ({type(error).__name__})"


def _explained(
    error: Exception, *, path: str, file: str, revision: str, instead: str = "give --data-dir"
) -> Exception:
    """The sentence for an error that will not pass."""
    from huggingface_hub import errors

    page = f"{endpoint()}/datasets/{path}"
    status = _status(error) or _status(error.__cause__)
    if isinstance(error, errors.GatedRepoError) and status == 403:
        return UserError(
            f"your token has no access to {path}: ask for it at {page} with the account of that token"
        )
    if isinstance(error, errors.GatedRepoError):
        return UserError(
            f"{path} is available on request only: ask for access at {page}, "
            "then log in with `hf auth login` or set HF_TOKEN"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(
            f"there is no data set {path} at {endpoint()}, or it is private: "
            "check the name, or log in with `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return MissingRevision(
            f"{path} has no revision {revision!r} at {endpoint()}: see {page}/commits/main"
        )
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        return MissingFile(
            f"{path} has no file {file} at revision {revision}: "
            f"see {page}/tree/{revision}, or choose another --revision"
        )
    if any(isinstance(one, errors.OfflineModeIsEnabled) for one in (error, error.__cause__)):
        return UserError(
            f"{file} of {path} is not on this machine and HF_HUB_OFFLINE is set: "
            f"unset it and run once with a connection, or {instead}"
        )
    if status in (401, 403):
        return UserError(
            f"{endpoint()} refused your token for {path} ({status}): log in again with `hf auth login`"
        )
    if status == 429:
        return UserError(
            f"{endpoint()} refused {file} of {path}: too many requests (429); "
            "wait a few minutes, or log in with `hf auth login` for a higher limit"
        )
    if isinstance(error, errors.FileMetadataError):
        return _no_hub()
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskTrouble(
            f"no space left for {file} of {path} in {_cache()}: make room, or set HF_HOME to another disk"
        )
    if _may_pass(error):
        return UserError(
            f"{file} of {path} could not be fetched in {ATTEMPTS} attempts ({_in_short(error)}): "
            f"check the connection and run the same command again, or {instead}"
        )
    if isinstance(error, OSError) and error.errno is not None:
        return UserError(
            f"cannot use the cache {_cache()} ({error.strerror}): set HF_HOME to a folder of your own"
        )
    if status is not None:
        return UserError(
            f"{endpoint()} answered {status} for {file} of {path}: check the name and HF_ENDPOINT"
        )
    return error
