"""The client: a REPL in a terminal, a line filter in a pipe, and a background process that moves files."""
