"""The installed command, run as an operator would, and looked at from outside."""
