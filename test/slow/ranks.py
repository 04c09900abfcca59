"""How real vLLM understands command lines: argv lists as JSON on standard input, one configuration each as JSON out."""

import json
import sys

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

FIELDS = (
    "nnodes node_rank node_rank_within_dp nnodes_within_dp local_world_size master_addr master_port data_parallel_size "
    "data_parallel_size_local data_parallel_rank data_parallel_master_ip data_parallel_rpc_port data_parallel_hybrid_lb "
    "data_parallel_external_lb distributed_executor_backend"
).split()


def configure(argv: list[str]) -> dict[str, object]:
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(argv)
    args.model = args.model_tag
    config = AsyncEngineArgs.from_cli_args(args).create_engine_config(headless=args.headless)
    fields = {name: getattr(config.parallel_config, name) for name in FIELDS}
    return {**fields, "engine_id": config.kv_transfer_config.engine_id}


answers = [configure(argv) for argv in json.load(sys.stdin)]
# vLLM logs to standard output too: ours is the last line.
sys.stdout.write("\n" + json.dumps(answers) + "\n")
