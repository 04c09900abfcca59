import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pdjob_agent import folder, upload
from pdjob_agent.errors import AgentError
from pdjob_agent.folder import survey
from pdjob_agent.verbs import VERBS

from .fake_cluster import FakeCluster, Json

AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pdjob" / "packages"


@pytest.fixture
def deploy(tmp_path: Path) -> Path:
    """A folder as people have them."""
    root = tmp_path / "deploy"
    write(root / "proxy.py", "print('proxy')\n")
    write(root / "templates" / "chat.jinja", "{{ prompt }}\n")
    write(root / "run.sh", "#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def send(cluster: FakeCluster, root: Path, **args: object) -> Json:
    return VERBS["upload"](cluster, {"directory": str(root), **args})


def refused(cluster: FakeCluster, root: Path, **args: object) -> str:
    with pytest.raises(AgentError) as caught:
        send(cluster, root, **args)
    assert caught.value.code == "SpecInvalid"
    return caught.value.message


def test_a_folder_is_uploaded_once_and_again_when_something_in_it_changes(deploy: Path) -> None:
    cluster = FakeCluster()
    first = send(cluster, deploy)
    assert first == {
        "package": first["package"],
        "files": 3,
        "bytes": 38,
        "leftOut": [],
        "secrets": [],
        "uploaded": True,
        "packedBytes": len(cluster.packages[first["package"]]),
    }
    again = send(cluster, deploy)
    assert (again["package"], again["uploaded"]) == (first["package"], False)
    packages = {first["package"]}
    (deploy / "proxy.py").write_text("print('PROXY')\n")
    packages.add(send(cluster, deploy)["package"])
    (deploy / "proxy.py").chmod(0o755)
    packages.add(send(cluster, deploy)["package"])
    (deploy / "proxy.py").rename(deploy / "proxy2.py")
    packages.add(send(cluster, deploy)["package"])
    assert len(packages) == 4
    assert cluster.calls == [f"put_package {one}" for one in cluster.packages]


def test_the_same_files_make_the_same_package_wherever_and_whenever(deploy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(deploy, copy)
    os.utime(copy / "proxy.py", (0, 0))
    one, other = FakeCluster(), FakeCluster()
    assert send(one, deploy)["package"] == send(other, copy)["package"]
    assert one.packages == other.packages


def test_a_package_holds_the_files_with_their_modes(deploy: Path, tmp_path: Path) -> None:
    cluster = FakeCluster()
    package = send(cluster, deploy)["package"]
    made = tmp_path / "made.zip"
    made.write_bytes(cluster.packages[package])
    with zipfile.ZipFile(made) as archive:
        modes = {info.filename: oct(info.external_attr >> 16) for info in archive.infolist()}
        assert modes == {"proxy.py": "0o644", "run.sh": "0o755", "templates/chat.jinja": "0o644"}
        assert archive.read("templates/chat.jinja") == b"{{ prompt }}\n"


def test_what_is_of_no_use_there_is_left_out_and_what_looks_secret_is_named(deploy: Path) -> None:
    for path in (".git/HEAD", "node_modules/a/b.js", "sub/__pycache__/x.pyc", "build/out", "sub/big.bin", "sub/ok.bin"):
        write(deploy / path, "x")
    write(deploy / ".gitignore", "build/\n# a comment\n")
    write(deploy / "sub" / ".rayignore", "*.bin\n!ok.bin\n")
    write(deploy / ".env", "TOKEN=x")
    write(deploy / "sub" / "server.key", "x")
    (deploy / "models").symlink_to("/tmp")
    (deploy / "nothing").symlink_to("/no/such/file")
    (deploy / "linked.py").symlink_to(deploy / "proxy.py")
    os.mkfifo(deploy / "pipe")
    found = survey(str(deploy))
    assert list(found.files) == [
        ".env",
        ".gitignore",
        "linked.py",
        "proxy.py",
        "run.sh",
        "sub/.rayignore",
        "sub/ok.bin",
        "sub/server.key",
        "templates/chat.jinja",
    ]
    assert found.left_out == [
        ".git",
        "build",
        "models",
        "node_modules",
        "nothing",
        "pipe",
        "sub/__pycache__",
        "sub/big.bin",
    ]
    assert found.as_json()["secrets"] == [".env", "sub/server.key"]


def test_what_cannot_be_uploaded_is_refused_with_what_to_do(deploy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    assert refused(cluster, deploy / "none") == (
        f"upload: {deploy}/none is no folder on this machine, where the worker runs."
    )
    monkeypatch.setattr(folder, "FILES_MAX", 2)
    assert refused(cluster, deploy).startswith(f"upload: {deploy} has more than 2 files or 8 GiB. Its largest files: ")
    monkeypatch.setattr(folder, "FILES_MAX", 50)
    monkeypatch.setattr(folder, "PACKAGE_BYTES_MAX", 1_000_000)
    (deploy / "model.bin").write_bytes(os.urandom(2_000_000))
    assert refused(cluster, deploy) == (
        f"upload: {deploy} makes a package of more than 1 MiB, the most that Ray takes. "
        "Its largest files: model.bin (1.9 MiB), proxy.py (0.0 MiB), templates/chat.jinja (0.0 MiB). "
        "List what engines do not need in a .rayignore there, and put models on a disk that every node sees."
    )
    assert cluster.packages == {}
    (deploy / "model.bin").unlink()
    (deploy / "hosts").symlink_to("/etc/hosts")
    assert refused(cluster, deploy) == (
        f"upload: {deploy}/hosts is a link out of the folder, to /etc/hosts. "
        "Copy the file there, or list the link in a .rayignore."
    )
    (deploy / "hosts").unlink()
    Path(os.fsdecode(os.fsencode(deploy) + b"/caf\xe9")).touch()
    assert refused(cluster, deploy) == (
        f"upload: the name of '{deploy}/caf\\udce9' is no UTF-8. Rename it, or list it in a .rayignore."
    )
    shutil.rmtree(deploy)
    deploy.mkdir()
    assert refused(cluster, deploy) == f"upload: {deploy} has no files to upload."


def test_a_replacement_sees_the_files_of_the_start_although_ray_lost_them_and_the_folder_changed(
    deploy: Path, cache: Path
) -> None:
    cluster = FakeCluster()
    package = send(cluster, deploy)["package"]
    before = cluster.packages.pop(package)
    (deploy / "proxy.py").write_text("changed")
    assert send(cluster, deploy, package=package) == {"package": package}
    assert cluster.packages == {package: before}
    # On another worker's machine there is no copy, but maybe the same folder.
    cluster.packages.clear()
    shutil.rmtree(cache)
    assert refused(cluster, deploy, package=package) == (
        f"upload: the files of {deploy} have changed since the job was started, "
        f"and nobody has those of then: {package}. Put them back, or stop the job and start it again."
    )
    (deploy / "proxy.py").write_text("print('proxy')\n")
    assert send(cluster, deploy, package=package)["package"] == package
    assert cluster.packages == {package: before}


def test_a_file_that_changes_while_it_is_packed_makes_another_package(
    deploy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()
    before = send(cluster, deploy)["package"]
    cluster.packages.clear()
    shutil.rmtree(cache)
    pack = upload.pack

    def late(found: folder.Survey, target: str) -> str:
        (deploy / "proxy.py").write_text("changed")
        return pack(found, target)

    monkeypatch.setattr(upload, "pack", late)
    after = send(cluster, deploy)["package"]
    assert after != before
    assert list(cluster.packages) == [after]
    (deploy / "proxy.py").write_text("print('proxy')\n")
    assert "have changed since" in refused(cluster, deploy, package=before)
    assert list(cluster.packages) == [after]


def test_a_package_that_ray_has_costs_no_look_at_the_folder(deploy: Path) -> None:
    cluster = FakeCluster()
    package = send(cluster, deploy)["package"]
    shutil.rmtree(deploy)
    assert send(cluster, deploy, package=package) == {"package": package}


def test_copies_kept_on_the_workers_machine_are_few_and_readable_by_their_owner_alone(
    deploy: Path, cache: Path
) -> None:
    cluster = FakeCluster()
    packages: list[str] = []
    for number in range(6):
        (deploy / "proxy.py").write_text(str(number))
        packages.append(send(cluster, deploy)["package"].rpartition("/")[2])
        os.utime(cache / packages[-1], (number, number))
    assert sorted(os.listdir(cache)) == sorted(packages[-upload.PACKAGES_KEPT :])
    assert cache.stat().st_mode & 0o077 == 0


def test_a_cache_that_cannot_be_written_is_named_with_what_to_do(deploy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    cluster = FakeCluster()
    assert refused(cluster, deploy) == (
        f"upload: the package of {deploy} cannot be kept where the worker runs "
        "([Errno 20] Not a directory: '/dev/null/pdjob'). "
        "Make room there, or have XDG_CACHE_HOME name a folder that can be written."
    )
    assert cluster.packages == {}


def test_what_would_be_uploaded_can_be_asked_without_a_cluster(deploy: Path) -> None:
    def ask(root: Path) -> Json:
        command = [sys.executable, "-m", "pdjob_agent.folder", str(root)]
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": AGENT}, capture_output=True, check=True)
        return json.loads(done.stdout)

    assert ask(deploy) == {"files": 3, "bytes": 38, "leftOut": [], "secrets": []}
    assert ask(deploy / "none") == {
        "error": f"upload: {deploy}/none is no folder on this machine, where the worker runs."
    }
