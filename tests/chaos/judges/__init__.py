"""The promises, as pure functions over recorded facts: each returns what it found against one of them.

Here belongs what can be decided from facts alone, with made-up ones in `tests/unit/chaos`. How facts are
gathered does not (`chaos.recorder`). All times are Unix seconds.
"""
