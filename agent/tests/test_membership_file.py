import os
import threading
from pathlib import Path

from pdjob_agent.node.files import write_whole
from pdjob_agent.node.membership import Told

from .memberships import known, membership


def test_a_file_is_there_before_the_process_and_rewritten_whole(tmp_path: Path) -> None:
    told = Told(lambda: "", str(tmp_path))
    told.start(membership(0, "1"), {"kind": "file", "path": "conf/members.json", "text": "one"})
    path = tmp_path / "conf" / "members.json"
    assert path.read_text() == "one"
    inode = path.stat().st_ino
    assert told.tell(membership(1, "1", "2"), {"kind": "file", "path": "conf/members.json", "text": "two"}) == []
    assert (path.read_text(), path.stat().st_ino != inode) == ("two", True)
    assert os.listdir(tmp_path / "conf") == ["members.json"]
    assert told.acknowledged() == membership(1, "1", "2")


def test_a_file_that_cannot_be_written_is_told_and_leaves_no_part_behind(tmp_path: Path) -> None:
    told = Told(lambda: "", str(tmp_path))
    (tmp_path / "members").mkdir()
    telling = {"kind": "file", "path": "members", "text": "x"}
    assert told.tell(membership(1, "1"), telling) == [f"{tmp_path}/members cannot be written: Is a directory"]
    assert known(told) == []
    assert os.listdir(tmp_path) == ["members"]


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "members"
    whole = {letter * 200_000 for letter in "ab"}
    write_whole(str(path), "a" * 200_000)
    done = threading.Event()

    def rewrite() -> None:
        for turn in range(200):
            write_whole(str(path), "ab"[turn % 2] * 200_000)
        done.set()

    threading.Thread(target=rewrite, daemon=True).start()
    while not done.is_set():
        assert path.read_text() in whole
