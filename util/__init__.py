"""Which version of the suite is this, and what comes first in its commands?

`__version__`: the one place that says it; pyproject.toml, `--version` and run.json take it from here.
`hold_signals`: what a script calls before it imports anything else.
"""

from __future__ import annotations

__version__ = "0.9.0"


def hold_signals() -> None:
    """Let the signals that end a command wait until `cli.main` can say so: imports take a while."""
    import signal

    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1))
