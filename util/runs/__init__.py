"""How does one run folder lie on disk, and how is it read and written?"""
