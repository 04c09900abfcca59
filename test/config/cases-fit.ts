import { external, inVersion, kvPath, otherKvPath, withKv } from "./cases-connectors.ts";
import { job } from "./job.ts";
import type { Case } from "./job.ts";

const pinned =
  "is the same for every replica and after every restart, so NixlConnector takes a new engine for an earlier one: leave it out, or write {NODE_NAME}, or something like {ROLE}-{INDEX}-{GENERATION}.";
/** Line 6 is general's params, and those of a role stand before its kv_transfer_config. */
const kvLine = (role: string, params: string, connector: string): string =>
  `  params: {${params}kv_transfer_config: {kv_connector: ${connector}, kv_role: ${role}}}`;
const apart = (
  prefill: string,
  decode: string,
  connector = "NixlConnector",
  changed: Readonly<Record<number, string>> = {},
): string =>
  job({
    10: kvLine("kv_producer", prefill, connector),
    14: kvLine("kv_consumer", decode, connector),
    ...changed,
  });
const alike =
  "hands KV over between engines that are alike in it. Write the same in both roles, best in general.params.";

/** Engines that would start, and refuse each other's KV. */
export const fitCases: readonly Case[] = [
  {
    name: "paths of the model",
    text: apart("model: /a/m, ", ""),
    messages: [
      `job.yaml:6:19 general.params.model: is "m", but prefill has "/a/m": NixlConnector ${alike}`,
    ],
  },
  ...(
    [
      ["dtype", "bfloat16", "float16", "NixlConnector"],
      ["kv_cache_dtype", "auto", "fp8", "NixlConnector"],
      ["attention_backend", "FLASH_ATTN", "FLASHINFER", "NixlConnector"],
      ["block_size", "16", "32", "ExampleConnector"],
    ] as const
  ).map(([param, prefill, decode, connector]) => ({
    name: param,
    text: apart(`${param}: ${prefill}, `, `${param}: ${decode}, `, connector),
    messages: [
      `job.yaml:14:${14 + param.length} decode.params.${param}: is "${decode}", but prefill has "${prefill}": ${connector} ${alike}`,
    ],
  })),
  {
    name: "a dtype against vLLM's own choice, written or not",
    text: apart("dtype: auto, ", "dtype: half, "),
    messages: [
      `job.yaml:14:19 decode.params.dtype: is "half", but prefill has "auto": NixlConnector ${alike}`,
    ],
  },
  {
    name: "what one role's extra arguments say",
    text: apart("_extra_params: -tp 2 --dtype half, ", "dtype: bfloat16, ", "NixlConnector", {
      8: "  num_gpus: 2",
      1: "num_gpus: 6",
    }),
    messages: [
      `job.yaml:14:19 decode.params.dtype: is "bfloat16", but prefill has "half": NixlConnector ${alike}`,
    ],
  },
  {
    name: "extra arguments of both roles, of which the last counts",
    text: apart(
      "block_size: 32, _extra_params: --block-size=16, ",
      "block_size: 16, _extra_params: --block_size 16 --block-size 32, ",
      "ExampleConnector",
    ),
    messages: [
      `job.yaml:14:43 decode.params._extra_params: holds --block-size, which is "32", but prefill has "16": ExampleConnector ${alike}`,
    ],
  },
  {
    name: "a size in general's extra arguments against one in params",
    text: job({
      1: "num_gpus: 8",
      3: external[3],
      6: "  params: {model: m, _extra_params: -tp 2}",
      8: "  num_gpus: 2",
      10: kvLine("kv_producer", "_extra_params: --tensor_parallel_size=1, ", "LMCacheConnectorV1"),
      12: "  num_gpus: 2",
      14: kvLine("kv_consumer", "", "LMCacheConnectorV1"),
    }),
    messages: [
      "job.yaml:6:37 general.params._extra_params: holds -tp, which is 2, but prefill has 1: LMCacheConnectorV1 needs the same in both roles.",
    ],
  },
  {
    name: "kv cache dtypes that mean the same, and are hashed as text",
    text: apart("kv_cache_dtype: fp8, ", "_extra_params: --kv-cache-dtype fp8_e4m3, "),
    messages: [
      `job.yaml:14:27 decode.params._extra_params: holds --kv-cache-dtype, which is "fp8_e4m3", but prefill has "fp8": NixlConnector ${alike}`,
    ],
  },
  {
    name: "speculation that differs in one of its keys",
    text: apart(
      "speculative_config: {method: ngram, num_speculative_tokens: 3}, ",
      "_extra_params: --speculative-config.method ngram --speculative-config.num_speculative_tokens 4, ",
    ),
    messages: [
      `job.yaml:14:27 decode.params._extra_params: holds --speculative-config.num_speculative_tokens, which is ${JSON.stringify('{"method":"ngram","num_speculative_tokens":4}')}, but prefill has ${JSON.stringify('{"method":"ngram","num_speculative_tokens":3}')}: NixlConnector ${alike}`,
    ],
  },
  {
    name: "blocks of decode that hold no whole number of prefill's",
    text: apart("block_size: 64, ", "block_size: 32, "),
    messages: [
      "job.yaml:14:24 decode.params.block_size: is 32, but prefill has 64: with NixlConnector decode's blocks hold a whole number of prefill's. Write the same in both roles, best in general.params.",
    ],
  },
  {
    name: "tensor parallel sizes of which none divides the other",
    text: apart("tensor_parallel_size: 2, ", "tensor_parallel_size: 3, ", "NixlConnector", {
      1: "num_gpus: 12",
      8: "  num_gpus: 3",
      12: "  num_gpus: 3",
    }),
    messages: [
      "job.yaml:14:34 decode.params.tensor_parallel_size: is 3, but prefill has 2: with NixlConnector one of them must divide the other.",
    ],
  },
  {
    name: "tensor parallel sizes that must be equal in that version",
    text: apart("tensor_parallel_size: 1, ", "tensor_parallel_size: 2, ", "MooncakeConnector", {
      1: "num_gpus: 8",
      12: "  num_gpus: 2",
      ...inVersion("0.15"),
    }),
    messages: [
      "job.yaml:14:34 decode.params.tensor_parallel_size: is 2, but prefill has 1: MooncakeConnector needs the same in both roles.",
    ],
  },
  {
    name: "ranks that write over each other, below MultiConnector",
    text: job({
      1: "num_gpus: 8",
      6: "  params: {model: m, tensor_parallel_size: 2}",
      8: "  num_gpus: 2",
      10: "  params: {kv_transfer_config: {kv_connector: MultiConnector, kv_role: kv_producer, kv_connector_extra_config: {connectors: [{kv_connector: NixlConnector, kv_role: kv_both}, {kv_connector: ExampleConnector, kv_role: kv_both}]}}}",
      12: "  num_gpus: 2",
      14: "  params: {kv_transfer_config: {kv_connector: MultiConnector, kv_role: kv_consumer, kv_connector_extra_config: {connectors: [{kv_connector: NixlConnector, kv_role: kv_both}, {kv_connector: ExampleConnector, kv_role: kv_both}]}}}",
    }),
    messages: [
      "job.yaml:6:44 general.params.tensor_parallel_size: is 2, but with ExampleConnector an engine's ranks would write over each other's KV: write 1, or use NixlConnector.",
    ],
  },
  {
    name: "an engine_id that stays",
    text: job({
      10: "  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer, engine_id: p}}",
      14: '  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer, engine_id: "d-{INDEX}-{GENERATION}"}}',
    }),
    messages: [`job.yaml:10:95 prefill.params.kv_transfer_config.engine_id: ${pinned}`],
  },
  {
    name: "an engine_id that both roles have",
    text: job({
      10: '  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer, engine_id: "{INDEX}-{GENERATION}"}}',
      14: '  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer, engine_id: "{INDEX}-{GENERATION}"}}',
    }),
    messages: ["job.yaml:10:95 prefill", "job.yaml:14:95 decode"].map(
      (place) => `${place}.params.kv_transfer_config.engine_id: ${pinned}`,
    ),
  },
  {
    name: "an engine_id of a child",
    text: withKv({
      kv_connector: "MultiConnector",
      kv_connector_extra_config: {
        connectors: [
          { kv_connector: "NixlConnector", kv_role: "kv_both", engine_id: "{NODE_NAME}" },
        ],
      },
    }),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector_extra_config.connectors[0].engine_id: is that of a child, which MultiConnector gives its own: remove it, or write it beside MultiConnector.`,
    ),
  },
  {
    name: "a side channel to which nobody can be sent",
    text: job({ 4: "envs: {VLLM_NIXL_SIDE_CHANNEL_HOST: 0.0.0.0}" }),
    messages: [
      "job.yaml:4:37 envs.VLLM_NIXL_SIDE_CHANNEL_HOST: is 0.0.0.0, to which no other engine can be sent: leave it out, and each replica gets its own node's address.",
    ],
  },
  {
    name: "a setting that the connector does not start without",
    text: withKv({ kv_connector: "MoRIIOConnector" }, external),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector_extra_config: has no proxy_ping_port, which MoRIIOConnector needs: give the port on which the proxy takes registrations.`,
    ),
  },
  {
    name: "a variable that a rendered file does not do without",
    text: withKv({ kv_connector: "MooncakeStoreConnector" }),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector: needs the variable MOONCAKE_MASTER: set it in envs, or MOONCAKE_CONFIG_PATH to a file of your own.`,
    ),
  },
];

/** What may be right, and is told. */
export const fitWarnings: readonly Case[] = [
  {
    name: "a dtype of one role alone",
    text: apart("", "block_size: 32, ", "ExampleConnector"),
    messages: [
      "job.yaml:14:24 decode.params.block_size: warning: is given for decode alone, and ExampleConnector hands KV over between engines that are alike in it: is it what vLLM chooses for prefill? Best write it in general.params.",
    ],
  },
  {
    name: "an engine_id that stays, with a connector of the user's own",
    text: withKv({ kv_connector: "Mine", kv_connector_module_path: "mine", engine_id: "{ROLE}" }),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.engine_id: warning: is the same for every replica and after every restart, so a connector that remembers engines takes a new engine for an earlier one: leave it out, or write {NODE_NAME}, or something like {ROLE}-{INDEX}-{GENERATION}.`,
    ),
  },
  {
    name: "a side channel that is good on one node only, and at one port for all",
    text: job({
      4: "envs: {VLLM_NIXL_SIDE_CHANNEL_HOST: localhost, VLLM_NIXL_SIDE_CHANNEL_PORT: 5600}",
    }),
    messages: [
      "job.yaml:4:37 envs.VLLM_NIXL_SIDE_CHANNEL_HOST: warning: is localhost, which is another place on every node: leave it out, and each replica gets its own node's address. On more than one node the job is refused.",
      "job.yaml:4:77 envs.VLLM_NIXL_SIDE_CHANNEL_PORT: warning: is 5600 for each replica and each start: two on one node cannot both have it, and a restarted engine is taken for the one before. Leave it out, and each start gets a free one.",
    ],
  },
];

/** Files of which nothing of that is to be said. */
export const fitting: readonly { readonly name: string; readonly text: string }[] = [
  { name: "larger blocks in decode", text: apart("block_size: 32, ", "block_size: 64, ") },
  { name: "pipelines behind NIXL", text: apart("pipeline_parallel_size: 1, ", "") },
  {
    name: "extra arguments that say what params say",
    text: apart(
      "_extra_params: --dtype half --block-size 16, ",
      'dtype: float16, block_size: "16", ',
    ),
  },
  {
    name: "values in other spellings",
    text: apart(
      "dtype: bf16, attention_backend: flash_attn, kv_cache_dtype: auto, block_size: 16, ",
      "_extra_params: --dtype=bfloat16 --attention-config.backend FLASH_ATTN --block_size=16, ",
    ),
  },
  {
    name: "sizes in other spellings",
    text: apart(
      "_extra_params: -tp 2 -pp 1, ",
      "_extra_params: --tensor-parallel-size=2, ",
      "LMCacheConnectorV1",
      {
        1: "num_gpus: 8",
        8: "  num_gpus: 2",
        12: "  num_gpus: 2",
        ...external,
      },
    ),
  },
  {
    name: "an attention backend that is left to vLLM in words",
    text: apart("attention_backend: auto, ", ""),
  },
  {
    name: "speculation in JSON and as a mapping",
    text: apart(
      "speculative_config: {method: ngram, num_speculative_tokens: 3}, ",
      `_extra_params: "--speculative-config '{\\"num_speculative_tokens\\": 3, \\"method\\": \\"ngram\\"}'", `,
    ),
  },
  {
    name: "extra arguments with placeholders",
    text: apart("_extra_params: '--dtype {ROLE}', ", ""),
  },
  { name: "placeholders", text: apart("model: '{WORK_DIR}/m', ", "model: /tmp/m, ") },
  {
    name: "placeholders within a mapping",
    text: apart(
      "speculative_config: {model: '{WORK_DIR}/m'}, ",
      "speculative_config: {model: /tmp/m}, ",
    ),
  },
  {
    name: "speculation in vLLM's short form",
    text: apart(
      "speculative_config: {method: ngram, num_speculative_tokens: 3}, ",
      "_extra_params: -sc.method ngram -sc.num_speculative_tokens 3, ",
    ),
  },
  {
    name: "tensor parallel sizes that divide, where they may",
    text: apart("tensor_parallel_size: 1, ", "tensor_parallel_size: 2, ", "MooncakeConnector", {
      1: "num_gpus: 8",
      12: "  num_gpus: 2",
      ...inVersion("0.16"),
      ...external,
    }),
  },
  {
    name: "a connector of the user's own",
    text: job({
      10: "  params: {dtype: half, kv_transfer_config: {kv_connector: Mine, kv_connector_module_path: mine, kv_role: kv_both}}",
      14: "  params: {dtype: float, tensor_parallel_size: 3, kv_transfer_config: {kv_connector: Mine, kv_connector_module_path: mine, kv_role: kv_both}}",
      12: "  num_gpus: 3",
      1: "num_gpus: 8",
    }),
  },
];
