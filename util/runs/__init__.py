"""How does one run folder lie on disk, and how is it read and written?

Open `folder.Run` to write and `reader.read_records` to read; `repeat` gives the command.
"""
