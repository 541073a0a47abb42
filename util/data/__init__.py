"""Which rows and problems, from the hub or from files, and with which labels and system messages?

Call `rows.open_rows` and `rows.problems`; `hub` fetches, `files` reads, `difficulty` labels.
"""
