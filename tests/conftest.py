"""What holds for all tests."""

from hypothesis import settings

# The same examples on every machine, so that a change fails for what it changed; with
# --hypothesis-profile search other ones.
settings.register_profile("seeded", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile("seeded")
