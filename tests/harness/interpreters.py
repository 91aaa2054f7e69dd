"""Other interpreters for tests: virtual environments, made as an operator makes them."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]

OTHER_VERSIONS = {
    "lark-oapi": "1.4.24",  # the oldest that we support
    "dingtalk-stream": "0.24.4b1",  # newer than what a plain `pip install` takes: a pre-release
    "websockets": "13.1",  # of the oldest major version that we support; the tests' own has the newest
}
"""What is installed in the other environment; the tests' own has the versions that pip chooses."""

_INSTALL_S = 240


def bare(folder: Path) -> Path:
    """Make a virtual environment with nothing in it; return its interpreter."""
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


def with_other_versions(folder: Path) -> Path:
    """Make one with this project and `OTHER_VERSIONS`; return its interpreter."""
    python = bare(folder)
    pins = [f"{name}=={version}" for name, version in OTHER_VERSIONS.items()]
    install(str(python), "--editable", f"{ROOT}[all]", *pins)
    return python


def install(python: str, *what: str) -> None:
    """Install packages for an interpreter, by the pip of the one that runs the tests."""
    options = ["--quiet", "--disable-pip-version-check", "--no-compile"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", *options, *what],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def script(folder: Path, body: str) -> str:
    """Make an executable that takes the place of an interpreter; return its path."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)
