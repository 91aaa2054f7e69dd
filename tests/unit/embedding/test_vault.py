"""What the host's vault is asked, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from longwire.config import Secret
from longwire.config.secrets import UnresolvableSecret
from longwire.embedding.vault import Vault, Vaults

TIMEOUT_S = 30.0


def fetched(vault: Vault, *written: object, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    accounts = {f"account-{n}": {"connector": "lark", "app_secret": text} for n, text in enumerate(written)}
    return Vaults({"vault": vault}, timeout_s=timeout_s).fetch({"accounts": accounts})


def test_each_reference_of_the_scheme_is_asked_for_once_and_nothing_else() -> None:
    asked: list[str] = []

    def vault(name: str) -> str:
        asked.append(name)
        return f"secret of {name}"

    found = fetched(vault, "vault:acme/lark", "vault:acme/lark", "env:X", "vaulted", 7, "other:x")
    assert found == {"vault:acme/lark": Secret("secret of acme/lark")}
    assert asked == ["acme/lark"]


def test_an_async_vault_has_a_loop_that_is_not_the_hosts() -> None:
    loops: list[object] = []

    async def vault(name: str) -> str:
        loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return name

    assert fetched(vault, "vault:a", "vault:b") == {"vault:a": Secret("a"), "vault:b": Secret("b")}
    assert len(set(map(id, loops))) == 2


def test_a_vault_that_fails_says_so_without_a_secret() -> None:
    def vault(name: str) -> Any:
        if name == "number":
            return 7
        raise KeyError(name, "access_token=hunter2")

    found = fetched(vault, "vault:acme", "vault:number")
    assert isinstance(found["vault:acme"], UnresolvableSecret)
    text = str(found["vault:acme"])
    assert text == "the host's vault failed: KeyError: ('acme', 'access_token=[redacted]')"
    assert str(found["vault:number"]) == "the host's vault failed: TypeError: a int is no secret, a str is"


def test_a_vault_that_hangs_is_given_up_and_in_the_end_not_asked_any_more() -> None:
    asked: list[str] = []
    free = threading.Event()

    def vault(name: str) -> str:
        asked.append(name)
        free.wait()
        return name

    try:
        found = fetched(vault, *(f"vault:{n:02}" for n in range(40)), timeout_s=0.01)
    finally:
        free.set()
    assert len(found) == 40
    assert str(found["vault:00"]) == "the host's vault gave no answer within 0.01 s"
    assert str(found["vault:39"]) == "the host's vault still has not answered earlier questions"
    assert len(asked) == 32


@pytest.mark.parametrize("scheme", ["env", "file", "", "Vault", "a:b", "1a"])
def test_a_scheme_that_cannot_be_is_refused(scheme: str) -> None:
    with pytest.raises(ValueError, match="is no scheme"):
        Vaults({scheme: str}, timeout_s=1.0)


def test_tables_that_are_none_are_left_to_the_checks() -> None:
    vaults = Vaults({"vault": str}, timeout_s=1.0)
    assert vaults.fetch({}) == {}
    assert vaults.fetch({"accounts": 7}) == {}
    assert vaults.fetch({"accounts": {"acme": "vault:x"}}) == {}
