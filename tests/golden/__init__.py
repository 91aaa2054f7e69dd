"""Golden files: a platform's payload, and the event that is made of it.

`lark/*.json` and `dingtalk/*.json`, one object each:

    source   where the shape of the payload is from
    given    the payload as the platform pushes it; for DingTalk the whole frame, its `data` decoded
    event    what a client sees of it, but for `raw`, which is the payload again ...
    blanked  ... except for these places, which read `[redacted]`

`tests/unit/test_golden.py` walks all of them. After a change that is meant to alter events,

    cd tests && python -m golden

rewrites `event` and `blanked`, and never `source` or `given`: `git diff tests/golden` is what the change does
to each event, for a reviewer to read. A new case is a new file with `source` and `given`, and the same
command.
"""
