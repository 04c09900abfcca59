"""Asking an engine's command for its version, on a node: a process that ends by itself and soon."""

import os
import re
import shutil
import tempfile
import threading
from typing import Any

from .environment import engine_env
from .guarded import GuardedProcess
from .logs import read_log

OUTPUT_BYTES = 4_000
# Reading metadata takes 0.1 s, and vLLM's own answer 10 s or more: it imports nearly everything first.
METADATA_TIMEOUT_S = 15.0
METADATA = "import sys; del sys.path[0]; from importlib.metadata import version; print(version(sys.argv[1]))"
# The first line of an installed script, or the second where the path is too long for one.
INTERPRETER = re.compile(
    r"\A#! ?(/\S*python[\d.]*)\s*$|\A#! ?/bin/sh\s*\n'''exec' \"?(/[^\"'\n]*python[\d.]*)\"? ", re.M
)
SCRIPT_CHARACTERS = 1_000


def probe_engine(asked: dict[str, Any], guard_source: str) -> dict[str, Any]:
    """
    What `argv` says, in the folder `cwd` and with `env`, within `timeoutS`. An installed script is not run for that:
    the metadata of `package` tells it too, to the script's own Python. `output` is the end of both streams; `error`
    says why there is no `code`. Leaves no process.
    """
    argv, cwd = asked["argv"], asked["cwd"]
    try:
        os.makedirs(cwd, exist_ok=True)
        env = engine_env(asked["env"])
        python = interpreter_of(argv, env["PATH"], cwd)
        if python is not None:
            answer = _ask([python, "-c", METADATA, asked["package"]], env, cwd, METADATA_TIMEOUT_S, guard_source)
            if answer["code"] == 0:
                return answer
        return _ask(argv, env, cwd, asked["timeoutS"], guard_source)
    except OSError as error:
        return {"code": None, "output": "", "error": str(error)}


def interpreter_of(argv: list[str], path: str, cwd: str) -> str | None:
    """The Python of an installed script that is asked by itself, with one flag; None for anything else."""
    if len(argv) != 2:
        return None
    program = shutil.which(os.path.join(cwd, argv[0]) if os.sep in argv[0] else argv[0], path=path)
    if program is None:
        return None
    with open(program, encoding="latin-1") as file:
        found = INTERPRETER.match(file.read(SCRIPT_CHARACTERS))
    return found and (found[1] or found[2])


def _ask(argv: list[str], env: dict[str, str], cwd: str, timeout_s: float, guard_source: str) -> dict[str, Any]:
    ended = threading.Event()
    with tempfile.TemporaryDirectory(prefix="pdjob-") as folder:
        log = os.path.join(folder, "output")
        process = GuardedProcess("pdjob-probe", guard_source)
        process.start(argv, env, cwd, log, on_exit=ended.set)
        if process.error:
            return {"code": None, "output": "", "error": process.error}
        in_time = ended.wait(timeout_s)
        if not in_time:
            process.stop(0)
        output = read_log(log, None, OUTPUT_BYTES)["text"]
        if not in_time or process.exit is None:
            return {"code": None, "output": output, "error": f"it did not end within {timeout_s:.0f} s"}
        if process.exit["code"] is None:
            return {"code": None, "output": output, "error": f"it was ended by {process.exit['signal']}"}
        return {"code": process.exit["code"], "output": output}
