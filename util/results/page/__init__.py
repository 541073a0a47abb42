"""How do runs become something one can read and send on: a page, a comparison, an explanation, a command?

Call `page.write_report`; `gather` reads the runs, `charts` draws.
"""
