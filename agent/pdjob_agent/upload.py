"""Brings a folder of this machine into the cluster as a package of Ray's runtime environment."""

import contextlib
import os
import tempfile

from .cluster import Cluster, Json
from .errors import AgentError
from .folder import pack, package_of, survey

# Kept on this machine, so that a job whose folder has changed since can still heal after Ray has lost the package.
PACKAGES_KEPT = 4


def upload(cluster: Cluster, args: Json) -> Json:
    """Again and again the same answer, and at no cost while Ray has the package.

    With `package`, that one and no other: what runs and what replaces it must see the same files.
    """
    directory, wanted = args["directory"], args.get("package")
    if wanted and (cluster.has_package(wanted) or put_kept(cluster, wanted)):
        return {"package": wanted}
    found = survey(directory)
    package = package_of(found)
    if wanted and package != wanted:
        text = f"upload: the files of {directory} have changed since the job was started, and nobody has those of then"
        advice = "Put them back, or stop the job and start it again."
        raise AgentError("SpecInvalid", f"{text}: {wanted}. {advice}")
    about = {**found.as_json(), "uploaded": not cluster.has_package(package)}
    if about["uploaded"] and not put_kept(cluster, package):
        handle, made = tempfile.mkstemp(suffix=".zip", dir=packages_folder())
        os.close(handle)
        try:
            package = pack(found, made)
            os.replace(made, kept_at(package))
        except BaseException:
            os.remove(made)
            raise
        remove_oldest()
        put_kept(cluster, package)
    if about["uploaded"]:
        about["packedBytes"] = os.path.getsize(kept_at(package))
    return {"package": package, **about}


def put_kept(cluster: Cluster, package: str) -> bool:
    try:
        with open(kept_at(package), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return False
    cluster.put_package(package, content)
    return True


def kept_at(package: str) -> str:
    return os.path.join(packages_folder(), package.rpartition("/")[2])


def packages_folder() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = os.path.join(cache, "pdjob", "packages")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


def remove_oldest() -> None:
    with os.scandir(packages_folder()) as listed:
        packages = sorted(
            (one for one in listed if one.name.startswith("_ray_pkg_")), key=lambda one: one.stat().st_mtime
        )
    for old in packages[:-PACKAGES_KEPT]:
        with contextlib.suppress(FileNotFoundError):
            os.remove(old.path)
