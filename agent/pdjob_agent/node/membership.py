"""How an external proxy is told of its members: by HTTP calls, or by a file that it watches.

What it was told is remembered here, in the actor that owns the proxy's process, and so for exactly as long as the
process lives: a new one is told everything again.
"""

import http.client
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from .files import write_whole

CALL_TIMEOUT_S = 10.0
# All calls for one membership; what is left is said to be left, and comes with the next try.
TELL_TIMEOUT_S = 20.0
ANSWER_BYTES_MAX = 64 * 1024
ANSWER_SHOWN_MAX = 200
# After a call whose answer was lost, these say that it had arrived.
ALREADY = {"add": (409,), "remove": (404, 410)}

Json = dict[str, Any]


class Stale(Exception):
    """A newer membership was given already."""


class Told:
    """What one process of an external proxy was told. Thread-safe; every call may be repeated."""

    def __init__(self, base: Callable[[], str], folder: str) -> None:
        self._base = base
        self._folder = folder
        self._lock = threading.Lock()
        self._generation = 0
        # By the member's name: the member, and the calls that add and remove it.
        self._known: dict[str, tuple[Json, Json]] = {}
        self._unsure: set[tuple[str, str]] = set()

    def start(self, membership: Json, telling: Json) -> None:
        """What the command line names, or the file says, before the process starts. Raises OSError."""
        if telling["kind"] == "file":
            write_whole(os.path.join(self._folder, telling["path"]), telling["text"])
        self._known = entries(membership, telling)
        self._generation = membership["generation"]

    def acknowledged(self) -> Json:
        members = [member for member, _ in list(self._known.values())]
        return {"generation": self._generation, "members": members}

    def tell(self, membership: Json, telling: Json) -> list[str]:
        """What could not be told, a sentence each. The order of the calls: see `in_order`."""
        with self._lock:
            if membership["generation"] < self._generation:
                raise Stale(f"generation {membership['generation']} after {self._generation}")
            self._generation = membership["generation"]
            if telling["kind"] == "file":
                return self._rewrite(membership, telling)
            return self._call_all(entries(membership, telling), telling.get("list"))

    def _rewrite(self, membership: Json, telling: Json) -> list[str]:
        path = os.path.join(self._folder, telling["path"])
        try:
            write_whole(path, telling["text"])
        except OSError as error:
            return [f"{path} cannot be written: {error.strerror or error}"]
        self._known = entries(membership, telling)
        return []

    def _call_all(self, wanted: dict[str, tuple[Json, Json]], listing: Json | None) -> list[str]:
        until = time.monotonic() + TELL_TIMEOUT_S
        new = {name: entry for name, entry in wanted.items() if name not in self._known}
        old = {name: entry for name, entry in self._known.items() if name not in wanted}
        # Their calls may hold a newer secret.
        self._known.update({name: entry for name, entry in wanted.items() if name not in new})
        problems: list[str] = []
        for verb, name, entry in in_order(new, old, set(wanted) - set(new)):
            problem = self._change(verb, name, entry[1].get(verb), until)
            if problem:
                problems.append(problem)
            elif verb == "add":
                self._known[name] = entry
            else:
                del self._known[name]
        return problems + (self._check(listing, new, old, until) if listing else [])

    def _change(self, verb: str, name: str, call: Json | None, until: float) -> str | None:
        if call is None:
            return f"{name}: there is no call to {verb} it"
        what = f"{call['method']} {self._url(call['url'])} for {name}"
        if time.monotonic() > until:
            return f"{what} was not sent: the calls before it took longer than {TELL_TIMEOUT_S:.0f} s"
        try:
            status, text = send(call, self._url(call["url"]))
        except (OSError, http.client.HTTPException, ValueError) as error:
            if not isinstance(error, ConnectionRefusedError):
                self._unsure.add((verb, name))
            return f"{what} got no answer: {describe(error)}"
        done = [*call["accept"], *(ALREADY[verb] if (verb, name) in self._unsure else ())]
        if 200 <= status < 300 or status in done:
            self._unsure.discard((verb, name))
            return None
        return f"{what} was answered {status}: {shown(text)}".rstrip(": ")

    def _check(
        self, listing: Json, added: dict[str, tuple[Json, Json]], removed: dict[str, tuple[Json, Json]], until: float
    ) -> list[str]:
        """Believes the proxy's own list more than its answers: what is not as it should be is told again."""
        url = self._url(listing["url"])
        if time.monotonic() > until:
            return []
        try:
            status, text = send(listing, url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return [f"GET {url} got no answer: {describe(error)}"]
        if not 200 <= status < 300:
            return [f"GET {url} was answered {status}: {shown(text)}".rstrip(": ")]
        problems: list[str] = []
        for name, (member, _) in added.items():
            if name in self._known and not names(text, member["url"]):
                del self._known[name]
                problems.append(f"GET {url} does not name {member['url']} of {name}")
        for name, entry in removed.items():
            if name not in self._known and names(text, entry[0]["url"]):
                self._known[name] = entry
                problems.append(f"GET {url} still names {entry[0]['url']} of {name}")
        return problems

    def _url(self, url: str) -> str:
        return self._base() + url if url.startswith("/") else url


def in_order(
    new: dict[str, tuple[Json, Json]], old: dict[str, tuple[Json, Json]], kept: set[str]
) -> list[tuple[str, str, tuple[Json, Json]]]:
    """
    Members are added first, so that no role is empty in between. When nobody stays, that would pair the old ones with
    the new ones, which may be of another kind: then the old ones go first, and no request comes in between.
    """
    added = [("add", name, entry) for name, entry in new.items()]
    removed = [("remove", name, entry) for name, entry in old.items()]
    if kept or not new:
        return added + removed

    def is_prefill(change: tuple[str, str, tuple[Json, Json]]) -> bool:
        return change[2][0]["role"] == "prefill"

    # A proxy asks prefill first.
    return sorted(removed, key=is_prefill, reverse=True) + sorted(added, key=is_prefill)


def entries(membership: Json, telling: Json) -> dict[str, tuple[Json, Json]]:
    calls = {one["name"]: one for one in telling.get("calls", [])}
    return {member["name"]: (member, calls.get(member["name"], {})) for member in membership["members"]}


def send(call: Json, url: str) -> tuple[int, str]:
    """One request, redirects not followed. The body is JSON text."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=CALL_TIMEOUT_S)
    try:
        body = call.get("body")
        headers = {**({} if body is None else {"content-type": "application/json"}), **call["headers"]}
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(call["method"], target, None if body is None else body.encode(), headers)
        response = connection.getresponse()
        return response.status, response.read(ANSWER_BYTES_MAX).decode(errors="replace")
    finally:
        connection.close()


def names(text: str, url: str) -> bool:
    """Does the text hold the member's host and port, and not as a part of another's?"""
    authority = re.escape(url.removeprefix("http://"))
    return re.search(rf"(?<![\w.-]){authority}(?!\d)", text) is not None


def describe(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def shown(text: str) -> str:
    """A server's answer as far as it fits a sentence."""
    return re.sub(r"\s+", " ", re.sub(r"[\x00-\x1f\x7f]", " ", text)).strip()[:ANSWER_SHOWN_MAX]
