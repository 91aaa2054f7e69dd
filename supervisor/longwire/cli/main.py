"""`longwire` itself: the verbs, where to find them, and how errors end it."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any, cast

import click

from longwire.cli.exits import INTERRUPTED, ExitCode, exit_code
from longwire.cli.lazy import LazyGroup, Verb
from longwire_protocol.errors import ConfigError, LongwireError
from longwire_protocol.version import __version__

VERBS = {
    # structlog imports rich for tracebacks that we do not print: 6 MB and 30 ms of each supervisor.
    "run": Verb("longwire.cli.run:run", "Run the supervisor in the foreground.", without="rich"),
    "demo": Verb("longwire.cli.demo:demo", "Watch it work, and heal, against simulators."),
    "check": Verb("longwire.cli.check:check", "Check the configuration; every error at once."),
    "doctor": Verb("longwire.cli.doctor:doctor", "Look for what is wrong, here and in the configuration."),
    "status": Verb("longwire.cli.status:status", "Show the supervisor and every account."),
    "accounts": Verb("longwire.cli.accounts:accounts", "List, show, steer and change accounts."),
    "reload": Verb("longwire.cli.reload:reload", "Have the configuration read again."),
    "events": Verb("longwire.cli.events:events", "Read the journal."),
    "logs": Verb("longwire.cli.logs:logs", "Show the log, follow it."),
    "incidents": Verb("longwire.cli.incidents:incidents", "Show what was killed or ended unasked, and why."),
    "backup": Verb("longwire.cli.backup:backup", "Copy the journal, also while it is in use."),
    "recover": Verb("longwire.cli.recover:recover", "Save what can be read of a damaged journal."),
    "deadletters": Verb(
        "longwire.cli.deadletters:deadletters", "List, resubmit and purge what subscribers failed on."
    ),
    "webhooks": Verb("longwire.cli.webhooks:webhooks", "List, change and test where events are posted to."),
    "metrics": Verb("longwire.cli.metrics:metrics", "Print the metrics, or serve them to Prometheus."),
    "send": Verb("longwire.cli.send:send", "Send a text to a chat."),
    "simulate": Verb("longwire.cli.simulate:simulate", "Run the Lark and DingTalk simulators."),
}


class Shell(LazyGroup):
    """The group of all verbs; turns whatever ends a verb into a message and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line and leave the process with its exit code."""
        kwargs["standalone_mode"] = False
        try:
            status = super().main(*args, **kwargs)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except click.ClickException as exc:
            _complain_of_usage(exc)
            sys.exit(ExitCode.USAGE)
        except Exception as exc:  # noqa: BLE001 - the process's edge
            error = _only(exc)
            if isinstance(error, LongwireError):
                _complain(error)
                sys.exit(exit_code(error))
            traceback.print_exc()
            click.echo("longwire: this is a bug; please report it with what is above", err=True)
            sys.exit(ExitCode.BUG)
        sys.exit(status if isinstance(status, int) else ExitCode.OK)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a reader that has had enough (`| head`) is no error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the flush at exit complains
            ctx.exit(ExitCode.OK)
        return result


@click.group(
    "longwire",
    cls=Shell,
    verbs=VERBS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="LONGWIRE_CONFIG",
    default="longwire.toml",
    show_default=True,
    help="The configuration; LONGWIRE_CONFIG names it, too.",
)
@click.version_option(__version__)
@click.pass_context
def main(ctx: click.Context, config: Path) -> None:
    """Keep other people's long connections alive.

    Verbs that talk to a running supervisor find it by LONGWIRE_ENDPOINT, or else by the first endpoint of the
    configuration.
    """
    ctx.obj = config
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(ExitCode.USAGE)


def _complain_of_usage(error: click.ClickException) -> None:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
    click.echo(f"longwire: {error.format_message()}", err=True)


def _only(error: Exception) -> Exception:
    """Return the one error in a task group's, or the group itself if there are several."""
    if isinstance(error, ExceptionGroup):
        found = cast("ExceptionGroup[Exception]", error).exceptions
        return _only(found[0]) if len(found) == 1 else cast("Exception", error)
    return error


def _complain(error: LongwireError) -> None:
    problems = error.problems if isinstance(error, ConfigError) else (error,)
    for problem in problems:
        click.echo(f"longwire: {problem}", err=True)
