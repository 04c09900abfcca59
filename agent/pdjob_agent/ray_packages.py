# pyright: basic, reportPrivateImportUsage=false
"""Packages of uploaded folders, in the GCS of a Ray cluster.

Ray has no public call to store a package but `ray.init`, which belongs to a whole driver; these are the calls that it,
and Ray's job server, make themselves.
"""

from ray._private.runtime_env.packaging import package_exists, pin_runtime_env_uri, upload_package_to_gcs

from .errors import AgentError


def has_package(package: str) -> bool:
    # Ray removes a package when nothing refers to it any more. The pin comes first and lasts for ten minutes: by then
    # an actor refers to it.
    pin_runtime_env_uri(package)
    return package_exists(package)


def put_package(package: str, content: bytes) -> None:
    pin_runtime_env_uri(package)
    try:
        upload_package_to_gcs(package, content)
    except (RuntimeError, ValueError) as error:
        raise AgentError("RayUnreachable", f"Ray did not take package {package}: {error}") from error
