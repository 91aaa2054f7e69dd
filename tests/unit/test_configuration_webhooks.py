"""`[webhooks]`: what a target may be, where its secrets come from, and how commands lie over it."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.configuration import one, problems, read
from longwire.config import Overlay, Secret
from longwire.config.overlay import pinned
from longwire.config.webhooks import references
from longwire.courier.target import MAX_TARGETS, MAX_TARGETS_PER_TENANT

URL = "https://crm.example/hook"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_bmV4dC1zZWNyZXQtb2YtMzItYnl0ZXMtLi4uLi4uLi4="


def file(**tables: Any) -> dict[str, Any]:
    return {"webhooks": tables}


def crm(**more: Any) -> dict[str, Any]:
    return file(crm={"url": URL, **more})


class TestRead:
    def test_a_url_is_enough(self) -> None:
        webhook = read(crm()).webhooks["crm"]
        assert (webhook.target.name, webhook.target.url) == ("crm", URL)
        assert (webhook.tenant, webhook.target.secrets, webhook.secret_values()) == (None, (), ())
        assert (webhook.max_attempts, webhook.retry_initial_s) == (50, 5.0)

    def test_every_key_counts(self) -> None:
        keys = {
            "tenant": "acme",
            "accounts": ["a"],
            "types": ["message.created"],
            "order": "none",
            "format": "cloudevents-batch",
            "batch_size": 10,
            "latest_wins": "chat.id",
            "connect_timeout_s": 1,
            "read_timeout_s": 5,
            "concurrency": 2,
            "redirects": 1,
            "breaker_open_s": 3,
            "allow_http": True,
            "allow_private": True,
            "max_attempts": 3,
            "give_up_after_s": 60,
            "retry_initial_s": 1,
            "retry_max_s": 2,
        }
        webhook = read(crm(**keys)).webhooks["crm"]
        lists = {"accounts": ("a",), "types": ("message.created",)}
        for key, value in keys.items():
            found = getattr(webhook, key, None) or getattr(webhook.target, key)
            assert found == lists.get(key, value)

    def test_secrets_come_from_where_they_are_kept_and_are_told_to_the_log(self) -> None:
        given = crm(secret=["env:NEW", OTHER], headers={"Authorization": "file:token", "X-Env": "prod"})
        config = read(given, environ={"NEW": SECRET}, files={"/srv/bots/token": "Bearer abcdefghijk\n"})
        webhook = config.webhooks["crm"]
        assert webhook.target.secrets == (SECRET, OTHER)
        assert webhook.target.headers == {"Authorization": "Bearer abcdefghijk", "X-Env": "prod"}
        assert {*config.secret_values()} == {SECRET, OTHER, "Bearer abcdefghijk", "abcdefghijk"}
        assert SECRET not in repr(webhook)

    def test_the_secrets_of_accounts_are_among_those_of_the_configuration(self) -> None:
        values = {**one(), **crm(secret=SECRET)}
        assert {*read(values).secret_values()} == {"s3cret-value", SECRET}

    def test_one_secret_needs_no_array(self) -> None:
        assert read(crm(secret=SECRET)).webhooks["crm"].target.secrets == (SECRET,)
        assert read(crm(secret=Secret(SECRET))).webhooks["crm"].target.secrets == (SECRET,)


class TestMistakes:
    def test_each_has_its_place(self) -> None:
        found = problems(
            file(
                crm={
                    "url": "http://crm.example",
                    "colour": "red",
                    "secret": "hunter2",
                    "headers": {"Host": "x", "X-A": 1, "X-B": "env:NOBODY"},
                    "order": "random",
                    "max_attempts": 0,
                    "retry_initial_s": 9,
                    "retry_max_s": 1,
                },
                **{"bad name": {"url": URL}},
                empty={},
                odd=3,
            )
        )
        assert found.keys() == {
            "webhooks.crm.url",
            "webhooks.crm.colour",
            "webhooks.crm.secret",
            "webhooks.crm.headers.Host",
            "webhooks.crm.headers.X-A",
            "webhooks.crm.headers.X-B",
            "webhooks.crm.order",
            "webhooks.crm.max_attempts",
            "webhooks.crm.retry_max_s",
            "webhooks.bad name",
            "webhooks.empty.url",
            "webhooks.odd",
        }
        assert not any("hunter2" in message for message in found.values())

    @pytest.mark.parametrize(("key", "value"), [("secret", [1]), ("secret", "env:NOBODY"), ("headers", "x")])
    def test_what_is_no_such_value_is_refused(self, key: str, value: object) -> None:
        assert problems(crm(**{key: value})).keys() == {f"webhooks.crm.{key}"}

    def test_there_are_bounds_in_all_and_for_each_tenant(self) -> None:
        many = {f"t{n}": {"url": URL} for n in range(MAX_TARGETS + 1)}
        assert "1000 are possible" in problems(file(**many))["webhooks"]
        many = {f"t{n}": {"url": URL, "tenant": "acme"} for n in range(MAX_TARGETS_PER_TENANT + 1)}
        assert "a tenant may have 100" in problems(file(**many))["webhooks"]


class TestLayers:
    OVERLAY = Overlay(section="webhooks")

    def test_commands_lie_over_the_file(self) -> None:
        values = {**one(), **crm(tenant="acme")}
        overlay = self.OVERLAY.updated("crm", {"tenant": "other"}).added("new", {"url": URL})
        config = read(overlay.laid_over(values))
        assert {name: webhook.tenant for name, webhook in config.webhooks.items()} == {
            "crm": "other",
            "new": None,
        }
        assert list(config.accounts) == ["acme"]
        assert read(overlay.removed("crm", file=values).laid_over(values)).webhooks.keys() == {"new"}
        assert overlay.kept_over(one()).hows() == {"new": "added"}

    def test_a_mistake_of_a_command_says_so(self) -> None:
        overlay = self.OVERLAY.added("new", {"url": "x"})
        with pytest.raises(Exception) as caught:  # noqa: PT011  # its problems are looked at
            read(overlay.laid_over({}))
        (problem,) = overlay.blamed(caught.value.problems)  # type: ignore[attr-defined]  # of ConfigError
        assert problem.message.endswith("this webhook was added by command")

    def test_the_change_of_one_reads_no_secret_of_another(self) -> None:
        values = {**file(a={"url": URL, "secret": "env:A", "headers": {"X-A": "env:A"}}, b={"url": URL})}
        config = read(values, environ={"A": SECRET})
        again = pinned(values, config, except_for=("webhooks", "b"))
        assert read(again).webhooks == config.webhooks
        assert pinned(values, config, except_for=("webhooks", "a"))["webhooks"]["a"]["secret"] == "env:A"
        assert pinned(one(), read(one()), except_for=("accounts", "acme")) == one()


def test_what_may_stand_for_a_secret_is_found_wherever_it_may_be() -> None:
    tables = {
        "a": {"secret": "vault:a", "headers": {"X": "vault:b", "Y": 1}, "url": "vault:no"},
        "b": {"secret": ["vault:c", 2], "headers": 3},
        "c": 4,
    }
    assert list(references(tables)) == ["vault:a", "vault:b", "vault:c"]
    assert list(references(None)) == []
