"""Prints what `vllm serve` takes, read off its own parser: {"kinds": {flag: kind}, "aliases": …, "choices": …}."""

import argparse
import json
from typing import Any

from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

TYPES = {
    "int": "integer",
    "float": "number",
    "human_readable_int": "size",
    "human_readable_int_or_auto": "size",
}


def kind_of(action: "argparse.Action") -> str:
    if isinstance(action, argparse.BooleanOptionalAction):
        return "switch"
    if action.nargs == 0:
        return "bare"
    if action.nargs in ("+", "*"):
        return "list"
    if action.nargs == "?":
        return "optional"
    return TYPES.get(getattr(action.type, "__name__", ""), "text")


def main() -> None:
    found: dict[str, Any] = {"kinds": {}, "aliases": {}, "choices": {}}
    for action in make_arg_parser(FlexibleArgumentParser())._actions:
        if not action.option_strings:
            continue
        name = next(word for word in action.option_strings if word.startswith("--"))[2:]
        found["kinds"][name] = kind_of(action)
        for word in action.option_strings:
            if word not in (f"--{name}", f"--no-{name}"):
                found["aliases"][word] = name
        if action.choices:
            found["choices"][name] = [str(one) for one in action.choices]
    print(json.dumps(found))


main()
