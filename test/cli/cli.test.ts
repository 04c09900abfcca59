import { createServer } from "node:net";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readNodes } from "../../src/cli/node-list.ts";
import { columns, shellLine } from "../../src/cli/output.ts";
import { planOf } from "../../src/cli/plan.ts";
import { membershipAdapters } from "../../src/domain/membership.ts";
import { buildPrograms, root, runProgram } from "../support/program.ts";
import { makeSpec } from "../support/spec.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-cli-"));
const verbs = [
  "start",
  "validate",
  "plan",
  "status",
  "list",
  "scale",
  "apply",
  "history",
  "undo",
  "pause",
  "resume",
  "abort",
  "restart",
  "logs",
  "stop",
  "cleanup",
  "doctor",
  "dev",
  "quickstart",
  "completion",
];

beforeAll(buildPrograms, 90_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The real program, with no server, no cluster and no embedded stack to find. */
const nowhere = { PDJOB_STATE_DIR: dir, TEMPORAL_ADDRESS: "127.0.0.1:9" };
const run = (...words: string[]) => runProgram("pdjob-client", words, nowhere);

function file(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}

test("--help lists every verb, and the README has each", async () => {
  const { stdout, exitCode } = await run("--help");
  expect(exitCode).toBe(0);
  const [, commands = ""] = stdout.split("\nCommands:\n");
  const listed = [...commands.matchAll(/^  ([a-z]+) /gm)].map(([, verb]) => verb);
  expect(listed).toEqual([...verbs, "help"]);
  const readme = readFileSync(join(root, "README.md"), "utf8");
  expect(verbs.filter((verb) => !new RegExp(`\`${verb}[ \`]`).test(readme))).toEqual([]);
});

test.each(verbs)("%s --help shows examples", async (verb) => {
  const { stdout, exitCode } = await run(verb, "--help");
  expect([exitCode, /Examples:\n  (pdjob-client|npm)/.test(stdout)]).toEqual([0, true]);
});

describe("exit code 2 and what to do, when", () => {
  test.each([
    [["status"], "error: missing required argument 'job'"],
    [["nope"], "error: unknown command 'nope'"],
    [
      ["scale", "demo", "decode"],
      "decode: expected prefill=N or decode=N. Example: pdjob-client scale JOB prefill=2 decode=3",
    ],
    [
      ["start", "missing.yaml"],
      "missing.yaml: there is no such file. Give the path of a job's YAML file; examples are in examples/.",
    ],
    [["start", "examples"], "examples: this is a folder."],
    [
      ["logs", "demo", "decode-0"],
      "Which Ray cluster? Give --ray-address HOST:PORT or set RAY_ADDRESS",
    ],
    [
      ["logs", "demo", "decode-0", "--tail", "x"],
      "--tail: expected a number of lines from 1 to 10000, or all.",
    ],
    [["logs", "demo", "decode-0", "--generation", "0"], "--generation: expected a number from 1"],
    [
      ["logs", "demo", "decode-0", "--generation", "2", "--previous"],
      "Give --generation or --previous, not both.",
    ],
    [["dev", "--nodes", "0"], "--nodes 0: expected a whole number above 0."],
    [["dev", "--port", "70000"], "--port 70000: expected a port, from 1 to 65535."],
    [["scale", "demo", "decode=1", "decode=2"], "decode is given twice: decode=1 decode=2"],
    [["list", "--profile", "nope"], "temporal.toml: there is no profile nope. It has none."],
  ])("%j", async (words, message) => {
    const { exitCode, stderr } = await run(...words);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(2);
    expect(stderr).not.toContain("    at ");
  });

  test("the config is wrong: every problem is told, and nothing is started", async () => {
    const bad = file("bad.yaml", "num_gpus: 4\nprefill: {num_gpus: 2, replicas: 0}\ndecod: {}\n");
    const { exitCode, stderr } = await run("start", bad);
    expect(exitCode).toBe(2);
    expect(
      stderr.split("\n").filter((line) => line.startsWith(`error ${bad}:`)).length,
    ).toBeGreaterThan(1);
    expect(stderr).toMatch(/errors\. Nothing was started\.$/);
  });

  test("a warning says so once", async () => {
    const text = readFileSync(join(root, "examples/quickstart.yaml"), "utf8");
    const odd = file("odd.yaml", text.replace("envs: {}", "envs: {HF_TOKEN: abcdefgh}"));
    const { stderr } = await run("validate", odd);
    expect(stderr.match(/warning/g)).toHaveLength(1);
    expect(stderr).toMatch(/^warning .*odd\.yaml:\d+:\d+ /);
  });

  test("the connector is unknown, the seed's first troubleshooting entry", async () => {
    const text = readFileSync(join(root, "examples/quickstart.yaml"), "utf8").replaceAll(
      "NixlConnector",
      "NixlConector",
    );
    const { exitCode, stderr } = await run("validate", file("connector.yaml", text));
    expect(exitCode).toBe(2);
    expect(stderr).toContain("NixlConector");
    expect(stderr).toContain("NixlConnector");
  });
});

test.concurrent.each([
  ["start", "examples/quickstart.yaml"],
  ["status", "demo"],
  ["list"],
  ["stop", "demo"],
  ["scale", "demo", "decode=1"],
])("%s: exit code 3 when no server answers", async (...words) => {
  const { exitCode, stderr } = await run(...words);
  expect(stderr).toBe(
    "No Temporal server answers at 127.0.0.1:9. Start one (pdjob-client dev), or name another with --address or TEMPORAL_ADDRESS.",
  );
  expect(exitCode).toBe(3);
});

test("list: exit code 3 within seconds when what listens is no Temporal server", async () => {
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => void silent.listen(0, "127.0.0.1", resolve));
  const bound = silent.address();
  const address = `127.0.0.1:${typeof bound === "object" ? bound?.port : ""}`;
  const { exitCode, stderr } = await run("list", "--address", address);
  silent.close();
  expect(stderr).toContain(`No Temporal server answers at ${address}.`);
  expect(exitCode).toBe(3);
});

test.each([
  ["list", "--state-dir", "/nonexistent"],
  ["logs", "demo", "decode-0", "--state-dir", "/nonexistent"],
])("%s: exit code 3 when the stack that is named does not run", async (...words) => {
  const { exitCode, stderr } = await run(...words);
  expect(stderr).toBe(
    "No embedded stack runs with --state-dir /nonexistent. Start one: pdjob-client dev --state-dir /nonexistent",
  );
  expect(exitCode).toBe(3);
});

describe("plan", () => {
  test("--json has the shape that scripts rely on", async () => {
    const at = file(
      "at.json",
      '{"prefill-0": {"host": "10.0.0.7", "port": 8100, "ports": {"side_channel": 5600}}}',
    );
    const { stdout, exitCode } = await run(
      "plan",
      "examples/quickstart.yaml",
      "--json",
      "--endpoints",
      at,
    );
    expect(exitCode).toBe(0);
    const plan = JSON.parse(stdout);
    expect(Object.keys(plan)).toEqual(["job", "connectors", "replicas", "proxy", "steps", "note"]);
    expect(Object.keys(plan.replicas[0])).toEqual([
      "name",
      "role",
      "index",
      "bundles",
      "argv",
      "env",
      "files",
      "emptied",
    ]);
    expect(plan.replicas[0]).toMatchObject({
      name: "prefill-0",
      role: "prefill",
      index: 0,
      bundles: [{ GPU: 2 }],
      env: { VLLM_NIXL_SIDE_CHANNEL_PORT: "5600" },
    });
    expect(plan.replicas[0].argv.slice(3, 7)).toEqual(["--host", "10.0.0.7", "--port", "8100"]);
    expect(plan.replicas[3].argv.slice(3, 7)).toEqual([
      "--host",
      "<decode-1.host>",
      "--port",
      "<decode-1.port>",
    ]);
    expect(plan.proxy.builtin).toBe(true);
    expect(plan.connectors).toEqual([
      {
        name: "NixlConnector",
        handOver: "params",
        before: ["nixl installed beside vLLM"],
        order: "any: decode looks for prefill with the first request",
      },
    ]);
    expect(plan.steps[0].step).toBe("probeEngine engine");
    expect(plan.steps[1].step).toBe("reservePlacementGroup prefill-0 g1");
  });

  test("judges and renders for the version that it is told, without a cluster", async () => {
    const text = readFileSync(join(root, "examples/quickstart.yaml"), "utf8");
    const withConnector = (name: string) =>
      file(`${name}.yaml`, text.replaceAll("NixlConnector", name));
    const push = withConnector("NixlPushConnector");
    const old = await run("validate", "--vllm-version", "0.23", push);
    expect(old.exitCode).toBe(2);
    expect(old.stderr).toContain("NixlPushConnector is not in vLLM 0.23: it came with 0.24.");

    const shared = withConnector("SharedStorageConnector");
    const plan = async (version: string) =>
      (await run("plan", shared, "--vllm-version", version)).stdout;
    expect(await plan("0.12")).toContain("\nSharedStorageConnector: hands KV over by store\n");
    const today = await plan("0.32");
    expect(today).toContain("\nExampleConnector: hands KV over by store\n");
    expect(today).toContain("  needs a filesystem that all nodes share, at shared_storage_path\n");
    expect(today).toContain("  empties .pdjob/kv/quickstart\n");
    expect(today).toMatch(/ 1\. +probeEngine engine +what is rendered depends on/);

    const wrong = await run("plan", shared, "--vllm-version", "latest");
    expect([wrong.exitCode, wrong.stderr]).toEqual([
      2,
      expect.stringContaining("expected a version of vLLM, such as 0.32."),
    ]);
  });

  test("shows the files that an engine finds", async () => {
    const text = readFileSync(join(root, "examples/quickstart.yaml"), "utf8")
      .replaceAll("NixlConnector", "LMCacheConnectorV1")
      .replace(
        "  port: 8021\n",
        "  port: 8021\n  command: python disagg_proxy_server.py --port {PORT}\n",
      );
    const { stdout, exitCode } = await run("plan", file("lmcache.yaml", text));
    expect(exitCode).toBe(0);
    expect(stdout).toContain(
      "  writes .pdjob/files/quickstart-decode-1-g1/lmcache.yaml:\n    local_cpu: False\n",
    );
    expect(stdout).toContain("    pd_peer_init_port: [<decode-1.pd_init>]\n");
    expect(stdout).toContain('    pd_proxy_host: "<head.host>"\n');
  });

  const expected =
    'Expected, as JSON or YAML: {"prefill-0": {"host": "10.0.0.7", "port": 8100, "ports": {"side_channel": 5600}}, …}';

  test.each([
    ["", `AT: the file is empty.\n${expected}`],
    ["[1]", `AT:1:1: Invalid input: expected record, received array\n${expected}`],
    [
      '{"prefill-0": {"host": "h",\n "port": "x"}}',
      `AT:2:10: prefill-0.port: Invalid input: expected number, received string\n${expected}`,
    ],
    ["{", `AT:1:2: Flow map must end with a }\n${expected}`],
    [
      '{"prefill-9": {"host": "h", "port": 1}}',
      "AT: prefill-9 is no replica of job quickstart. It has prefill-0, prefill-1, decode-0, decode-1.",
    ],
  ])("refuses endpoints %j with the place and what was expected", async (text, message) => {
    const at = file("at.json", text);
    const { exitCode, stderr } = await run("plan", "examples/quickstart.yaml", "--endpoints", at);
    expect(stderr).toBe(message.replace("AT", at));
    expect(exitCode).toBe(2);
  });

  test("refuses endpoints in a file that is not there", async () => {
    const words = ["plan", "examples/quickstart.yaml", "--endpoints", "/nonexistent"];
    const { exitCode, stderr } = await run(...words);
    expect(stderr).toBe(`/nonexistent: there is no such file. ${expected}`);
    expect(exitCode).toBe(2);
  });

  test("says that each replica is taken to fit on one node, unless the nodes are given", async () => {
    const { stdout } = await run("plan", "examples/quickstart.yaml");
    expect(stdout.split("\n").at(-1)).toBe(
      "Each replica is taken to fit on one node. Give the nodes, such as --nodes 2x8, to see which ones span several.",
    );
    expect((await run("plan", "examples/quickstart.yaml", "--nodes", "2x8")).stdout).not.toContain(
      "is taken to fit",
    );
  });

  test("shows the commands of a gang rank by rank, the addresses of its rank 0 as they were given", () => {
    const wide = makeSpec({ prefill: { replicas: 1, numGpus: 12 } });
    const plan = planOf(
      wide,
      { "prefill-0": { host: "10.0.0.7", port: 81, ports: { gang_master: 82 } } },
      readNodes("2x8", wide),
    );
    expect(plan.note).toBeUndefined();
    const [prefill, decode] = plan.replicas;
    expect(prefill).toMatchObject({
      bundles: [{ GPU: 6 }, { GPU: 6 }],
      strategy: "STRICT_SPREAD",
      ranks: [
        { rank: 0, name: "demo-prefill-0-g1" },
        { rank: 1, name: "demo-prefill-0-g1-r1" },
      ],
    });
    expect(prefill?.argv).toEqual(prefill?.ranks?.[0]?.argv);
    const flags = prefill?.ranks?.map(({ argv }) =>
      argv.slice(3, argv.indexOf("--master-port") + 2),
    );
    expect(flags?.map((words) => words.join(" "))).toEqual([
      "--host 10.0.0.7 --port 81 --nnodes 2 --node-rank 0 --master-addr 10.0.0.7 --master-port 82",
      "--headless --nnodes 2 --node-rank 1 --master-addr 10.0.0.7 --master-port 82",
    ]);
    expect(decode).not.toHaveProperty("ranks");
  });

  test("tells a replica that these nodes never hold from one that the others leave no room", async () => {
    // Prefill's is the first of the two.
    const job = readFileSync(join(root, "examples/quickstart.yaml"), "utf8").replace(
      "  num_gpus: 2",
      "  num_gpus: 6",
    );
    const config = file("wide.yaml", job);
    const full = await run("plan", config, "--nodes", "2x8");
    expect(full.exitCode).toBe(0);
    expect(full.stdout).not.toContain("no room");
    const tight = await run("plan", config, "--nodes", "2x7");
    expect(tight.exitCode).toBe(0);
    expect(tight.stdout).toContain(
      "\ndecode-0 may find no room beside the others. It needs 2 GPUs and 0 CPUs on one node, which others hold at the moment (node 1: 1 of 7 GPUs and 0 of 0 CPUs free; node 2: 1 of 7 GPUs",
    );
    const small = await run("plan", config, "--nodes", "1x2", "--json");
    expect(small.exitCode).toBe(1);
    expect(JSON.parse(small.stdout).unplaced[0]).toMatchObject({
      name: "prefill-0",
      feasible: false,
      reason: expect.stringContaining("Nor do the nodes hold it as 2 × 3, 3 × 2, 6 × 1 GPUs"),
    });
    const wrong = await run("plan", config, "--nodes", "two");
    expect([wrong.exitCode, wrong.stderr]).toEqual([
      2,
      "--nodes two: expected COUNTxGPUS or COUNTxGPUSxCPUS, at least 1 node, at most 2000. Example: --nodes 2x8,1x4",
    ]);
  });

  test.each([
    ["quickstart", "builtin", ""],
    ["seed", "restart", ""],
    ["proxy-http", "http", 'POST /instances/add {"type":"decode","instances":["<decode-1.host>:<'],
    ["proxy-file", "file", '"http://<prefill-0.host>:<prefill-0.port>",'],
  ] as const)("shows of %s how its proxy is told and what that loses", async (name, kind, told) => {
    const { stdout } = await run("plan", `examples/${name}.yaml`);
    expect(stdout).toContain(`\nmembership ${kind}\n`);
    for (const loss of membershipAdapters[kind].loses)
      expect(stdout).toContain(loss.replaceAll("`", ""));
    expect(stdout).toContain(told);
  });

  test("shows what an external proxy will run, IPv6 hosts included", () => {
    const spec = makeSpec({
      scheduler: {
        port: 9,
        membership: "restart",
        command: ["p", "$PREFILL_HOST_1", "$PREFILL_PORT_2", "$DECODE_URL_1"],
      },
    });
    expect(planOf(spec, { "prefill-0": { host: "fd00::1", port: 5 } }).proxy.argv).toEqual([
      "p",
      "fd00::1",
      "<prefill-1.port>",
      "http://<decode-0.host>:<decode-0.port>",
    ]);
  });
});

test("columns line up and shell lines split into the same words", () => {
  expect(
    columns([
      ["a", "bb", ""],
      ["ccc", "d", "e"],
    ]),
  ).toBe("a    bb\nccc  d   e");
  expect(shellLine(["a", "it's", "", "x=1"])).toBe(`a 'it'\\''s' '' x=1`);
});
