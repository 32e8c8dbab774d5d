"""The server: a supervisor and the processes that it keeps running (acceptor, workers, manager, logger)."""
