"""How `vllm` command lines end that it does not run: lists of words as JSON on standard input, code and output as JSON out.

Each runs vLLM's own main in a process of its own. Those are forked when everything is imported, which is most of the time.
"""

import json
import os
import sys
import tempfile

import vllm.entrypoints.cli.main as cli
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

AT_ONCE_MAX = 2


def start(words: list[str], log: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["vllm", *words]
    sys.exit(cli.main())


def ends_of(commands: list[list[str]]) -> list[dict[str, object]]:
    logs = [tempfile.TemporaryFile() for _ in commands]
    waiting = list(enumerate(commands))
    running: dict[int, int] = {}
    codes: dict[int, int] = {}
    while waiting or running:
        while waiting and len(running) < AT_ONCE_MAX:
            index, words = waiting.pop(0)
            running[start(words, logs[index].fileno())] = index
        pid, status = os.wait()
        codes[running.pop(pid)] = os.waitstatus_to_exitcode(status)
    answers: list[dict[str, object]] = []
    for index, log in enumerate(logs):
        log.seek(0)
        answers.append({"code": codes[index], "log": log.read().decode(errors="replace")})
    return answers


make_arg_parser(FlexibleArgumentParser())  # Imports what it needs.
answers = ends_of(json.load(sys.stdin))
# vLLM logs to standard output too: ours is the last line.
sys.stdout.write("\n" + json.dumps(answers) + "\n")
