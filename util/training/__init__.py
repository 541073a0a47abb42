"""How do graded samples become training data?

Steps in order: `ratings`, `formatting`, `curation`, `export`; `pairs` for preferences.
"""
