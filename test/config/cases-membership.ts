import { job } from "./job.ts";
import type { Case } from "./job.ts";

const named = "command: 'p {PORT} --prefill=$PREFILL_URL --decode=$DECODE_URL'";
const scheduler = (text: string): string => job({ 3: `scheduler: {${named}, ${text}}` });
/** Where `text` begins in `scheduler(text)`. */
const at = `scheduler: {${named}, `.length + 1;
const both = "{url: '/x?u={URL}'}";

/** Proxies that could not be told of their members. */
export const membershipCases: readonly Case[] = [
  {
    name: "http without a description",
    text: scheduler("membership: http"),
    messages: [
      `job.yaml:3:${at + 12} scheduler.membership: is http, but scheduler.http does not say how: give its requests, add and remove.`,
    ],
  },
  {
    name: "a file without a description",
    text: scheduler("membership: file"),
    messages: [
      `job.yaml:3:${at + 12} scheduler.membership: is file, but scheduler.file does not say which: give its path.`,
    ],
  },
  {
    name: "http without add and remove",
    text: scheduler("http: {list: {url: /list}}"),
    messages: [
      `job.yaml:3:${at} scheduler.http: needs add, remove or both: what is left out takes a restart of the proxy.`,
    ],
  },
  {
    name: "requests for a proxy that is restarted",
    text: scheduler(`membership: restart, http: {add: ${both}}`),
    messages: [
      `job.yaml:3:${at + 21} scheduler.http: is given, but scheduler.membership is restart: write http there, or remove this.`,
    ],
  },
  {
    name: "two ways at once",
    text: scheduler(`http: {add: ${both}}, file: {path: p}`),
    messages: [
      `job.yaml:3:${at + 34} scheduler.file: is given beside scheduler.http, but a proxy is told in one way: remove one of the two.`,
    ],
  },
  {
    name: "an adapter without a command",
    text: job({ 3: `scheduler: {http: {add: ${both}}}` }),
    messages: [
      "job.yaml:3:13 scheduler.http: is given, but there is no scheduler.command: give the command of a proxy, or remove this (the built-in proxy is told live).",
    ],
  },
  {
    name: "a membership of files without a command",
    text: job({ 3: "scheduler: {membership: file, file: {path: members.json}}" }),
    messages: [
      "job.yaml:3:25 scheduler.membership: is file, but there is no scheduler.command: give one, or remove membership (the built-in proxy is told live).",
    ],
  },
  {
    name: "additions by a command line that names nobody",
    text: job({ 3: `scheduler: {command: 'p {PORT} $PREFILL_URLS', http: {remove: ${both}}}` }),
    messages: [
      "job.yaml:3:48 scheduler.http: has no add, so that new replicas take a restart with another command line: name the replicas of both roles in scheduler.command, such as --prefill=$PREFILL_URL --decode=$DECODE_URL.",
    ],
  },
  {
    name: "URLs of another kind",
    text: scheduler(
      "http: {add: {url: 'remove?u={URL}'}, remove: {url: 'https://h/{URL}'}, list: {url: '//h/x'}}",
    ),
    messages: [
      `job.yaml:3:${at + 18} scheduler.http.add.url: must be a path that starts with one /, or a URL that starts with http://, without blanks.`,
      `job.yaml:3:${at + 51} scheduler.http.remove.url: must be a path that starts with one /, or a URL that starts with http://, without blanks.`,
      `job.yaml:3:${at + 83} scheduler.http.list.url: must be a path that starts with one /, or a URL that starts with http://, without blanks.`,
    ],
  },
  {
    name: "a request without a URL for one role",
    text: scheduler("http: {add: {prefill: {url: '/p/{URL}'}}}"),
    messages: [
      `job.yaml:3:${at + 7} scheduler.http.add: has no url for decode replicas: give url, or one in prefill and one in decode.`,
    ],
  },
  {
    name: "placeholders that nobody knows",
    text: scheduler(
      "http: {add: {url: '/x/{URI}', body: {a: ['{#PROT}', '{KV_IP}']}}, remove: {url: '/{NODE_NAME}/{PORT:nope}'}}",
    ),
    messages: [
      `job.yaml:3:${at + 18} scheduler.http.add.url: holds {URI}, which is no placeholder. Did you mean {URL}?`,
      `job.yaml:3:${at + 41} scheduler.http.add.body.a[0]: holds {PROT}, which is no placeholder. Did you mean {PORT}?`,
      `job.yaml:3:${at + 52} scheduler.http.add.body.a[1]: holds {KV_IP}, which is no placeholder. Known here: {URL}, {HOST}, {PORT}, {ROLE}, {NODE_NAME}, {INDEX}, {GENERATION}.`,
      `job.yaml:3:${at + 80} scheduler.http.remove.url: holds {PORT:nope}, but prefill engines have no port of that name: put what only one role has into its prefill or decode.`,
      `job.yaml:3:${at + 80} scheduler.http.remove.url: holds {PORT:nope}, but decode engines have no port of that name: put what only one role has into its prefill or decode.`,
    ],
  },
  {
    name: "a request that names no replica, for both roles and for one",
    text: scheduler(
      "http: {add: {url: '/x/{ROLE}', headers: {a: '{GENERATION}'}}, remove: {url: '/{URL}', decode: {url: /x}}}",
    ),
    messages: [
      `job.yaml:3:${at + 7} scheduler.http.add: is the same for every replica: put {URL}, {HOST} and {PORT}, or {NODE_NAME} into its url or body.`,
      `job.yaml:3:${at + 62} scheduler.http.remove: is the same for every decode replica: put {URL}, {HOST} and {PORT}, or {NODE_NAME} into its url or body.`,
    ],
  },
  {
    name: "a list for one replica",
    text: scheduler(`http: {add: ${both}, list: {url: '/list?u={URL}'}}`),
    messages: [
      `job.yaml:3:${at + 45} scheduler.http.list.url: holds a placeholder, but the list is asked for once, and not for each replica: remove it.`,
    ],
  },
  {
    name: "a body that is never sent, a strange status, method, header and key",
    text: scheduler(
      "http: {add: {url: '/{URL}', method: GET, body: {a: 1}}, remove: {url: '/{URL}', method: get, accept: [200], headers: {'a b': x}, path: /x}}",
    ),
    messages: [
      `job.yaml:3:${at + 41} scheduler.http.add.body: is given, but a GET request has none: choose another method.`,
      `job.yaml:3:${at + 88} scheduler.http.remove.method: must be GET, POST, PUT, PATCH or DELETE.`,
      `job.yaml:3:${at + 102} scheduler.http.remove.accept[0]: must be a whole number from 300 to 599, not 200.`,
      `job.yaml:3:${at + 118} scheduler.http.remove.headers["a b"]: must be the name of an HTTP header.`,
      `job.yaml:3:${at + 129} scheduler.http.remove.path: is not a known key: remove "path", or use one of method, url, headers, body, accept, prefill, decode.`,
    ],
  },
  {
    name: "a reference that names nothing",
    text: scheduler("http: {add: {url: '/{URL}', headers: {k: 'env:', f: file:x}}}"),
    messages: [
      `job.yaml:3:${at + 41} scheduler.http.add.headers.k: refers to a variable, but names none: write env:NAME.`,
      `job.yaml:3:${at + 52} scheduler.http.add.headers.f: refers to a file without an absolute path: write file:/PATH.`,
    ],
  },
  {
    name: "paths that leave the folder or name one",
    text: job({
      3: "scheduler: {command: 'p {PORT} ../m a/ ', file: {path: ../m}}",
      2: "gpus_per_worker: 1",
    }),
    messages: [
      "job.yaml:3:56 scheduler.file.path: must be the path of a file without .., relative to working_dir or absolute.",
    ],
  },
  {
    name: "a path that is a folder's",
    text: job({ 3: "scheduler: {command: 'p {PORT} /etc/x/', file: {path: /etc/x/}}" }),
    messages: [
      "job.yaml:3:55 scheduler.file.path: must be the path of a file without .., relative to working_dir or absolute.",
    ],
  },
  {
    name: "a file without a path",
    text: job({ 3: "scheduler: {command: 'p {PORT}', file: {content: x}}" }),
    messages: [
      "job.yaml:3:34 scheduler.file.path: is missing: give the path of the file that the proxy watches.",
    ],
  },
  {
    name: "a file that names replicas by number, or strangely",
    text: job({
      3: "scheduler: {command: 'p {PORT} m', file: {path: m, content: {a: ['$PREFILL_URL_1'], b: \"${DECODE_URL_2}\\n$DECODE_COLOUR\\n$PREFILL_HOST:$DECODE_PORT\"}}}",
    }),
    messages: [
      "job.yaml:3:66 scheduler.file.content.a[0]: holds $PREFILL_URL_1, but replicas come and go while the proxy runs: write $PREFILL_URLS for all of them, or $PREFILL_URL in a line of its own for each.",
      "job.yaml:3:88 scheduler.file.content.b: holds ${DECODE_URL_2}, but replicas come and go while the proxy runs: write $DECODE_URLS for all of them, or $DECODE_URL in a line of its own for each.",
      "job.yaml:3:88 scheduler.file.content.b: holds $DECODE_COLOUR, which is no placeholder. Known: {PORT}; $PREFILL_HOST_N, $PREFILL_HOSTS and $PREFILL_HOST, the same with PORT, URL and NAME_PORT; $PREFILL_COUNT; all of them with DECODE.",
      "job.yaml:3:88 scheduler.file.content.b: names each prefill and each decode replica in one line, which is repeated for one of them only: use a list, such as $PREFILL_URLS, for the other.",
    ],
  },
  {
    name: "a word of the command for each of both roles, and a port that engines do not have",
    text: job({
      3: "scheduler: {command: 'p {PORT} $PREFILL_URL=$DECODE_URL $PREFILL_BOOTSTRAP_PORT_1 $DECODE_SIDE_CHANNEL_PORTS'}",
    }),
    messages: [
      "job.yaml:3:22 scheduler.command: holds $PREFILL_BOOTSTRAP_PORT_1, but prefill engines have no port called bootstrap. They have side_channel: name one with {PORT:bootstrap} in prefill's params or envs.",
      "job.yaml:3:22 scheduler.command: names each prefill and each decode replica in one word, which is repeated for one of them only: use a list, such as $PREFILL_URLS, for the other.",
    ],
  },
];
