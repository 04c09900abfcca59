#!/usr/bin/env node
// A stand-in for external proxies whose members change while they run. By an admin API as vllm-ascend's load balancer has
// it: POST /instances/add and /instances/remove with {type, instances}; GET /instances, and GET /calls for what it was
// told so far. Or by a file that it watches: --members FILE with {prefill: [URL], decode: [URL]}. While --refuse-when FILE exists,
// the API answers 503.
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { serve } from "./pd-relay.mjs";

const { values } = parseArgs({
  options: {
    port: { type: "string" },
    members: { type: "string" },
    "refuse-when": { type: "string" },
  },
});
const calls = [];
let pool = { prefill: [], decode: [] };

const change = (verb, edit) => (text) => {
  const { type, instances } = JSON.parse(text);
  calls.push(`${verb} ${type} ${instances.join(",")}`);
  if (values["refuse-when"] && existsSync(values["refuse-when"]))
    return [503, { detail: "instances are locked" }];
  pool = {
    ...pool,
    [type]: edit(
      pool[type],
      instances.map((at) => `http://${at}`),
    ),
  };
  return [200, { message: "ok" }];
};

// A real one would not be told of a change; it looks.
const read = () => (pool = JSON.parse(readFileSync(values.members, "utf8")));
if (values.members) {
  read();
  setInterval(read, 100);
}

serve({
  host: "0.0.0.0",
  port: Number(values.port),
  pool: () => pool,
  routes: {
    "GET /instances": () => [200, pool],
    "GET /calls": () => [200, calls],
    "POST /instances/add": change("add", (urls, more) => [...new Set([...urls, ...more])]),
    "POST /instances/remove": change("remove", (urls, less) =>
      urls.filter((url) => !less.includes(url)),
    ),
  },
});
