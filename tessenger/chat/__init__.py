"""Every rule of the chat: the ordered log's entries, what they add up to, claims, commands and who gets what. Pure."""
