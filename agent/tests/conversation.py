"""Talking to the agent's protocol on real pipes."""

import json
import os
import threading
from typing import Any

from pdjob_agent.protocol import Handler, Writer, serve


def talk(lines: list[str], handle: Handler) -> list[dict[str, Any]]:
    """What is answered to these lines, in the order of the answers."""
    conversation = Conversation(handle)
    conversation.say(*lines)
    answers = [conversation.hear() for _ in lines]
    conversation.hang_up()
    return answers


class Conversation:
    """An agent's protocol in a thread, on real pipes."""

    def __init__(self, handle: Handler, reads: frozenset[str] = frozenset()) -> None:
        requests, self._requests = os.pipe()
        answers, self._answers = os.pipe()
        self._source = os.fdopen(requests, "rb")
        self._heard = os.fdopen(answers, "rb")
        self._thread = threading.Thread(target=serve, args=(self._source, Writer(self._answers), handle, reads))
        self._thread.start()

    def say(self, *lines: str) -> None:
        os.write(self._requests, "".join(f"{line}\n" for line in lines).encode())

    def hear(self) -> dict[str, Any]:
        return json.loads(self._heard.readline())

    def hang_up(self) -> None:
        os.close(self._requests)
        self._thread.join(5)
        assert not self._thread.is_alive()
