"""Node.js, as the built-in proxy needs it."""

import shutil
import subprocess

NODE_MIN = (20, 19)
NODE_ANSWER_S = 10.0


def node_problem(path: str) -> str | None:
    """The built-in proxy is a Node program; nothing else of ours needs Node on a Ray node."""
    wanted = ".".join(str(part) for part in NODE_MIN)
    advice = (
        f"Install Node.js {wanted} or newer there (nodejs.org, or your system's packages), or set `scheduler.command`."
    )
    program = shutil.which("node", path=path)
    if program is None:
        return f"Node.js is not on its PATH, and the built-in proxy needs it. {advice}"
    try:
        command = [program, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_ANSWER_S, check=False)
        text = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        text = ""
    version = tuple(int(part) for part in text.lstrip("v").split(".")[:2] if part.isdigit())
    return None if version >= NODE_MIN else f"its Node.js ({program}) is {text or 'broken'}. {advice}"
