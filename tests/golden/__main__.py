"""Rewrite what the normalisers make: `cd tests && python -m golden`, then read `git diff tests/golden`."""

from golden.files import made, paths, written

for path in paths():
    path.write_text(written(made(path)), encoding="utf-8")
