"""How are untrusted programs run so that nothing they do matters?

Call `require_isolation` before a run, then `warm_sandbox().run(...)` for each program. `control` and
`parent` are the grader's side; `zygote`, `driver` and `layers` run on the other side of the wall and import
nothing of ours but each other and `wire`, the language that both sides speak.
"""

from util.grading.sandbox.control import require_isolation
from util.grading.sandbox.parent import (
    START_S,
    TIERS,
    Isolation,
    Limits,
    Program,
    Sandbox,
    SandboxError,
    TestOutcome,
    discard_sandbox,
    isolation,
    warm_sandbox,
)

__all__ = [
    "START_S",
    "TIERS",
    "Isolation",
    "Limits",
    "TestOutcome",
    "Program",
    "Sandbox",
    "SandboxError",
    "discard_sandbox",
    "isolation",
    "require_isolation",
    "warm_sandbox",
]
