"""How do runs become something one can read and send on: a page, a comparison, an explanation, a command?

Call `page.write_report`; `gather` reads the runs, `charts` draws.
"""

PAGE_SAMPLES = 10_000  # most samples in the list of a page, unless somebody says otherwise
PAGE_MB = 25  # most megabytes of it
