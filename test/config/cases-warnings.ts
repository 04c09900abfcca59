import { job } from "./job.ts";
import type { Case } from "./job.ts";

/** Files that are accepted, with a warning. */
export const warningsCases: readonly Case[] = [
  {
    name: "literal secrets",
    text: job({
      4: "envs: {HF_TOKEN: abcdefgh, OTHER: hf_abcdefghijkl, TOKENIZERS_PARALLELISM: 'false', KEY_FILE_TOKEN: /run/secret, SIM_TOKEN_MS: '5', A_TOKEN: env:A_TOKEN, B_TOKEN: file:/b}",
      6: "  params: {model: m, api_key: open-sesame, tokenizer: t, _extra_params: --hf-token hf_abcdefghijkl}",
    }),
    messages: [
      "job.yaml:4:18 envs.HF_TOKEN: warning: looks like a secret in plain text, which Temporal would keep and show: write env:HF_TOKEN (set HF_TOKEN where the worker runs) or file:/PATH.",
      "job.yaml:4:35 envs.OTHER: warning: looks like a secret in plain text, which Temporal would keep and show: write env:OTHER (set OTHER where the worker runs) or file:/PATH.",
      "job.yaml:6:31 general.params.api_key: warning: looks like it holds a secret in plain text, which Temporal would keep and show: hand it over in envs, as env:NAME or file:/PATH.",
      "job.yaml:6:73 general.params._extra_params: warning: looks like it holds a secret in plain text, which Temporal would keep and show: hand it over in envs, as env:NAME or file:/PATH.",
    ],
  },
  {
    name: "literal secrets in the headers of a proxy's requests",
    text: job({
      3: "scheduler: {command: 'p {PORT}', http: {add: {url: '/{URL}', headers: {X-API-Key: abc, X: y}}, list: {url: /l, headers: {authorization: env:AUTH}}}}",
    }),
    messages: [
      "job.yaml:3:83 scheduler.http.add.headers.X-API-Key: warning: looks like a secret in plain text, which Temporal would keep and show: write env:NAME (set NAME where the worker runs) or file:/PATH.",
    ],
  },
  {
    name: "a file that the proxy's command does not name",
    text: job({ 3: "scheduler: {command: 'proxy {PORT}', file: {path: members.json}}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: warning: does not name scheduler.file.path: does the proxy watch that file? Its command runs in working_dir.",
    ],
  },
  {
    name: "booleans of YAML 1.1",
    text: job({
      6: "  params: {model: m, enable_prefix_caching: yes, enforce_eager: Off, quoted: 'yes'}",
    }),
    messages: [
      'job.yaml:6:45 general.params.enable_prefix_caching: warning: is the text "yes": write true, or put it in quotes if you mean the text.',
      'job.yaml:6:65 general.params.enforce_eager: warning: is the text "Off": write false, or put it in quotes if you mean the text.',
    ],
  },
  {
    name: "more ranks than GPUs",
    text: job({ 6: "  params: {model: m, tensor_parallel_size: 2, data_parallel_size: 4}" }),
    messages: [
      "job.yaml:8:13 prefill.num_gpus: warning: is 1, but data_parallel_size 4 × tensor_parallel_size 2 needs 8 GPUs a replica: raise num_gpus to 8, or lower the sizes.",
      "job.yaml:12:13 decode.num_gpus: warning: is 1, but data_parallel_size 4 × tensor_parallel_size 2 needs 8 GPUs a replica: raise num_gpus to 8, or lower the sizes.",
    ],
  },
  {
    name: "a command that expects a shell",
    text: job({ 3: "scheduler: {command: 'proxy $HOME {PORT}'}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: warning: holds $HOME, which stays as it is, since no shell runs the command: write the value, or start with sh -c.",
    ],
  },
  {
    name: "a proxy that is not told its port",
    text: job({ 3: "scheduler: {command: 'proxy --hosts $PREFILL_HOSTS'}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: warning: does not tell the proxy its port: add {PORT}, such as --port {PORT}, or set scheduler.port to the port it takes by itself.",
    ],
  },
];
