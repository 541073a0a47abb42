"""Which version of the suite is this?

`__version__`: the one place that says it; pyproject.toml, `--version` and run.json take it from here.
"""

__version__ = "0.9.0"
