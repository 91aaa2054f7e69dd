"""Secrets from the host's own vault: `SCHEME:NAME` in an account, and a callback of the host that knows them.

The callback blocks as long as it likes: each question has a thread of its own, and a deadline. One that is
not answered is a mistake of the configuration, like an environment variable that is not set: what was to be
changed is not, and every account goes on with the secret it has.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from itertools import islice
from typing import Any, cast

from longwire.config.secrets import Fetched, Secret, UnresolvableSecret
from longwire.config.webhooks import references
from longwire.logger import redaction

Vault = Callable[[str], str | Awaitable[str]]
"""Returns the secret of a name; an async one runs on a loop of its own."""

_AT_ONCE = 8
"""Questions at once: few enough for any vault, and a thousand accounts at 50 ms each take 6 s."""

_MOST_HANGING = 32
"""Threads that may be left behind in questions without an answer, before no other one is asked."""

_MAX_TEXT = 200
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_RESERVED = frozenset({"env", "file"})


class Vaults:
    """Asks the host.

    Args:
        sources: by scheme, who knows the secrets of it.
        timeout_s: how long each answer may take.

    Raises:
        ValueError: a scheme cannot be used.
    """

    def __init__(self, sources: Mapping[str, Vault], *, timeout_s: float) -> None:
        for scheme in sources:
            if _SCHEME.fullmatch(scheme) is None or scheme in _RESERVED:
                raise ValueError(f"{scheme!r} is no scheme: lower-case letters first, and not env or file")
        self._sources = dict(sources)
        self._timeout_s = timeout_s
        self._hanging: set[_Question] = set()

    def fetch(self, values: Mapping[str, Any]) -> dict[str, Fetched]:
        """Return what each reference in accounts and webhooks stands for, or why that is not known.

        Blocks: for the slowest answer of each eight, at most for the deadline.
        """
        found: dict[str, Fetched] = {}
        references = iter(sorted(self._references(values)))
        while batch := list(islice(references, _AT_ONCE)):
            found |= self._ask(batch)
        return found

    def _references(self, values: Mapping[str, Any]) -> set[str]:
        given = (*_texts(values.get("accounts")), *references(values.get("webhooks")))
        texts = {text for text in given if ":" in text}
        return {text for text in texts if text.partition(":")[0] in self._sources}

    def _ask(self, references: Collection[str]) -> dict[str, Fetched]:
        self._hanging = {question for question in self._hanging if not question.is_answered}
        if len(self._hanging) >= _MOST_HANGING:
            text = "the host's vault still has not answered earlier questions"
            return {reference: UnresolvableSecret(text) for reference in references}
        questions = [_Question(reference, self._sources) for reference in references]
        end = time.monotonic() + self._timeout_s
        answers = {question.reference: question.answer(until=end) for question in questions}
        self._hanging.update(question for question in questions if not question.is_answered)
        return {
            reference: answer
            or UnresolvableSecret(f"the host's vault gave no answer within {self._timeout_s:g} s")
            for reference, answer in answers.items()
        }


class _Question:
    """One question, asked on a thread that nobody has to wait for."""

    def __init__(self, reference: str, sources: Mapping[str, Vault]) -> None:
        scheme, _, self._name = reference.partition(":")
        self.reference = reference
        self._source = sources[scheme]
        self._answer: Fetched | None = None
        self._answered = threading.Event()
        threading.Thread(target=self._run, name=f"longwire {scheme}", daemon=True).start()

    @property
    def is_answered(self) -> bool:
        return self._answered.is_set()

    def answer(self, *, until: float) -> Fetched | None:
        """Return it, `None` if there is none by then."""
        self._answered.wait(max(0.0, until - time.monotonic()))
        return self._answer

    def _run(self) -> None:
        try:
            self._answer = _checked(_settled(self._source(self._name)))
        except Exception as error:  # noqa: BLE001  # the edge of a thread, and the host's code: it is told
            said = redaction.text(f"{type(error).__name__}: {error}")[:_MAX_TEXT]
            self._answer = UnresolvableSecret(f"the host's vault failed: {said}")
        finally:
            self._answered.set()


def _settled(given: object) -> object:
    if not inspect.isawaitable(given):
        return given

    async def wait() -> object:
        return await cast("Awaitable[object]", given)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        work: Coroutine[Any, Any, object] = wait()
        return runner.run(work)


def _checked(value: object) -> Secret:
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} is no secret, a str is")
    return Secret(value)


def _texts(accounts: object) -> Iterator[str]:
    for table in _values(accounts):
        yield from (value for value in _values(table) if isinstance(value, str))


def _values(table: object) -> Collection[object]:
    return cast("Mapping[str, object]", table).values() if isinstance(table, Mapping) else ()
