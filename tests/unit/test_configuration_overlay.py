"""What commands change of the accounts, as a layer over the file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.configuration import BASE, OTHER, problems, read
from longwire.config import Overlay, Secret
from longwire.config.overlay import accounts_of, pinned
from longwire_protocol.errors import Problem

FILE: dict[str, Any] = {
    "defaults": {"stop_timeout_s": 2},
    "accounts": {
        "one": {"connector": "lark", "app_id": "cli_1", "app_secret": "s3cret-one"},
        "two": {"connector": "lark", "app_id": "cli_2", "app_secret": "s3cret-two"},
    },
}
SMALLER = {"accounts": {"two": FILE["accounts"]["two"]}}
THREE = {"connector": "lark", "app_id": "cli_3", "app_secret": Secret("s3cret-three")}


def names(overlay: Overlay, file: dict[str, Any] = FILE) -> list[str]:
    return list(overlay.laid_over(file)["accounts"])


class TestLayers:
    def test_nothing_said_is_the_file(self) -> None:
        assert Overlay().laid_over(FILE) == FILE
        assert Overlay().laid_over({}) == {"accounts": {}}

    def test_an_added_account_stands_behind_those_of_the_file_and_has_its_defaults(self) -> None:
        config = read(Overlay().added("three", THREE).laid_over(FILE))

        assert list(config.accounts) == ["one", "two", "three"]
        assert config.accounts["three"].settings.stop_timeout_s == 2
        assert config.accounts["three"].options["app_secret"] == Secret("s3cret-three")

    def test_an_update_lays_its_keys_over_those_of_the_file(self) -> None:
        overlay = Overlay().updated("one", {"link_timeout_s": 9}).updated("one", {"nice": 3})
        config = read(overlay.laid_over(FILE)).accounts["one"]

        assert (config.settings.link_timeout_s, config.settings.nice) == (9, 3)
        assert config.options["app_id"] == "cli_1"

    def test_a_key_of_the_file_can_be_taken_away_and_given_back(self) -> None:
        file = {"accounts": {"one": {**FILE["accounts"]["one"], "nice": 3}}}
        without = Overlay().updated("one", {"nice": None})
        again = without.updated("one", {"nice": 4})

        assert read(without.laid_over(file)).accounts["one"].settings.nice == 0
        assert read(again.laid_over(file)).accounts["one"].settings.nice == 4

    def test_an_update_of_an_added_account_is_part_of_it(self) -> None:
        overlay = Overlay().added("three", {**THREE, "nice": 3}).updated("three", {"nice": None})

        assert overlay.entries["three"].table == THREE
        assert overlay.hows() == {"three": "added"}

    def test_a_removed_account_of_the_file_is_hidden(self) -> None:
        overlay = Overlay().updated("one", {"nice": 3}).removed("one", file=FILE)

        assert names(overlay) == ["two"]
        assert overlay.hows() == {"one": "removed"}

    def test_a_removed_account_of_a_command_is_forgotten(self) -> None:
        assert Overlay().added("three", THREE).removed("three", file=FILE) == Overlay()

    def test_a_hidden_account_can_be_added_anew_without_its_old_keys(self) -> None:
        overlay = Overlay().removed("one", file=FILE).added("one", {"connector": "dingtalk"})

        assert names(overlay) == ["one", "two"]
        assert overlay.laid_over(FILE)["accounts"]["one"] == {"connector": "dingtalk"}

    def test_the_file_and_earlier_overlays_are_left_as_they_are(self) -> None:
        first = Overlay().updated("one", {"nice": 3})
        before = repr((FILE, first))
        first.updated("one", {"nice": 4}).removed("two", file=FILE).laid_over(FILE)

        assert repr((FILE, first)) == before


class TestAnotherFile:
    def test_what_was_said_about_its_accounts_is_forgotten_with_them(self) -> None:
        overlay = (
            Overlay().updated("one", {"nice": 3}).removed("two", file=FILE).added("three", THREE)
        ).kept_over(SMALLER)

        assert overlay.hows() == {"two": "removed", "three": "added"}
        assert names(overlay, SMALLER) == ["three"]

    def test_an_added_account_stays_what_it_is_when_the_file_has_one_of_its_name(self) -> None:
        overlay = Overlay().added("two", THREE).kept_over(FILE)

        assert read(overlay.laid_over(FILE)).accounts["two"].options["app_id"] == "cli_3"

    @pytest.mark.parametrize("accounts", ["none", 3, {"one": 3}])
    def test_a_file_that_is_wrong_is_left_to_the_checks(self, accounts: object) -> None:
        overlay = Overlay().updated("one", {"nice": 3})

        assert problems(overlay.laid_over({"accounts": accounts}))
        assert accounts_of({}) == {}


class TestChecks:
    def test_mistakes_have_the_places_of_the_file(self) -> None:
        overlay = Overlay().added("three", {"connector": "lark", "app_id": "cli_1", "nice": 99, "typo": 1})

        assert set(problems(overlay.laid_over(FILE))) == {
            "accounts.three.app_id",
            "accounts.three.app_secret",
            "accounts.three.nice",
            "accounts.three.typo",
            "accounts.one.app_id",
        }

    def test_a_secret_is_taken_as_it_is_and_only_where_a_secret_belongs(self) -> None:
        literal = Overlay().updated("one", {"app_secret": Secret("env:NOWHERE")})
        config = read(literal.laid_over(FILE))
        assert config.accounts["one"].options["app_secret"] == Secret("env:NOWHERE")
        for key, secret in (("app_id", "cli_9"), ("app_secret", " "), ("app_secret", "abc")):
            overlay = Overlay().updated("one", {key: Secret(secret)})
            found = problems(overlay.laid_over(FILE))
            assert list(found) == [f"accounts.one.{key}"]
            assert secret.strip() not in found[f"accounts.one.{key}"] or not secret.strip()

    def test_problems_of_changed_accounts_say_that_a_command_changed_them(self) -> None:
        overlay = Overlay().added("three", THREE).updated("one", {"nice": 3})
        told = overlay.blamed(
            [
                Problem("accounts.three.app_id", "a"),
                Problem("accounts.one", "b"),
                Problem("accounts.one-more.app_id", "c"),
                Problem("", "d"),
            ]
        )
        assert [problem.message for problem in told] == [
            "a; this account was added by command",
            "b; this account was updated by command",
            "c",
            "d",
        ]


class TestInterpreters:
    def test_a_command_names_no_interpreter_that_the_file_does_not(self) -> None:
        overlay = Overlay().updated("one", {"python": "/opt/evil/bin/python"}).updated("two", {"python": 3})
        found = overlay.foreign_interpreters(FILE, base=BASE)

        assert [problem.place for problem in found] == ["accounts.one.python"]

    @pytest.mark.parametrize(
        "file",
        [
            {"defaults": {"python": OTHER}},
            {"connectors": {"lark": {"python": OTHER}}},
            {"accounts": {"other": {"python": "../../opt/other/bin/python"}}},
        ],
    )
    def test_it_may_name_one_that_stands_anywhere_in_the_file(self, file: dict[str, Any]) -> None:
        overlay = Overlay().added("three", {**THREE, "python": OTHER}).removed("other", file=file)

        assert overlay.foreign_interpreters(file, base=BASE) == []

    @pytest.mark.parametrize("written", ["~nobody-of-this-name/python", "a\0b"])
    def test_one_that_is_no_path_is_foreign_too(self, written: str) -> None:
        overlay = Overlay().updated("one", {"python": written})

        assert overlay.foreign_interpreters(FILE, base=BASE) != []
        assert overlay.foreign_interpreters({"defaults": {"python": written}}, base=Path("/")) == []


class TestPinned:
    def test_the_secrets_of_other_accounts_are_those_in_use_wherever_they_were_kept(self) -> None:
        file = {
            "accounts": {
                "one": {**FILE["accounts"]["one"], "app_secret": "env:ONE"},
                "two": {**FILE["accounts"]["two"], "app_secret": "env:TWO"},
            }
        }
        config = read(file, environ={"ONE": "s3cret-one", "TWO": "s3cret-two"})
        values = pinned(
            Overlay().added("three", THREE).laid_over(file), config, except_for=("accounts", "one")
        )

        again = read(values, environ={"ONE": "s3cret-new"})

        assert again.accounts["two"] == config.accounts["two"]
        assert again.accounts["one"].options["app_secret"] == Secret("s3cret-new")
        assert again.accounts["three"].options["app_secret"] == Secret("s3cret-three")
