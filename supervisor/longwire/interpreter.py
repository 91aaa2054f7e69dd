"""Another Python than ours, that runs children of its own: how it is started, and what it must have.

It is named by its path, `None` being our own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from longwire_protocol.version import CHILD_PROTOCOL, __version__

_OUR_OWN: Final = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})
"""Where our own Python finds its modules: another one would import them in the place of its own."""


def program_of(python: str | None) -> str:
    """Return the program to start."""
    return python or sys.executable


def environment_for(python: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of a child's environment is meant for this interpreter."""
    hidden = _OUR_OWN if python is not None else frozenset[str]()
    return {name: value for name, value in environment.items() if name not in hidden}


def protocol_mismatch(theirs: int, python: str | None) -> str:
    """Return why a process of another release cannot be used, and what to do."""
    versions = f"it speaks version {theirs} of the children's protocol, we speak {CHILD_PROTOCOL}"
    return versions + _remedy(python)


def version_mismatch(theirs: str | None, python: str | None) -> str:
    """Return why the connectors of another release cannot be used, and what to do.

    `theirs` is `None` where it does not say which one it is, as the first ones did not.
    """
    versions = f"it has {f'longwire {theirs}' if theirs else 'another longwire'}, we are {__version__}"
    return versions + _remedy(python)


def _remedy(python: str | None) -> str:
    """Return what to do about another release; of our own interpreter, our files were replaced under us."""
    return ": restart us" if python is None else install_hint(python)


def install_hint(python: str | None) -> str:
    """Return what to do for an interpreter without our connectors; nothing for our own, which has them."""
    if python is None:
        return ""
    return (
        f"; install longwire {__version__} for it, as README says, with its own pip: "
        f"{python} -m pip install '.[all]'"
    )
