import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { agentError, answer, greeting, verbResults } from "../../src/ray/contract.ts";
import type { Verb } from "../../src/ray/contract.ts";
import type { VerbArgs } from "../../src/ray/verbs.ts";

/*
 * test/fixtures/agent-protocol holds examples of every verb, which the Python suite runs against the agent's verbs
 * (agent/tests/test_contract.py). Here the same files are held to what TypeScript sends and expects, field for field.
 */
const folder = "test/fixtures/agent-protocol";

const example = z.strictObject({
  name: z.string(),
  /** How the Python suite's cluster in memory stands before. */
  given: z.record(z.string(), z.unknown()).optional(),
  args: z.record(z.string(), z.unknown()),
  result: z.unknown().optional(),
  error: agentError.strict().optional(),
});
const fixture = z.strictObject({ verb: z.string(), cases: z.array(example).min(1) });
const exchanges = z.array(z.object({ name: z.string(), line: z.string(), answer: z.unknown() }));
const linesFile = z.object({ hello: z.unknown(), fatal: z.unknown(), exchanges });

const read = (name: string): unknown => JSON.parse(readFileSync(`${folder}/${name}`, "utf8"));
const verbs = Object.keys(verbResults).toSorted();
const fixtures = new Map(verbs.map((verb) => [verb, fixture.parse(read(`${verb}.json`))]));
const casesOf = (verb: string) => fixtures.get(verb)?.cases ?? [];
const lines = linesFile.parse(read("lines.json"));

const replica = "demo-prefill-0-g1";
const member = {
  name: "demo-prefill-0-g2",
  role: "prefill",
  url: "http://10.0.0.7:20417",
  ports: { side_channel: 20_500 },
  pairings: [1, 2],
} as const;
const call = (verb: string) => ({
  method: "POST",
  url: `/instances/${verb}`,
  headers: { "X-API-Key": "k" },
  body: '{"type":"prefill","instances":["10.0.0.7:20417"]}',
  accept: [409],
});
const telling = {
  kind: "http",
  calls: [{ name: member.name, add: call("add"), remove: call("remove") }],
  list: { method: "GET", url: "/list_workers", headers: {} },
} as const;

/** The arguments of each verb, every optional one given: the compiler holds them to `VerbArgs`, the test to the files. */
const fullArgs: { readonly [V in Verb]: Required<VerbArgs[V]> } = {
  ping: {},
  nodes: {},
  probeEngine: {
    nodeId: "d3b0",
    argv: ["vllm", "--version"],
    package: "vllm",
    env: { HF_HUB_OFFLINE: "1" },
    cwd: "/tmp/pdjob-demo",
    timeoutS: 90,
  },
  ensurePlacementGroup: {
    name: replica,
    bundles: [{ GPU: 2, CPU: 1 }],
    strategy: "STRICT_PACK",
    graceS: 30,
    mustExist: false,
  },
  removePlacementGroup: { name: replica },
  ensureReplica: {
    name: replica,
    placementGroup: replica,
    bundle: 0,
    gpus: 2,
    cpus: 0,
    ports: [
      { name: "http", span: 1 },
      { name: "side_channel", span: 2 },
    ],
    leaseS: 86_400,
    graceS: 30,
    package: "gcs://_ray_pkg_0123.zip",
  },
  startEngine: {
    name: replica,
    argv: ["vllm", "serve", "m", "--host", "10.0.0.7", "--port", "20417"],
    env: { HF_HUB_OFFLINE: "1" },
    cwd: "/tmp/pdjob-demo",
    specHash: "0123456789abcdef",
    labels: { revision: "0f0f0f0f0f0f", kvRevision: "f0f0f0f0f0f0" },
    probe: {
      path: "/health",
      intervalS: 0.5,
      timeoutS: 10,
      stall: { afterS: 30, ask: { model: "llama", key: "k" } },
    },
    files: [{ path: ".pdjob/files/demo-prefill-0-g1/lmcache.yaml", text: "enable_pd: True\n" }],
    emptied: [".pdjob/kv/demo"],
  },
  replicaStatus: { name: "demo-prefill-0-g2" },
  stopReplica: { name: replica, graceS: 30 },
  ensureProxy: {
    name: "demo-proxy-g1",
    argv: ["proxy", "--port", "8021"],
    env: {},
    cwd: "/tmp/pdjob-demo",
    host: "0.0.0.0",
    port: 8021,
    builtin: false,
    files: [{ path: "a.conf", text: "…" }],
    specHash: "fedcba9876543210",
    leaseS: 86_400,
    startTimeoutS: 0.05,
    elapsedS: 0,
    graceS: 30,
    mustExist: false,
    run: 1,
    membership: { generation: 0, members: [member] },
    telling,
    package: "gcs://_ray_pkg_0123.zip",
  },
  setMembership: {
    name: "demo-proxy-g1",
    membership: { generation: 3, members: [member] },
    telling,
  },
  engineLoad: { name: "demo-decode-0-g1" },
  canary: {
    name: "demo-decode-0-g1",
    prefill: { url: "http://10.0.0.7:20417", key: "k" },
    decode: { url: "http://10.0.0.8:20418", key: "k" },
    handOver: "params",
    model: "llama",
    timeoutS: 30,
  },
  retireProxy: { name: "demo-proxy-g1" },
  stopProxy: { name: "demo-proxy-g1", graceS: 30 },
  list: { job: "demo", leaseS: 86_400, nodes: true },
  jobs: {},
  logs: { name: replica, offset: 100, maxBytes: 65_536 },
  upload: { directory: "$FIXTURES/upload", package: "gcs://_ray_pkg_0123.zip" },
  logFile: {
    name: replica,
    workingDir: "/tmp/pdjob-demo",
    host: "10.0.0.7",
    offset: 100,
    maxBytes: 65_536,
  },
  checkHead: { port: 8021 },
  sweep: { job: "demo", dryRun: false, workingDirs: ["/tmp/pdjob-demo"] },
};

test("every verb has a file of examples, and no file is of no verb", () => {
  const files = readdirSync(folder).map((name) => name.replace(/\.json$/, ""));
  expect(files.toSorted()).toEqual([...verbs, "lines"].toSorted());
  for (const [verb, { verb: named }] of fixtures) expect(named).toBe(verb);
});

test("docs/agent-protocol.md has a row for every verb, and no other", () => {
  const page = readFileSync("docs/agent-protocol.md", "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, verb]) => verb);
  expect(new Set(rows)).toEqual(new Set(verbs));
});

describe.each(verbs)("%s", (verb) => {
  test("its first example has every argument, as we send them", () => {
    expect(casesOf(verb)[0]?.args).toEqual(fullArgs[verb as Verb]);
  });

  test("no example has a field that we do not know", () => {
    const schema = verbResults[verb as Verb];
    for (const { result, error } of casesOf(verb)) {
      if (error === undefined) expect(schema.parse(result)).toEqual(result);
    }
  });
});

test("every field that we know is in an example", () => {
  // Some verbs share an answer's type: one example of a field is enough.
  const seen = new Set(
    verbs.flatMap((verb) => casesOf(verb)).flatMap(({ result }) => pathsOf(result)),
  );
  const known = Object.values(verbResults).flatMap((schema) => fieldsOf(schema));
  expect(known.length).toBeGreaterThan(80);
  expect(known.filter((path) => !seen.has(path))).toEqual([]);
});

test("the lines of the wire parse as what they are", () => {
  for (const line of [lines.hello, lines.fatal]) expect(greeting.parse(line)).toEqual(line);
  for (const { answer: line } of lines.exchanges) expect(answer.parse(line)).toEqual(line);
});

/** `replicas[].exit.code`: every field of an object schema, however deep. Records hold names of their own: none. */
function fieldsOf(schema: z.core.$ZodType, path = ""): readonly string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault)
    return fieldsOf(schema.unwrap(), path);
  if (schema instanceof z.ZodNullable) return fieldsOf(schema.unwrap(), path);
  if (schema instanceof z.ZodArray) return fieldsOf(schema.element, `${path}[]`);
  if (schema instanceof z.ZodUnion)
    return schema.options.flatMap((option: z.core.$ZodType) => fieldsOf(option, path));
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([key, child]) => {
    const at = path === "" ? key : `${path}.${key}`;
    return [at, ...fieldsOf(child as z.core.$ZodType, at)];
  });
}

function pathsOf(value: unknown, path = ""): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsOf(item, `${path}[]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    const at = path === "" ? key : `${path}.${key}`;
    return [at, ...pathsOf(child, at)];
  });
}
