"""Other interpreters: real ones, and some that are none."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from harness.interpreters import script
from harness.waiting import until
from longwire.config import Describer
from longwire_protocol.errors import ConfigError
from longwire_protocol.version import CHILD_PROTOCOL, __version__

pytestmark = pytest.mark.timeout(300)


def described(version: str, protocol: int = CHILD_PROTOCOL) -> str:
    """Return a script that describes an interpreter without any connector."""
    return f'echo \'{{"protocol": {protocol}, "connectors": [], "version": "{version}"}}\''


def test_a_virtual_environments_python_is_asked_and_not_what_it_links_to(bare_venv: Path) -> None:
    assert bare_venv.is_symlink()

    with pytest.raises(ConfigError, match="No module named 'longwire_connectors'") as caught:
        Describer()(str(bare_venv))

    assert f"longwire {__version__} for it" in str(caught.value)
    assert f"{bare_venv} -m pip install" in str(caught.value)


def test_our_modules_are_not_lent_to_another_interpreter(bare_venv: Path) -> None:
    lent = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "PYTHONHOME": sys.base_prefix}

    with pytest.raises(ConfigError, match="No module named 'longwire_connectors'"):
        Describer(environ=lent)(str(bare_venv))


def test_connectors_are_listed_by_another_interpreter(other_python: str) -> None:
    specs = Describer()(other_python)

    assert {"lark", "dingtalk", "loopback"} <= specs.keys()
    assert specs["lark"].distribution == f"longwire {__version__}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (described("9.9"), f"it has longwire 9.9, we are {__version__}; install longwire"),
        (described(__version__, CHILD_PROTOCOL + 1), f"version {CHILD_PROTOCOL + 1} of the children's"),
        ('echo \'{"protocol": 1, "connectors": []}\'', f"it has another longwire, we are {__version__}"),
        ("echo '[]'", "it has another longwire"),  # the very first release of this helper
        ("echo Python", "what it prints is no list of connectors; install longwire"),
        ("exec sleep 60", "not done after"),
        ("exit 3", "exit status 3, without a word"),
    ],
)
def test_what_cannot_be_used_says_what_to_do(tmp_path: Path, body: str, message: str) -> None:
    python = script(tmp_path, body)
    timeout_s = 0.3 if "sleep" in body else 30.0

    with pytest.raises(ConfigError, match=message) as caught:
        Describer(timeout_s=timeout_s)(python)

    assert python in str(caught.value)


def test_what_is_no_program_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("")

    for path, message in (
        (tmp_path / "python", "Permission denied"),
        (tmp_path / "none", "No such file"),
        (tmp_path, f"{tmp_path} is a folder, not an interpreter; give its bin/python"),
    ):
        with pytest.raises(ConfigError, match=message):
            Describer()(str(path))


async def test_an_interpreter_that_hangs_is_not_waited_for_after_an_interruption(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    python = script(tmp_path, f"touch {asked}; sleep 600 & sleep 600")
    describer = Describer(timeout_s=600.0)
    asking = asyncio.create_task(asyncio.to_thread(describer, python), name="asking")

    async def is_asked() -> bool:
        return await asyncio.to_thread(asked.exists)

    await until(is_asked, what="it was started")
    describer.interrupt()
    with pytest.raises(ConfigError, match="exit status -9"):
        await asking
    with pytest.raises(ConfigError, match="interrupted"):
        describer()
