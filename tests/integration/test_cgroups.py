"""What a control group leaves, of version 1 and 2, whole and in a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwire.doctor import cgroups

INF = float("inf")


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")


def own(folder: Path, *lines: str) -> Path:
    path = folder / "own"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_version_2_and_its_narrowest_level(tmp_path: Path) -> None:
    write(tmp_path / "cg")
    unit = tmp_path / "cg" / "system.slice" / "longwire.service"
    write(
        unit,
        memory_max="max",
        memory_current="500",
        memory_stat="inactive_file 200",
        pids_max="max",
        pids_current="9",
    )
    slice_ = unit.parent
    write(
        slice_,
        memory_max="1000",
        memory_current="700",
        memory_stat="anon 1\ninactive_file 100",
        pids_max="50",
        pids_current="20",
    )
    found = cgroups.room(own(tmp_path, "0::/system.slice/longwire.service"), tmp_path / "cg")
    assert found == cgroups.Room(memory=400.0, tasks_limit=50.0, tasks=20)


def test_a_container_sees_its_own_group_at_the_root(tmp_path: Path) -> None:
    write(tmp_path / "cg", memory_max="1000", memory_current="100", memory_stat="anon 1")
    found = cgroups.room(own(tmp_path, "0::/somewhere/outside"), tmp_path / "cg")
    assert found == cgroups.Room(memory=900.0)


def test_version_1_and_its_number_for_no_limit(tmp_path: Path) -> None:
    memory, pids = tmp_path / "cg" / "memory" / "job", tmp_path / "cg" / "pids"
    memory.mkdir(parents=True)
    (memory / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (memory / "memory.usage_in_bytes").write_text("100\n")
    (memory / "memory.stat").write_text("total_inactive_file 10\n")
    write(pids, pids_max="30", pids_current="4")
    found = cgroups.room(own(tmp_path, "8:pids:/", "4:memory:/job", "1:cpu:/"), tmp_path / "cg")
    assert found == cgroups.Room(memory=INF, tasks_limit=30.0, tasks=4)


def test_where_there_are_none_nothing_is_known(tmp_path: Path) -> None:
    assert cgroups.room(own(tmp_path, "0::/"), tmp_path / "none") == cgroups.Room()
    with pytest.raises(OSError, match="No such file"):
        cgroups.room(tmp_path / "missing")
