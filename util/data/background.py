"""How is something done beside the rest of a command that nobody waits for when that ends, as a download?

Call `begin`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")


def begin(work: Callable[[], Result]) -> Future[Result]:
    """Do `work` in a thread of its own: those of a pool are waited for at the end of the process, whatever
    ends it, and what a library waits for inside hears no signal."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
