"""Who may post now: so many in all, dealt out to the targets in turn.

A permit is held for a request and for nothing else: not while a target rests, and not while a command is
accepted. Whoever hangs must not hold up the others for a timeout, however many do so, and though all of them
were well a moment ago. So half of the permits are kept for targets that have none, and half for those whose
last post succeeded::

    FIRST     proven, and holds none    as long as there is one
    UNPROVEN  its last post failed      as long as less than half are held by such
    MORE      proven, and holds some    as long as less than half are held beyond somebody's first
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from enum import Enum, auto

IN_ALL = 256
"""Posts at once: at 50 ms each 5,000 a second; each has a socket, and its body in memory."""


class _Line(Enum):
    """Where a target waits; the first of these that has room is served first."""

    FIRST = auto()
    UNPROVEN = auto()
    MORE = auto()


class _Queue:
    """Who waits of a target, and in which line it stands."""

    def __init__(self, line: _Line, *, is_proven: bool) -> None:
        self.line = line
        self.is_proven = is_proven
        self.turns: deque[asyncio.Future[bool]] = deque()


class Permits:
    """Hands them out; for one loop.

    Args:
        in_all: how many there are.
    """

    def __init__(self, in_all: int = IN_ALL) -> None:
        self._in_all = in_all
        self._half = (in_all + 1) // 2
        self._held = 0
        self._held_unproven = 0
        self._held_by: Counter[Hashable] = Counter()
        self._queues: dict[Hashable, _Queue] = {}
        self._lines: dict[_Line, dict[Hashable, None]] = {line: {} for line in _Line}
        """The targets that wait; the one whose turn is next stands first."""

    @property
    def held(self) -> int:
        """How many are."""
        return self._held

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(len(queue.turns) for queue in self._queues.values())

    def one(self, target: Hashable, *, is_proven: bool) -> AbstractAsyncContextManager[None]:
        """Hold one inside, after waiting for it if need be.

        Args:
            target: who takes turns with the others.
            is_proven: whether its last post succeeded.
        """
        return _One(self, target, is_proven=is_proven)

    async def take(self, target: Hashable, *, is_proven: bool) -> bool:
        """Take one, after waiting for it if need be; return as what it is to be given back."""
        line = self._line_of(target, is_proven=is_proven)
        if target in self._queues or self._lines[line] or not self._has_room(line):
            return await self._wait(target, is_proven=is_proven)
        self._take(target, is_proven=is_proven)
        return is_proven

    def give_back(self, target: Hashable, *, is_proven: bool) -> None:
        """Give one back, to whoever's turn it is."""
        self._held -= 1
        self._held_unproven -= not is_proven
        self._held_by[target] -= 1
        if not self._held_by[target]:
            del self._held_by[target]
            queue = self._queues.get(target)
            if queue is not None:  # it waited for more, and has none now
                self._stand(target, queue)
        if self._queues:
            self._hand_on()

    def _line_of(self, target: Hashable, *, is_proven: bool) -> _Line:
        if not is_proven:
            return _Line.UNPROVEN
        return _Line.MORE if self._held_by[target] else _Line.FIRST

    def _has_room(self, line: _Line) -> bool:
        if self._held >= self._in_all:
            return False
        match line:
            case _Line.FIRST:
                return True
            case _Line.UNPROVEN:
                return self._held_unproven < self._half
            case _Line.MORE:
                return self._held - len(self._held_by) < self._half

    def _take(self, target: Hashable, *, is_proven: bool) -> None:
        self._held += 1
        self._held_unproven += not is_proven
        self._held_by[target] += 1

    async def _wait(self, target: Hashable, *, is_proven: bool) -> bool:
        """Return, once there is a permit, as what it was taken: its target may have changed meanwhile."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        queue = self._queues.get(target)
        if queue is None:
            line = self._line_of(target, is_proven=is_proven)
            queue = self._queues[target] = _Queue(line, is_proven=is_proven)
            self._lines[line][target] = None
        elif queue.is_proven is not is_proven:
            queue.is_proven = is_proven
            self._stand(target, queue)
        queue.turns.append(turn)
        self._hand_on()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(target, is_proven=turn.result())
            else:
                self._leave(target, queue, turn)
            raise

    def _stand(self, target: Hashable, queue: _Queue) -> None:
        """Have it wait at the end of the line that it belongs to."""
        del self._lines[queue.line][target]
        queue.line = self._line_of(target, is_proven=queue.is_proven)
        self._lines[queue.line][target] = None

    def _leave(self, target: Hashable, queue: _Queue, turn: asyncio.Future[bool]) -> None:
        if turn not in queue.turns:  # its turn came when it was cancelled already
            return
        queue.turns.remove(turn)
        if not queue.turns:
            del self._queues[target], self._lines[queue.line][target]

    def _hand_on(self) -> None:
        """Give what is free to those whose turn it is; who got one goes to the end."""
        for line, targets in self._lines.items():
            while targets and self._has_room(line):
                target = next(iter(targets))
                queue = self._queues[target]
                turn = queue.turns.popleft()
                if not turn.cancelled():  # whoever waited may be cancelled, and not have run yet
                    turn.set_result(queue.is_proven)
                    self._take(target, is_proven=queue.is_proven)
                if queue.turns:
                    self._stand(target, queue)
                else:
                    del self._queues[target], targets[target]


class _One(AbstractAsyncContextManager[None]):
    """One permit; a class, because a generator in its place costs a post more than all the rest of this."""

    def __init__(self, permits: Permits, target: Hashable, *, is_proven: bool) -> None:
        self._permits = permits
        self._target = target
        self._is_proven = is_proven

    async def __aenter__(self) -> None:
        self._is_proven = await self._permits.take(self._target, is_proven=self._is_proven)

    async def __aexit__(self, *_: object) -> None:
        self._permits.give_back(self._target, is_proven=self._is_proven)
