import { job } from "./job.ts";
import type { Case } from "./job.ts";

/** Mappings whose keys or values the schema refuses. */
export const shapeCases: readonly Case[] = [
  {
    name: "everything missing",
    text: "timeout: 5\n",
    messages: [
      "job.yaml:1:1 num_gpus: is missing: give a whole number from 0 to 4096.",
      "job.yaml:1:1 prefill: is missing: give a mapping with num_gpus, replicas and params.",
      "job.yaml:1:1 decode: is missing: give a mapping with num_gpus, replicas and params.",
    ],
  },
  {
    name: "an unknown key near a known one",
    text: job({ 2: "gpu_per_worker: 1" }),
    messages: ["job.yaml:2:1 gpu_per_worker: is not a known key. Did you mean gpus_per_worker?"],
  },
  {
    name: "an unknown key near none",
    text: job({ 2: "colour: blue" }),
    messages: [
      'job.yaml:2:1 colour: is not a known key: remove "colour", or use one of name, timeout, num_gpus, gpus_per_worker, num_cpus, working_dir, upload, envs, engine, scheduler, general, prefill, decode, health, canary, restart, rollout, drain, stop_grace, lease.',
    ],
  },
  {
    name: "a canary that is neither on nor off",
    text: job({ 2: "canary: sometimes" }),
    messages: ["job.yaml:2:9 canary: must be true or false, not text."],
  },
  {
    name: "a folder to upload that is none",
    text: job({ 2: "upload: s3://bucket/files.zip" }),
    messages: [
      "job.yaml:2:9 upload: must be a folder, such as ./deploy, with its path written out.",
    ],
  },
  {
    name: "a home folder that nobody would expand",
    text: job({ 2: "upload: ~/deploy" }),
    messages: [
      "job.yaml:2:9 upload: must be a folder, such as ./deploy, with its path written out.",
    ],
  },
  {
    name: "a folder to upload without a name",
    text: job({ 2: 'upload: ""' }),
    messages: ["job.yaml:2:9 upload: must be a folder, such as ./deploy, not an empty text."],
  },
  {
    name: "a flag of the engine outside params",
    text: job({ 12: "  num_gpus: 1\n  tensor_parallel_size: 1" }),
    messages: [
      'job.yaml:13:3 decode.tensor_parallel_size: is not a known key: remove "tensor_parallel_size", or use one of num_gpus, replicas, envs, files, params. Flags of the engine go under params.',
    ],
  },
  {
    name: "files that are no files",
    text: job({
      5: "general:\n  files: [lmcache.yaml]",
      7: "prefill:\n  files: {../lmcache.yaml: x}",
      11: `decode:\n  files: {${Array.from({ length: 21 }, (_, at) => `f${at}: x`).join(", ")}}`,
      14: '  params: {kv_transfer_config: \'{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}\'}\n  envs: {A: [x]}',
    }),
    messages: [
      "job.yaml:6:10 general.files: must be a mapping of file names to texts, not a list.",
      "job.yaml:9:10 prefill.files: must have file names of letters, digits, dots, dashes and underscores: there are no folders.",
      "job.yaml:14:10 decode.files: must be at most 20 files.",
      "job.yaml:18:13 decode.envs.A: must be text, a number or true/false ('' for an empty value), not a list.",
    ],
  },
  {
    name: "a file without a text",
    text: job({ 7: "prefill:\n  files: {a.yaml: {b: 1}}" }),
    messages: ['job.yaml:8:19 prefill.files["a.yaml"]: must be the file\'s text, not a mapping.'],
  },
  {
    name: "a section without its content",
    text: job({ 7: "prefill:", 8: "", 9: "", 10: "" }),
    messages: [
      "job.yaml:7:9 prefill: must be a mapping with num_gpus, replicas and params, not empty.",
    ],
  },
  {
    name: "a section that is a list",
    text: job({ 3: "scheduler: [8021]" }),
    messages: ["job.yaml:3:12 scheduler: must be a mapping of keys, not a list."],
  },
  {
    name: "zero replicas",
    text: job({ 9: "  replicas: 0" }),
    messages: ["job.yaml:9:13 prefill.replicas: must be a whole number from 1 to 256, not 0."],
  },
  {
    name: "negative GPUs",
    text: job({ 8: "  num_gpus: -1" }),
    messages: ["job.yaml:8:13 prefill.num_gpus: must be a whole number from 0 to 4096, not -1."],
  },
  {
    name: "a fraction of a GPU",
    text: job({ 8: "  num_gpus: 0.5" }),
    messages: ["job.yaml:8:13 prefill.num_gpus: must be a whole number from 0 to 4096, not 0.5."],
  },
  {
    name: "a huge number",
    text: job({ 9: "  replicas: 99999999999999999999" }),
    messages: [
      "job.yaml:9:13 prefill.replicas: must be a whole number from 1 to 256, not 100000000000000000000.",
    ],
  },
  {
    name: "a number in quotes",
    text: job({ 1: "num_gpus: '4'" }),
    messages: [
      "job.yaml:1:11 num_gpus: must be a whole number from 0 to 4096, not a number in quotes.",
    ],
  },
  {
    name: "text for a number",
    text: job({ 1: "num_gpus: all" }),
    messages: ["job.yaml:1:11 num_gpus: must be a whole number from 0 to 4096, not text."],
  },
  {
    name: "nothing for a number",
    text: job({ 1: "num_gpus:" }),
    messages: ["job.yaml:1:10 num_gpus: must be a whole number from 0 to 4096, not empty."],
  },
  {
    name: "a list for a number",
    text: job({ 1: "num_gpus: [1, 2]" }),
    messages: ["job.yaml:1:11 num_gpus: must be a whole number from 0 to 4096, not a list."],
  },
  {
    name: "a mapping for a number",
    text: job({ 1: "num_gpus: {decode: 2}" }),
    messages: ["job.yaml:1:11 num_gpus: must be a whole number from 0 to 4096, not a mapping."],
  },
  {
    name: "true for a number",
    text: job({ 1: "num_gpus: true" }),
    messages: ["job.yaml:1:11 num_gpus: must be a whole number from 0 to 4096, not true."],
  },
  {
    name: "a timeout of more than a week",
    text: job({ 2: "timeout: 604801" }),
    messages: [
      "job.yaml:2:10 timeout: must be a whole number of seconds from 1 to 604800, not 604801.",
    ],
  },
  {
    name: "a timeout of zero",
    text: job({ 2: "timeout: 0" }),
    messages: ["job.yaml:2:10 timeout: must be a whole number of seconds from 1 to 604800, not 0."],
  },
  {
    name: "zero GPUs a worker",
    text: job({ 2: "gpus_per_worker: 0" }),
    messages: ["job.yaml:2:18 gpus_per_worker: must be a whole number from 1 to 4096, not 0."],
  },
  {
    name: "a port out of range",
    text: job({ 3: "scheduler: {port: 65536}" }),
    messages: ["job.yaml:3:19 scheduler.port: must be a whole number from 1 to 65535, not 65536."],
  },
  {
    name: "bad values of the optional keys",
    text: job({
      2: "restart: {max_restarts: -1, window: 0}\ndrain: {prefill: -1, decoder: 1}\nstop_grace: soon\nlease: -1\nnum_cpus: 1.5",
    }),
    messages: [
      "job.yaml:2:25 restart.max_restarts: must be a whole number from 0 to 100, not -1.",
      "job.yaml:2:37 restart.window: must be a whole number of seconds from 1 to 604800, not 0.",
      "job.yaml:3:18 drain.prefill: must be a whole number of seconds from 0 to 86400, not -1.",
      "job.yaml:3:22 drain.decoder: is not a known key. Did you mean decode?",
      "job.yaml:4:13 stop_grace: must be a whole number of seconds from 0 to 3600, not text.",
      "job.yaml:5:8 lease: must be a whole number of seconds from 0 to 31536000, not -1.",
      "job.yaml:6:11 num_cpus: must be a whole number from 0 to 1024, not 1.5.",
    ],
  },
  {
    name: "values of a KV config that no connector can use",
    text: job({
      2: 'engine: {version: "0.31"}',
      10: `  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer, kv_port: abc, kv_buffer_size: -3, kv_rank: 1.5, kv_parallel_size: 0, kv_ip: 5, kv_load_failure_policy: retry}}`,
    }),
    messages: [
      'job.yaml:10:93 prefill.params.kv_transfer_config.kv_port: must be a port from 0 to 65535, or "{PORT:kv}", not text.',
      "job.yaml:10:114 prefill.params.kv_transfer_config.kv_buffer_size: must be a number of bytes above 0, not -3.",
      "job.yaml:10:127 prefill.params.kv_transfer_config.kv_rank: must be a whole number from 0 to 4096, not 1.5.",
      "job.yaml:10:150 prefill.params.kv_transfer_config.kv_parallel_size: must be a whole number from 1 to 4096, not 0.",
      "job.yaml:10:160 prefill.params.kv_transfer_config.kv_ip: must be an address, or {KV_IP}, not 5.",
      "job.yaml:10:187 prefill.params.kv_transfer_config.kv_load_failure_policy: must be fail or recompute.",
    ],
  },
  {
    name: "escapes that write no text",
    text: job({ 2: 'working_dir: "/tmp/a\\0b"', 4: 'envs: {A: "\\ud800", "B\\0": x}' }),
    messages: [
      "job.yaml:2:14 working_dir: holds the character U+0000, which no argument, variable or path can hold: remove the escape that writes it.",
      "job.yaml:4:11 envs.A: holds the character U+D800, which no argument, variable or path can hold: remove the escape that writes it.",
      "job.yaml:4:21 envs: holds the character U+0000, which no argument, variable or path can hold: remove the escape that writes it.",
      'job.yaml:4:21 envs["B\\u0000"]: is no name of a variable: use letters, digits and underscores, not starting with a digit.',
    ],
  },
  {
    name: "a number in a mapping that would be rounded",
    text: job({
      6: "  params: {model: m, seed: 12345678901234567890, extra: {n: 12345678901234567890}}",
    }),
    messages: [
      "job.yaml:6:61 general.params.extra.n: is a number with more digits than can be passed on exactly: put it in quotes.",
    ],
  },
  {
    name: "an illegal name",
    text: job({ 2: "name: My_Job" }),
    messages: ["job.yaml:2:7 name: must be 1 to 40 lower-case letters, digits and inner dashes."],
  },
  {
    name: "a number as the name",
    text: job({ 2: "name: 5" }),
    messages: ["job.yaml:2:7 name: is a number, not text: put it in quotes."],
  },
  {
    name: "true as the name",
    text: job({ 2: "name: true" }),
    messages: ["job.yaml:2:7 name: is the value true, not text: put it in quotes."],
  },
  {
    name: "a relative working_dir",
    text: job({ 2: "working_dir: tmp/job" }),
    messages: [
      "job.yaml:2:14 working_dir: must be an absolute path, such as /tmp/pdjob, since it is a folder of each node. To send a folder of yours there, write upload: FOLDER, and leave working_dir out or absolute.",
    ],
  },
  {
    name: "an unknown membership",
    text: job({ 3: "scheduler: {membership: sometimes}" }),
    messages: ["job.yaml:3:25 scheduler.membership: must be builtin, restart, http, file or none."],
  },
  {
    name: "an engine command that is no text",
    text: job({ 2: "engine: {command: [vllm, serve]}" }),
    messages: ["job.yaml:2:19 engine.command: must be a command, as text, not a list."],
  },
  {
    name: "no value for a variable",
    text: job({ 4: "envs: {A: }" }),
    messages: [
      "job.yaml:4:11 envs.A: must be text, a number or true/false ('' for an empty value), not empty.",
    ],
  },
  {
    name: "a list for a variable",
    text: job({ 4: "envs: {A: [1]}" }),
    messages: [
      "job.yaml:4:11 envs.A: must be text, a number or true/false ('' for an empty value), not a list.",
    ],
  },
  {
    name: "a model that is no text",
    text: job({ 6: "  params: {model: 7}" }),
    messages: ["job.yaml:6:19 general.params.model: must be the name or path of a model, not 7."],
  },
  {
    name: "extra parameters that are no text",
    text: job({ 6: "  params: {model: m, _extra_params: [--a]}" }),
    messages: [
      "job.yaml:6:37 general.params._extra_params: must be text with further command line arguments, not a list.",
    ],
  },
  {
    name: "a key that is out of place in the whole file",
    text: job({ 4: "[a, b]: 1", 6: "  params: {}" }),
    messages: [
      "job.yaml:4:1: has a key that is not text: write a name before the colon.",
      "job.yaml:10:3 prefill.params.model: is missing: give the name or path of a model here or in general.params.",
      "job.yaml:14:3 decode.params.model: is missing: give the name or path of a model here or in general.params.",
    ],
  },
  {
    name: "problems everywhere, in the order of the file",
    text: job({
      1: "num_gpus: 0x10000",
      3: "scheduler: {prot: 1}",
      9: "  replicas: many",
      13: "  replicas: -2",
    }),
    messages: [
      "job.yaml:1:11 num_gpus: must be a whole number from 0 to 4096, not 65536.",
      "job.yaml:3:13 scheduler.prot: is not a known key. Did you mean port?",
      "job.yaml:9:13 prefill.replicas: must be a whole number from 1 to 256, not text.",
      "job.yaml:13:13 decode.replicas: must be a whole number from 1 to 256, not -2.",
    ],
  },
];
