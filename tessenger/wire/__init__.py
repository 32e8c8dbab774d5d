"""What travels between client and server: messages, framing, names and text. Pure."""
