"""The environment of children: an allow-list, so that no secret of the supervisor's own gets there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PASSED_ON: Final = frozenset(
    {
        # Where things are
        "PATH", "HOME", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME",
        "LD_LIBRARY_PATH",  # some Pythons, as those of build services, do not start without
        # Language and time
        "LANG", "LANGUAGE", "TZ", "TZDIR",
        # How to reach the platforms: proxies and the certificates to trust
        "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        # How Python runs, and how tests measure it
        "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONWARNINGS", "PYTHONFAULTHANDLER",
        "MALLOC_ARENA_MAX", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE",
    }
)  # fmt: skip

_PREFIX: Final = "LC_"

_ALWAYS: Final = {
    "PYTHONUNBUFFERED": "1",  # a child that is killed has already said what it had to say
    "PYTHONUTF8": "1",  # logs are UTF-8 also where the locale is C
}


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a child may know of `environ`, and what every child's Python is told.

    Proxy variables are passed on whole, also where they hold a password: without them the platform cannot be
    reached.
    """
    known = {name: value for name, value in environ.items() if name in _PASSED_ON or name.startswith(_PREFIX)}
    return known | _ALWAYS
