"""The version of the distribution and of the two wire protocols."""

__version__ = "0.1.0"

CLIENT_PROTOCOL = 1
"""Version of the client protocol; `hello` carries it. Grows when an old client would misread a new frame."""

CHILD_PROTOCOL = 3
"""Version of the frames between parent and child; a child with another one is refused at its hello."""
