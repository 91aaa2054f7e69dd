"""The metrics of a supervisor, for Prometheus: what `longwire metrics` prints and serves.

What belongs here: which metrics there are (`catalogue`), what of the status each is about (`records`), the
families made of both (`families`), and the HTTP server (`server`). What does not: asking the supervisor, as
the verb does like any client; and anything that the supervisor itself imports.
"""
