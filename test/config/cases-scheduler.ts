import { job } from "./job.ts";
import type { Case } from "./job.ts";

/** Proxies that could not run. */
export const schedulerCases: readonly Case[] = [
  {
    name: "an open quote in the command",
    text: job({ 3: 'scheduler: {command: "proxy --name \'a --port {PORT}"}' }),
    messages: [
      "job.yaml:3:22 scheduler.command: opens a single quote at character 14 that is never closed: close it, or put a backslash before it to mean the character.",
    ],
  },
  {
    name: "a placeholder without its closing brace",
    text: job({ 3: "scheduler: {command: 'proxy {PORT} ${PREFILL_URL_1'}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: holds ${PREFILL_URL_1 without its closing brace: write ${PREFILL_URL_1}.",
    ],
  },
  {
    name: "an empty command",
    text: job({ 3: "scheduler: {command: ''}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: must be the command that starts a proxy, as text, not an empty text.",
    ],
  },
  {
    name: "a blank command",
    text: job({ 3: "scheduler: {command: '  '}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: names no program: write a command, or leave the key out.",
    ],
  },
  {
    name: "an engine command of blanks",
    text: job({ 2: "engine: {command: ' '}" }),
    messages: [
      "job.yaml:2:19 engine.command: names no program: write a command, or leave the key out.",
    ],
  },
  {
    name: "the built-in membership with a command",
    text: job({ 3: "scheduler: {command: 'proxy {PORT}', membership: builtin}" }),
    messages: [
      "job.yaml:3:50 scheduler.membership: is builtin, but scheduler.command starts another proxy: remove one of the two, or write restart, http, file or none.",
    ],
  },
  {
    name: "a membership for no command",
    text: job({ 3: "scheduler: {membership: restart}" }),
    messages: [
      "job.yaml:3:25 scheduler.membership: is restart, but there is no scheduler.command: give one, or remove membership (the built-in proxy is told live).",
    ],
  },
  {
    name: "an index above the replicas",
    text: job({ 3: "scheduler: {command: 'proxy {PORT} $PREFILL_HOST_3 ${DECODE_URL_12}'}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: holds $PREFILL_HOST_3, but prefill.replicas is 2: use 1 to 2, raise prefill.replicas, or name them all with $PREFILL_HOSTS, $PREFILL_PORTS or $PREFILL_URLS.",
      "job.yaml:3:22 scheduler.command: holds ${DECODE_URL_12}, but decode.replicas is 2: use 1 to 2, raise decode.replicas, or name them all with $DECODE_HOSTS, $DECODE_PORTS or $DECODE_URLS.",
    ],
  },
  {
    name: "the index zero",
    text: job({ 3: "scheduler: {command: 'proxy {PORT} $PREFILL_HOST_0'}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: holds $PREFILL_HOST_0, but replicas are counted from 1.",
    ],
  },
  {
    name: "a misspelt placeholder",
    text: job({ 3: "scheduler: {command: 'proxy {PORT} $PREFIL_HOST_1 $DECODE_URLZ {PROT}'}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: holds {PROT}, which is no placeholder. Did you mean {PORT}?",
      "job.yaml:3:22 scheduler.command: holds $PREFIL_HOST_1, which is no placeholder. Did you mean $PREFILL_HOST_N?",
      "job.yaml:3:22 scheduler.command: holds $DECODE_URLZ, which is no placeholder. Did you mean $DECODE_URLS?",
    ],
  },
  {
    name: "a placeholder that nobody knows",
    text: job({ 3: "scheduler: {command: 'proxy {PORT} $PREFILL_COLOUR {HOST}'}" }),
    messages: [
      "job.yaml:3:22 scheduler.command: holds {HOST}, which is no placeholder. Known here: {PORT}.",
      "job.yaml:3:22 scheduler.command: holds $PREFILL_COLOUR, which is no placeholder. Known: {PORT}; $PREFILL_HOST_N, $PREFILL_HOSTS and $PREFILL_HOST, the same with PORT, URL and NAME_PORT; $PREFILL_COUNT; all of them with DECODE.",
    ],
  },
  {
    name: "choices that the built-in proxy does not have",
    text: job({
      3: "scheduler: {selection: {prefill: random, decode: prefix-affinity, ramp: -1, ejection: 0, silences: 3}}",
    }),
    messages: [
      "job.yaml:3:34 scheduler.selection.prefill: must be least-loaded, power-of-two or prefix-affinity.",
      "job.yaml:3:50 scheduler.selection.decode: must be least-loaded or power-of-two.",
      "job.yaml:3:73 scheduler.selection.ramp: must be a whole number of seconds from 0 to 3600, not -1.",
      "job.yaml:3:87 scheduler.selection.ejection: must be a whole number of seconds from 1 to 3600, not 0.",
      "job.yaml:3:90 scheduler.selection.silences: is not a known key. Did you mean silence?",
    ],
  },
  {
    name: "a decode that nobody can stand in for",
    text: job({ 3: "scheduler: {degraded: {prefill: local, decode: decode-local}}" }),
    messages: [
      "job.yaml:3:33 scheduler.degraded.prefill: must be fail or decode-local.",
      "job.yaml:3:48 scheduler.degraded.decode: must be fail, the only way there is: without a decode replica nobody generates an answer.",
    ],
  },
  {
    name: "what is for the built-in proxy, for another one",
    text: job({
      3: "scheduler: {command: 'proxy {PORT}', selection: {ramp: 3}, degraded: {prefill: decode-local}}",
    }),
    messages: [
      "job.yaml:3:38 scheduler.selection: is for the built-in proxy, but scheduler.command starts another: remove one of the two.",
      "job.yaml:3:60 scheduler.degraded: is for the built-in proxy, but scheduler.command starts another: remove one of the two.",
    ],
  },
  {
    name: "decode engines of which nobody knows whether they compute prompts",
    text: job({
      3: "scheduler: {degraded: {prefill: decode-local}}",
      10: `  params: {kv_transfer_config: '{"kv_connector":"Mine","kv_connector_module_path":"my.module","kv_role":"kv_producer"}'}`,
      14: `  params: {kv_transfer_config: '{"kv_connector":"Mine","kv_connector_module_path":"my.module","kv_role":"kv_consumer"}'}`,
    }),
    messages: [
      "job.yaml:3:33 scheduler.degraded.prefill: is decode-local, but it is not known that decode engines of Mine compute a prompt that they get no KV for: write fail, or leave it out.",
    ],
  },
  {
    name: "limits out of their bounds",
    text: job({
      3: "scheduler: {limits: {max_body_mib: 0, max_requests: 65537, max_waiting: 1.5, max_wait: 10m, max_memory_mib: -1}}",
    }),
    messages: [
      "job.yaml:3:36 scheduler.limits.max_body_mib: must be a whole number from 1 to 1024, not 0.",
      "job.yaml:3:53 scheduler.limits.max_requests: must be a whole number from 1 to 65536, not 65537.",
      "job.yaml:3:73 scheduler.limits.max_waiting: must be a whole number from 0 to 65536, not 1.5.",
      "job.yaml:3:88 scheduler.limits.max_wait: must be a whole number of seconds from 0 to 600, not text.",
      "job.yaml:3:109 scheduler.limits.max_memory_mib: must be a whole number from 1 to 65536, not -1.",
    ],
  },
  {
    name: "memory in which no body that is allowed has room",
    text: job({ 3: "scheduler: {limits: {max_memory_mib: 32}}" }),
    messages: [
      "job.yaml:3:38 scheduler.limits.max_memory_mib: is less than max_body_mib, which is 64: raise it, or lower max_body_mib.",
    ],
  },
  {
    name: "limits of a proxy that is not ours",
    text: job({ 3: "scheduler: {command: 'proxy {PORT}', limits: {}}" }),
    messages: [
      "job.yaml:3:38 scheduler.limits: is for the built-in proxy, but scheduler.command starts another: remove one of the two.",
    ],
  },
  {
    name: "keys that are no references",
    text: job({
      3: "scheduler: {auth: {inference: [secret-key, 'env:', 'file:keys'], admin: env:KEY, users: []}}",
    }),
    messages: [
      "job.yaml:3:32 scheduler.auth.inference[0]: must be a reference to keys and no key, which Temporal would keep and show: env:NAME, a variable where the worker runs, or file:/PATH.",
      "job.yaml:3:44 scheduler.auth.inference[1]: must be a reference to keys and no key, which Temporal would keep and show: env:NAME, a variable where the worker runs, or file:/PATH.",
      "job.yaml:3:52 scheduler.auth.inference[2]: must be a reference to keys and no key, which Temporal would keep and show: env:NAME, a variable where the worker runs, or file:/PATH.",
      "job.yaml:3:73 scheduler.auth.admin: must be a list of 0 to 64 references to keys, such as [env:NAME, file:/PATH], not text.",
      'job.yaml:3:82 scheduler.auth.users: is not a known key: remove "users", or use one of inference, admin.',
    ],
  },
  {
    name: "keys for nothing but metrics, and for a proxy that is not ours",
    text: job({ 3: "scheduler: {command: 'proxy {PORT}', auth: {admin: []}}" }),
    messages: [
      "job.yaml:3:38 scheduler.auth.inference: is missing: give a list of 1 to 64 references to keys, such as [env:NAME, file:/PATH].",
      "job.yaml:3:38 scheduler.auth: is for the built-in proxy, but scheduler.command starts another: remove one of the two.",
    ],
  },
];
