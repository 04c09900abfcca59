#!/usr/bin/env node
// A stand-in for vLLM's toy_proxy_server.py: its flags (several values each, singular spellings too), its defaults, its
// fixed members. Extra: --exit-when FILE ends it with an error as soon as that file exists, and --chatter BYTES makes it
// print so much before it listens.
import { existsSync, writeSync } from "node:fs";
import { serve } from "./pd-relay.mjs";

const flags = {
  port: ["8000"],
  host: ["127.0.0.1"],
  "prefiller-hosts": ["localhost"],
  "prefiller-ports": ["8100"],
  "decoder-hosts": ["localhost"],
  "decoder-ports": ["8200"],
  "exit-when": [],
  chatter: ["0"],
};

let current;
for (const word of process.argv.slice(2)) {
  if (word.startsWith("--")) {
    const name = word.slice(2);
    current = name in flags ? name : `${name}s`;
    if (!(current in flags)) fail(`unrecognized arguments: ${word}`);
    flags[current] = [];
  } else if (current) flags[current].push(word);
  else fail(`unrecognized arguments: ${word}`);
}

const instances = (role) => {
  const hosts = flags[`${role}-hosts`];
  const ports = flags[`${role}-ports`];
  if (hosts.length !== ports.length)
    fail(`Number of ${role} hosts must match number of ${role} ports`);
  return hosts.map((host, index) => `http://${host}:${ports[index]}`);
};
const pool = { prefill: instances("prefiller"), decode: instances("decoder") };

const [exitWhen] = flags["exit-when"];
if (exitWhen) {
  const check = () => existsSync(exitWhen) && fail(`KeyError: ${exitWhen}`);
  check();
  setInterval(check, 50);
}

const line = "INFO:     127.0.0.1:40000 - POST /v1/completions HTTP/1.1 200 OK\n";
for (let left = Number(flags.chatter[0]); left > 0; left -= line.length * 1_000)
  writeSync(1, line.repeat(1_000));

serve({
  host: flags.host[0],
  port: Number(flags.port[0]),
  pool: () => pool,
  routes: {
    "GET /healthcheck": () => [
      200,
      {
        status: "ok",
        prefill_instances: pool.prefill.length,
        decode_instances: pool.decode.length,
      },
    ],
  },
});

function fail(message) {
  process.stderr.write(`Traceback (most recent call last):\n${message}\n`);
  process.exit(7);
}
