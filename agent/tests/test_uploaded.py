import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from ray.experimental import internal_kv

from pdjob_agent.node.package import Contents
from pdjob_agent.node.uploaded import NotUnpacked, Unpacked

Member = tuple[str, int, bytes]
FILES: list[Member] = [("run.sh", 0o755, b"#!/bin/sh\n"), ("sub/data.txt", 0o644, b"data")]


class Context:
    def __init__(self, package: str, actor: str) -> None:
        self.runtime_env = {"working_dir": package} if package else {}
        self._actor = actor

    def get_actor_id(self) -> str:
        return self._actor * 16


def packed(members: list[Member]) -> tuple[str, bytes]:
    """The address of these files, and the package that holds them."""
    contents, made = Contents(), io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path, mode, content in members:
            info = zipfile.ZipInfo(path)
            info.external_attr = mode << 16
            archive.writestr(info, content)
            contents.add(path, bool(mode & 0o100), hashlib.sha256(content).digest())
    return contents.address(), made.getvalue()


Start = Callable[..., Unpacked]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """As an actor of that id does, given a package that holds something."""

    def started(name: str = "a-prefill-0-g1", actor: str = "ab", package: str = "", content: bytes = b"") -> Unpacked:
        address, whole = packed(FILES)

        def stored(_package: str) -> bytes:
            return content or whole

        monkeypatch.setattr(ray, "get_runtime_context", lambda: Context(package or address, actor))
        # Ray's own modules are the place to step in: once a real actor was made in this process, Ray has given our
        # class copies of its methods, which do not look into our module any more.
        monkeypatch.setattr(internal_kv, "_internal_kv_get", stored)
        mine = Unpacked()
        mine.unpack(str(tmp_path), name)
        return mine

    return started


def folders(tmp_path: Path) -> list[str]:
    return sorted(os.listdir(tmp_path / ".pdjob" / "upload"))


def make_old(tmp_path: Path) -> None:
    for one in (tmp_path / ".pdjob" / "upload").iterdir():
        os.utime(one, (0, 0))


def test_files_are_unpacked_for_one_actor_and_go_with_it(start: Start, tmp_path: Path) -> None:
    mine, other = start(), start("a-prefill-1-g1")
    folder = str(mine.folder)
    assert folder == str(tmp_path / ".pdjob" / "upload" / "a-prefill-0-g1.abababab")
    assert os.access(f"{folder}/run.sh", os.X_OK) and not os.access(f"{folder}/sub/data.txt", os.X_OK)
    mine.remove()
    assert folders(tmp_path) == ["a-prefill-1-g1.abababab"]
    assert Path(f"{other.folder}/sub/data.txt").read_text() == "data"


def test_an_actor_that_is_asked_twice_keeps_what_it_has(start: Start, tmp_path: Path) -> None:
    mine = start()
    Path(f"{mine.folder}/made-by-the-engine").touch()
    mine.unpack(str(tmp_path), "a-prefill-0-g1")
    assert sorted(os.listdir(str(mine.folder))) == ["made-by-the-engine", "run.sh", "sub"]


def test_a_copy_that_was_cut_short_is_never_used(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> bytes:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fchmod", full)
        with pytest.raises(OSError, match="No space left"):
            start()
    assert folders(tmp_path) == []
    # Whoever is killed meanwhile leaves a part under another name.
    (tmp_path / ".pdjob" / "upload" / "a-prefill-0-g1.abababab.part" / "half").mkdir(parents=True)
    assert sorted(os.listdir(str(start().folder))) == ["run.sh", "sub"]
    assert folders(tmp_path) == ["a-prefill-0-g1.abababab"]


def test_what_killed_actors_left_goes_when_another_comes_and_what_living_ones_use_stays(
    start: Start, tmp_path: Path
) -> None:
    killed, living = start("a-prefill-0-g1", "ab"), start("a-decode-0-g1", "cd")
    (tmp_path / ".pdjob" / "upload" / "a-prefill-3-g1.00000000.part").mkdir()
    assert killed._lock is not None  # pyright: ignore
    os.close(killed._lock)  # pyright: ignore
    start("a-prefill-0-g2", "ef")
    assert len(folders(tmp_path)) == 4, "a folder that was just made may be about to be locked"
    make_old(tmp_path)
    start("a-prefill-0-g3", "12")
    assert folders(tmp_path) == ["a-decode-0-g1.cdcdcdcd", "a-prefill-0-g2.efefefef", "a-prefill-0-g3.12121212"]
    assert Path(f"{living.folder}/sub/data.txt").exists()


@pytest.mark.parametrize(
    ("member", "named"),
    [
        (("../out.txt", 0o644, b"x"), "'../out.txt'"),
        (("sub/../../out.txt", 0o644, b"x"), "'sub/../../out.txt'"),
        (("/tmp/out.txt", 0o644, b"x"), "'/tmp/out.txt'"),
        (("link", 0o120777, b"/etc"), "'link'"),
        (("pipe", 0o010644, b""), "'pipe'"),
    ],
)
def test_members_that_could_lead_out_of_the_folder_are_refused(
    start: Start, tmp_path: Path, member: Member, named: str
) -> None:
    package, content = packed([*FILES, member])
    with pytest.raises(NotUnpacked) as caught:
        start(package=package, content=content)
    assert str(caught.value) == f"{named} in the uploaded files {package} is no plain file below it"
    assert folders(tmp_path) == []
    assert not (tmp_path / "out.txt").exists()


def test_other_files_than_those_of_the_address_are_refused(start: Start, tmp_path: Path) -> None:
    package, _ = packed([("run.sh", 0o755, b"rm -rf /\n"), FILES[1]])
    _, whole = packed(FILES)
    with pytest.raises(NotUnpacked, match="are other files than those that were uploaded"):
        start(package=package)
    with pytest.raises(NotUnpacked, match="are damaged in Ray"):
        start(content=whole[:-40])
    assert folders(tmp_path) == []


def test_without_files_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", lambda: Context("", "ab"))
    mine = Unpacked()
    mine.unpack(str(tmp_path), "a-prefill-0-g1")
    mine.remove()
    assert mine.folder is None
    assert mine.environment({"PYTHONPATH": "/mine"}) == {"PYTHONPATH": "/mine"}
    assert os.listdir(tmp_path) == []


def test_files_can_be_imported_before_all_else_and_rays_own_copy_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: "/ray/pkg")
    mine = Unpacked()
    mine.folder = "/f"
    assert mine.environment({"A": "1"}) == {"A": "1", "PYTHONPATH": "/f"}
    assert mine.environment({"PYTHONPATH": "/ray/pkg:/mine"}) == {"PYTHONPATH": "/f:/mine"}
