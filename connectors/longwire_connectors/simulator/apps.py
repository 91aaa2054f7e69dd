"""Who may connect: the apps a platform knows, and their secrets."""

import enum

import msgspec

__all__ = ["App", "AppRegistry", "Verdict"]


class App(msgspec.Struct, kw_only=True):
    """One bot identity; ``name`` is what the platform calls the bot."""

    app: str
    secret: str
    name: str
    is_registered: bool = False
    """True when the admin plane made it, False when it was trusted at first sight."""


class Verdict(enum.Enum):
    """What became of an app id and a secret."""

    ACCEPTED = "accepted"  # known, or trusted now
    UNKNOWN_APP = "unknown_app"  # strict, and never registered
    MISMATCH = "mismatch"  # another secret than the first one, or than the registered one


class AppRegistry:
    """Apps by id: trust on first use, or only registered ones when ``strict``.

    At most ``max_apps`` are trusted at first sight, so that a client with random ids cannot fill the memory.
    """

    def __init__(self, *, strict: bool = False, max_apps: int = 100_000) -> None:
        self._strict = strict
        self._max_apps = max_apps
        self._apps: dict[str, App] = {}

    def register(self, app: str, *, secret: str, name: str | None = None) -> None:
        """Make an app known, or give it another secret or name; None keeps the name."""
        known = self._apps.get(app)
        shown = name if name is not None else known.name if known else f"bot {app}"
        self._apps[app] = App(app=app, secret=secret, name=shown, is_registered=True)

    def check(self, app: str, *, secret: str) -> Verdict:
        """Judge credentials; an unknown app is trusted from now on unless the registry is strict."""
        known = self._apps.get(app)
        if known is not None:
            return Verdict.ACCEPTED if known.secret == secret else Verdict.MISMATCH
        if self._strict or not app or not secret or len(self._apps) >= self._max_apps:
            return Verdict.UNKNOWN_APP
        self._apps[app] = App(app=app, secret=secret, name=f"bot {app}")
        return Verdict.ACCEPTED

    def find(self, app: str) -> App | None:
        """Return the app, None if nobody has used it yet."""
        return self._apps.get(app)
