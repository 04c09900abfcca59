"""Brings a folder of this machine into the cluster as a package of Ray's runtime environment."""

import contextlib
import os
import tempfile

from .cluster import Cluster, Json
from .errors import AgentError
from .folder import Survey, pack, package_of, survey

# Kept on this machine, so that a job whose folder has changed since can still heal after Ray has lost the package.
PACKAGES_KEPT = 4


def upload(cluster: Cluster, args: Json) -> Json:
    """Again and again the same answer, and at no cost while Ray has the package.

    With `package`, that one and no other: what runs and what replaces it must see the same files.
    """
    directory, wanted = args["directory"], args.get("package")
    if wanted and (cluster.has_package(wanted) or put_kept(cluster, wanted) is not None):
        return {"package": wanted}
    found = survey(directory)
    package = package_of(found)
    refuse_others(package, wanted, directory)
    if cluster.has_package(package):
        return {"package": package, **found.as_json(), "uploaded": False}
    size = put_kept(cluster, package)
    if size is None:
        package = keep(found)
        refuse_others(package, wanted, directory)  # A file may have changed while it was packed.
        size = put_kept(cluster, package)
    if size is None:
        raise AgentError("Internal", f"upload: {kept_at(package)} was removed as soon as it was written.")
    return {"package": package, **found.as_json(), "uploaded": True, "packedBytes": size}


def refuse_others(package: str, wanted: str | None, directory: str) -> None:
    if wanted and package != wanted:
        text = f"upload: the files of {directory} have changed since the job was started, and nobody has those of then"
        advice = "Put them back, or stop the job and start it again."
        raise AgentError("SpecInvalid", f"{text}: {wanted}. {advice}")


def keep(found: Survey) -> str:
    """Packs the files into this machine's cache, whole or not at all."""
    try:
        os.makedirs(packages_folder(), mode=0o700, exist_ok=True)
        handle, made = tempfile.mkstemp(suffix=".zip", dir=packages_folder())
        os.close(handle)
        try:
            package = pack(found, made)
            os.replace(made, kept_at(package))
        except BaseException:
            os.remove(made)
            raise
    except OSError as error:
        text = f"upload: the package of {found.directory} cannot be kept where the worker runs ({error})."
        advice = "Make room there, or have XDG_CACHE_HOME name a folder that can be written."
        raise AgentError("SpecInvalid", f"{text} {advice}") from error
    remove_oldest()
    return package


def put_kept(cluster: Cluster, package: str) -> int | None:
    """How many bytes were handed to Ray. None: this machine does not have the package."""
    try:
        with open(kept_at(package), "rb") as file:
            content = file.read()
    except OSError:
        return None
    cluster.put_package(package, content)
    return len(content)


def kept_at(package: str) -> str:
    return os.path.join(packages_folder(), package.rpartition("/")[2])


def packages_folder() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "pdjob", "packages")


def remove_oldest() -> None:
    with os.scandir(packages_folder()) as listed:
        packages = sorted(
            (one for one in listed if one.name.startswith("_ray_pkg_")), key=lambda one: one.stat().st_mtime
        )
    for old in packages[:-PACKAGES_KEPT]:
        with contextlib.suppress(FileNotFoundError):
            os.remove(old.path)
