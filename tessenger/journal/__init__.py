"""The ordered log on disk: the SQLite journal, its readers, and the text logs that are written from it."""
