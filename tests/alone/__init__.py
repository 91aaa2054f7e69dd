"""The plain SDKs, put through what the scenarios do to Longwire: `python tests/alone [ROW...]`.

The programs are what the SDKs' own documents show. What was seen is in docs/scenarios.md and in the tests'
docstrings, behind «Alone:».
"""
