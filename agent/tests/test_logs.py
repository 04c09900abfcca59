import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pdjob_agent.node import logs
from pdjob_agent.node.logs import LOGS_KEPT, TAIL_BYTES, TAIL_LINES, Log, log_path, new_log, read_left_log, read_log

from .processes import within

NAME = "a-prefill-0-g1"
# Numbered lines from a process that writes as an engine does: on its own, appending.
CHATTY = """
import os, time
for number in range(20_000):
    os.write(1, b"%07d\\n" % number)
    if number % 50 == 0:
        time.sleep(0.001)
    if number == 19_998:
        time.sleep(0.2)
"""


def test_a_log_is_read_on_from_where_it_was_left(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    Path(path).write_text("one two three")
    assert read_log(path, None, 5) == {"text": "three", "offset": 13, "size": 13}
    assert read_log(path, 4, 3) == {"text": "two", "offset": 7, "size": 13}
    assert read_log(path, 99, 3) == {"text": "", "offset": 13, "size": 13}
    assert read_log(None, None, 3) == {"text": "", "offset": 0, "size": 0}


def test_pieces_of_a_log_do_not_cut_characters(tmp_path: Path) -> None:
    text = "aä€😀" * 50
    path = str(tmp_path / "log")
    Path(path).write_text(text)
    for size in (1, 2, 3, 4, 5, 7):
        offset, read = 0, ""
        while True:
            piece = read_log(path, offset, size)
            if piece["offset"] == offset:
                break
            offset, read = piece["offset"], read + piece["text"]
        assert offset == len(text.encode())
        if size >= 4:
            assert read == text
            assert read_log(path, None, size)["text"] == text.encode()[-size:].decode(errors="ignore")


def test_a_tail_is_the_last_lines_and_bounded(tmp_path: Path) -> None:
    log = Log(str(tmp_path), NAME)
    path = Path(log.path)
    path.write_text("\n".join(f"line {n}" for n in range(100)) + "\n\n")
    assert log.tail().splitlines() == [f"line {n}" for n in range(100 - TAIL_LINES, 100)]
    path.write_text("x" * 100_000)
    assert log.tail() == "x" * TAIL_BYTES


def test_a_log_that_has_grown_too_large_is_turned_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOG_BYTES_MAX", 16_000)
    monkeypatch.setattr(logs, "SIZE_CHECK_S", 0.01)
    log = Log(str(tmp_path), NAME)
    Path(log.path).write_text("x" * 16_000)
    time.sleep(0.1)
    assert os.path.getsize(log.path) == 16_000
    with open(log.path, "ab", buffering=0) as file:
        file.write(b"y")
        assert within(5, lambda: os.path.getsize(log.path) == 0)
        file.write(b"goes on")
    assert os.path.getsize(f"{log.path}.1") == 16_001
    assert log.read(None, 8)["text"] == "ygoes on"


def test_who_follows_a_log_does_not_notice_that_it_is_turned(tmp_path: Path) -> None:
    log = Log(str(tmp_path), NAME)
    with open(log.path, "ab") as file:
        writer = subprocess.Popen([sys.executable, "-c", CHATTY], stdout=file)
    offset, seen, turns = 0, list[int](), 0
    while True:
        ended = writer.poll() is not None
        piece = log.read(offset, 1_000_000)
        seen += [int(line) for line in piece["text"].splitlines() if len(line) == 7]
        offset = piece["offset"]
        if os.path.getsize(log.path) > 16_000:
            log.turn()
            turns += 1
        if ended and offset == piece["size"]:
            break
    assert (seen[-1], turns > 0) == (19_999, True)
    # In order and once each, but for what was written in the moment of a turn.
    assert seen == sorted(set(seen))
    assert len(seen) > 15_000


def test_a_turned_log_is_read_over_both_parts_alive_and_left_behind(tmp_path: Path) -> None:
    log = Log(str(tmp_path), NAME)
    for text in ("one ", "two ", "three "):
        with open(log.path, "a") as file:
            file.write(text)
        log.turn()
    with open(log.path, "a") as file:
        file.write("four")
    assert log.read(None, 100) == {"text": "three four", "offset": 18, "size": 18}
    assert log.read(None, 6) == {"text": "e four", "offset": 18, "size": 18}
    assert log.read(10, 100) == {"text": "ree four", "offset": 18, "size": 18}
    assert log.read(10, 4) == {"text": "ree ", "offset": 14, "size": 18}
    assert log.read(2, 3) == {"text": "thr", "offset": 11, "size": 18}, "what is gone is passed over"
    assert read_log(log.path, 0, 100) == {"text": "three four", "offset": 10, "size": 10}
    left = read_left_log(log.path, None, 100)
    assert (left["text"], left["writtenAtS"] > 0) == ("three four", True)
    assert read_left_log(str(tmp_path / "none"), None, 100) == {}


def test_a_full_disk_costs_old_lines_and_not_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    log = Log(str(tmp_path), NAME)
    Path(log.path).write_text("much")
    monkeypatch.setattr(logs.shutil, "copyfileobj", full)
    log.turn()
    assert sorted(os.listdir(os.path.dirname(log.path))) == [f"{NAME}.log"]
    with open(log.path, "a") as file:
        file.write("more")
    assert log.read(0, 100) == {"text": "more", "offset": 8, "size": 8}


def test_what_is_lost_in_the_moment_of_a_turn_leaves_no_gap_in_the_offsets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(str(tmp_path), NAME)
    Path(log.path).write_text("one ")
    monkeypatch.setattr(logs, "COPIES_MAX", 0)
    copy = shutil.copyfileobj

    def outrun(source: Any, target: Any) -> None:
        copy(source, target)
        with open(log.path, "a") as file:
            file.write("lost ")

    monkeypatch.setattr(logs.shutil, "copyfileobj", outrun)
    log.turn()
    with open(log.path, "a") as file:
        file.write("two")
    assert log.read(4, 100) == {"text": "two", "offset": 7, "size": 7}
    assert log.read(None, 100) == {"text": "one two", "offset": 7, "size": 7}


def test_an_earlier_job_of_the_same_name_has_its_logs_set_aside(tmp_path: Path) -> None:
    for run in ("first", "second", "third"):
        path = Path(new_log(str(tmp_path), NAME))
        assert not path.exists()
        path.write_text(run)
    assert Path(f"{path}.previous").read_text() == "second"
    later = Path(log_path(str(tmp_path), "a-prefill-0-g3"))
    later.write_text("of the earlier job")
    Path(f"{later}.1").write_text("its older part")
    other = Path(new_log(str(tmp_path), "a-prefill-1-g1"))
    other.write_text("of another replica")
    new_log(str(tmp_path), "a-prefill-0-g2")
    assert sorted(os.listdir(path.parent)) == [
        "a-prefill-0-g1.log",
        "a-prefill-0-g1.log.previous",
        "a-prefill-0-g3.log.previous",
        "a-prefill-1-g1.log",
    ]


def test_an_engine_that_dies_again_and_again_leaves_a_bounded_number_of_logs(tmp_path: Path) -> None:
    folder = tmp_path / ".pdjob" / "logs"
    for generation in range(1, 21):
        path = new_log(str(tmp_path), f"a-prefill-0-g{generation}")
        Path(path).write_text("x")
        Path(f"{path}.1").write_text("x")
        os.utime(path, (generation, generation))
    kept = sorted(os.listdir(folder))
    newest = [f"a-prefill-0-g{generation}.log" for generation in range(21 - LOGS_KEPT, 21)]
    assert kept == sorted(newest + [f"{one}.1" for one in newest])
