"""The nursery: makes the children's processes, and keeps the templates from which most are forked.

There is a template for each connector and interpreter, started when it is first needed. One that has died,
has grown, or whose files were upgraded, is replaced; the old one lives on, for nothing but to wait for its
children, until the last of them has exited. Where none can be had, the children are fresh processes, and that
is said loudly: it costs seconds and up to 150 megabytes each.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from longwire.config import AccountConfig
from longwire.interpreter import environment_for, program_of
from longwire.lock import lock_account, lock_successor
from longwire.logger import get_logger
from longwire.process import Process, spawn
from longwire.status import TemplateStatus
from longwire.templates import Kind, Template, TemplateUnfit
from longwire_protocol.threads import in_thread

_log = get_logger("longwire.templates")

_LOCK_S, _LOCK_LOOK_S = 2.0, 0.02
"""How long the lock of an account is waited for, and how often it is tried: the kernel tells nobody."""

_WEAR_S, _MOST_LOOKS = 2.0, 64
"""How long a look at a template's files may take, in seconds, and how many may be under way or hang before
there are no more: as many as children boot at once on 32 CPUs."""

_CHILD = ("-P", "-m", "longwire_connectors")


def kind_of(account: AccountConfig) -> Kind:
    """Return from what kind of template the account's child is forked, if it is."""
    return Kind(account.connector, account.settings.python)


class Nursery:
    """Makes children: forked from their connector's template where that is wanted and possible.

    Args:
        environment: what theirs is taken from.
        locks: a folder of ours for the locks of the accounts.
    """

    def __init__(self, environment: Mapping[str, str], *, locks: Path) -> None:
        self._environment = environment
        self._locks = locks
        self._loop = asyncio.get_running_loop()
        self._can_fork = _can_fork()
        self._templates: dict[Kind, Template] = {}
        self._alive: dict[Template, None] = {}
        """In the order of their starts."""
        self._looks: set[object] = set()
        """At templates' files, those too for which nobody waits any more."""

    async def make(
        self,
        account: str,
        kind: Kind,
        *,
        bootstrap_fd: int,
        is_forked: bool,
        is_successor: bool = False,
        on_exit: Callable[[int | None], None],
    ) -> Process:
        """Return a child that waits for its bootstrap.

        Args:
            account: whose.
            kind: its connector, and the interpreter that runs it.
            bootstrap_fd: from which it reads that; the caller's to close.
            is_forked: whether a fork is wanted.
            is_successor: whether one process of the account may be there, and one alone.
            on_exit: see `Process`.

        Raises:
            OSError: the system cannot make a process now, or one of the account is still there.
        """
        if is_forked and self._can_fork:
            try:
                template = await self._template(kind)
                await template.warmed()
                lock_fd = await self._lock(account, is_successor=is_successor)
                return await template.fork(lock_fd, bootstrap_fd=bootstrap_fd, on_exit=on_exit)
            except TemplateUnfit as exc:
                _log.error("template_unfit", **kind._asdict(), text=str(exc), used="a fresh process")
        lock_fd = await self._lock(account, is_successor=is_successor)
        return spawn(
            lambda fd: [program_of(kind.python), *_CHILD, str(fd), str(lock_fd), str(bootstrap_fd)],
            environment=environment_for(kind.python, self._environment),
            on_exit=on_exit,
            lock_fd=lock_fd,
            pass_fds=(bootstrap_fd,),
        )

    async def _lock(self, account: str, *, is_successor: bool) -> int:
        """Return a lock; one whose start was given up a moment ago is about to let go of it.

        Raises:
            BlockingIOError: an earlier process is still there.
        """
        take = lock_successor if is_successor else lock_account
        ends_at = self._loop.time() + _LOCK_S
        while True:
            try:
                return take(self._locks, account)
            except BlockingIOError:
                if self._loop.time() >= ends_at:
                    raise
            await asyncio.sleep(_LOCK_LOOK_S)

    def keep_only(self, wanted: Collection[Kind]) -> None:
        """Let the templates of all other kinds end, as soon as they have no children any more."""
        for kind in self._templates.keys() - wanted:
            self._templates.pop(kind).retire("no account needs it")

    def status(self) -> list[TemplateStatus]:
        """Return what is known of each, also of those that cannot be used and why."""
        refused = [template for template in self._templates.values() if template.refusal is not None]
        return [template.status() for template in dict.fromkeys([*self._alive, *refused])]

    async def close(self) -> None:
        """End all templates, and wait until they are gone."""
        alive = tuple(self._alive)
        for template in alive:
            template.close()
        await asyncio.gather(*(template.ended() for template in alive))

    async def _template(self, kind: Kind) -> Template:
        """Return the template of a kind, another one where the present one is of no use any more."""
        template = self._templates.get(kind)
        wear: str | None = None
        if template is not None and template.is_usable:
            wear = await self._wear(template)
            if wear is None and template.is_usable:
                return template
        if self._templates.get(kind) is not template:
            return self._templates[kind]  # somebody else has replaced it meanwhile
        if template is not None:
            if template.refusal is not None and self._loop.time() < template.refused_until:
                raise TemplateUnfit(template.refusal)
            _log.info("template_replaced", **kind._asdict(), pid=template.pid, text=wear)
            template.retire(wear)
        template = self._templates[kind] = Template(kind, environment=self._environment, on_end=self._ended)
        self._alive[template] = None
        return template

    async def _wear(self, template: Template) -> str | None:
        """Return why another one should take its place, if the disk says so in time; it can fork without."""
        if len(self._looks) >= _MOST_LOOKS:
            return None
        look = object()
        self._looks.add(look)

        def see() -> str | None:
            try:
                return template.wear()
            finally:
                self._looks.discard(look)

        try:
            return await in_thread(see, name="template wear", timeout_s=_WEAR_S)
        except TimeoutError:
            _log.warning("template_files_unread", **template.kind._asdict(), timeout_s=_WEAR_S)
            return None

    def _ended(self, template: Template) -> None:
        self._alive.pop(template, None)


def _can_fork() -> bool:
    """Return whether templates work here: they need pidfds, which macOS and some sandboxes have not.

    And libraries of macOS must not be used behind a fork.
    """
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True
