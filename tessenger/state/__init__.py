"""The shared state behind the chat's port, and the credentials."""
