"""What did other suites write about samples that they made?

Call `open_logs` of `recognised.py`; each other module reads one format.
"""
