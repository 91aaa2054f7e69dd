"""Files of a configuration that do not answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from longwire.config.files import Files
from longwire.config.secrets import read_secret_file

HANGS, GOOD = Path("/gone/secret"), Path("/etc/secret")


class Disk:
    """Answers for each path but `HANGS`, until it is let."""

    def __init__(self) -> None:
        self.is_back = threading.Event()
        self.asked: list[Path] = []

    def read(self, path: Path) -> str:
        self.asked.append(path)
        if path.is_relative_to("/gone"):
            self.is_back.wait(60)
        return f"of {path.name}"


@pytest.fixture(name="disk")
def disk_fixture() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.is_back.set()


def test_a_file_is_read() -> None:
    assert Files().read(GOOD, Disk().read) == "of secret"


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), TimeoutError(110, "timed out")])
def test_what_the_reading_raises_is_raised(error: Exception) -> None:
    def fail(_path: Path) -> str:
        raise error

    with pytest.raises(type(error)) as raised:
        Files().read(GOOD, fail)
    assert raised.value is error


def test_a_file_that_does_not_answer_is_refused_and_not_asked_again_before_it_has(disk: Disk) -> None:
    files = Files(timeout_s=0.01)
    with pytest.raises(OSError, match=r"no answer within 0\.01 s"):
        files.read(HANGS, disk.read)
    with pytest.raises(OSError, match="an earlier attempt still waits"):
        files.read(HANGS, disk.read)
    assert files.read(GOOD, disk.read) == "of secret"
    assert disk.asked == [HANGS, GOOD]
    disk.is_back.set()
    for thread in threading.enumerate():
        if thread.name == "read a file":
            thread.join(30)
    assert files.read(HANGS, disk.read) == "of secret"


def test_files_that_hang_are_bounded_in_time_and_number(disk: Disk) -> None:
    files = Files(timeout_s=0.01, next_s=0.02)
    for n in range(8):
        with pytest.raises(OSError, match=f"no answer within {'0.02' if n else '0.01'} s"):
            files.read(Path(f"/gone/{n}"), disk.read)
    for path in (Path("/gone/8"), GOOD):
        with pytest.raises(OSError, match="8 other files do not answer"):
            files.read(path, disk.read)
    assert len(disk.asked) == 8


@pytest.mark.timeout(20)
def test_a_fifo_is_no_secret_and_nobody_waits_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="no regular file"):
        read_secret_file(tmp_path / "fifo")
    with pytest.raises(IsADirectoryError):
        read_secret_file(tmp_path)
