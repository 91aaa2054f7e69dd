"""The benchmarks: measures, their baselines, and the table. `run.py` beside this package is the command.

A new row is a function in a module of `measures` and its line in `catalogue`. What a measure starts beside
the product (the plain SDK, the raw pipeline, the floor) are programs of their own in `../programs`, so that
each has an interpreter to itself. Nothing here asserts a time: machines differ, ratios are read by people.
"""
