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
];
