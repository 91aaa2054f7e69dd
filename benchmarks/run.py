"""`python benchmarks/run.py`: measure everything side by side with its baseline and print one table."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import click
import psutil

_HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(_HERE.parent / "tests"))  # the harness starts the installed command

from bench.catalogue import BY_NAME, MEASURES  # noqa: E402
from bench.plot import draw  # noqa: E402
from bench.rows import Row  # noqa: E402
from bench.stage import Bench  # noqa: E402
from bench.table import as_json, describe_machine, load, show, stolen_percent  # noqa: E402


@click.command()
@click.option(
    "--only", multiple=True, type=click.Choice(list(MEASURES)), help="Measure just this; repeatable."
)
@click.option("--quick", is_flag=True, help="Fewer accounts, events and rounds: six minutes.")
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write it here too."
)
@click.option(
    "--plot",
    "plot_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Draw pictures into this folder, as SVG.",
)
@click.option("--keep", is_flag=True, help="Keep the folder with journals and logs.")
def main(
    only: tuple[str, ...], json_path: Path | None, plot_folder: Path | None, *, quick: bool, keep: bool
) -> None:
    """Print a row for each figure: name, value, unit, baseline, ratio, target."""
    folder = Path(tempfile.mkdtemp(prefix="lwbench-"))
    machine = describe_machine(folder)
    bench = Bench(folder=folder, is_quick=quick, is_kept=keep)
    begun = psutil.cpu_times()
    try:
        rows, failed = asyncio.run(_measure(bench, only or _common()))
    finally:
        if keep:
            click.echo(f"kept {folder}", err=True)
        else:
            shutil.rmtree(folder)
    machine |= {"load_at_end": load(), "stolen_percent": stolen_percent(begun)}
    show(rows, machine)
    if json_path is not None:
        json_path.write_bytes(as_json(rows, machine))
    if plot_folder is not None:
        for path in draw(rows, machine, plot_folder):
            click.echo(f"drawn: {path}", err=True)
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def _common() -> tuple[str, ...]:
    return tuple(name for name in MEASURES if name not in BY_NAME)


async def _measure(bench: Bench, names: tuple[str, ...]) -> tuple[list[Row], list[str]]:
    """Run the measures one after the other; one that fails does not keep the others from the table."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # ends what was started, too
    rows: list[Row] = []
    failed: list[str] = []
    for name in names:
        begun = time.monotonic()
        click.echo(f"measuring {name} ...", err=True, nl=False)
        try:
            with bench.part() as part:
                rows += await MEASURES[name](part)
            outcome = "done"
        except Exception as error:  # noqa: BLE001  # shown, and told by the exit code
            failed.append(name)
            outcome = f"failed: {error!r}"
        click.echo(f" {outcome} ({time.monotonic() - begun:.0f} s)", err=True)
    return rows, failed


if __name__ == "__main__":
    main()
