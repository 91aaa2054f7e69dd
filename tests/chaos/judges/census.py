"""No process beyond what accounts and templates explain, and none that outlives the supervisor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaos.judges.facts import Footprint, Look, Span, Violation, covered_s


def unexplained(looks: Sequence[Look], *, grace_s: float, silent: Sequence[Span] = ()) -> list[Violation]:
    """Return the processes that were there for longer than `grace_s` without being named by status.

    Processes that start, leave, or help for a moment have that long; it does not run while status was
    `silent`.
    """
    named_at: dict[int, float] = {}
    found: dict[int, Violation] = {}
    for look in looks:
        for pid in [pid for pid in named_at if pid not in look.pids]:
            del named_at[pid]  # the number may be given again
        for pid in look.pids:
            since = named_at.setdefault(pid, look.at)
            if look.named is not None and pid in look.named:
                named_at[pid] = look.at
            elif look.at - since - covered_s(silent, since, look.at) > grace_s:
                text = f"process {pid} is no account's and no template's"
                found.setdefault(
                    pid, Violation(promise="no unexplained process", account="", at=look.at, text=text)
                )
    return list(found.values())


def grown(before: Footprint, after: Footprint, *, allowed: int, at: float) -> list[Violation]:
    """Return what the supervisor holds more of than before, beyond the allowed difference."""
    pairs = {
        "descriptors": (before.files, after.files),
        "threads": (before.threads, after.threads),
        "processes below it": (before.children, after.children),
    }
    return [
        Violation(
            promise="bounded resources",
            account="",
            at=at,
            text=f"{what}: {early} before the troubles, {late} after them",
        )
        for what, (early, late) in pairs.items()
        if late > early + allowed
    ]


def outlived(pids: Iterable[int], *, at: float, what: str) -> list[Violation]:
    """Return the processes that were left after an end that all should have shared."""
    return [
        Violation(promise="no orphan", account="", at=at, text=f"process {pid} outlived {what}")
        for pid in sorted(pids)
    ]
