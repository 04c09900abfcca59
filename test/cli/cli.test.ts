import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { columns, shellLine } from "../../src/cli/output.ts";
import { planOf } from "../../src/cli/plan.ts";
import { makeSpec } from "../support/spec.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "pdjob-cli-"));
const verbs = [
  "start",
  "validate",
  "plan",
  "status",
  "list",
  "scale",
  "restart",
  "logs",
  "stop",
  "cleanup",
  "doctor",
  "dev",
  "quickstart",
  "completion",
];

beforeAll(async () => void (await execa(process.execPath, [`${root}scripts/build.mjs`])));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** The real program, with no server, no cluster and no embedded stack to find. */
async function run(...words: string[]) {
  const env = {
    PDJOB_STATE_DIR: dir,
    TEMPORAL_ADDRESS: "127.0.0.1:9",
    RAY_ADDRESS: "",
    NO_COLOR: "1",
  };
  const { exitCode, stdout, stderr } = await execa(
    process.execPath,
    [`${root}bin/pdjob-client`, ...words],
    { env, cwd: root, reject: false },
  );
  return { exitCode, stdout, stderr };
}

function file(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}

test("--help lists every verb", async () => {
  const { stdout, exitCode } = await run("--help");
  expect(exitCode).toBe(0);
  for (const verb of verbs) expect(stdout).toMatch(new RegExp(`^  ${verb} `, "m"));
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
    [["dev", "--nodes", "0"], "0: expected a whole number above 0."],
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

test.each([
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

test("doctor names a fix for each thing that is missing", async () => {
  const { exitCode, stdout } = await run("doctor", "--json");
  const checks = JSON.parse(stdout) as { name: string; ok: boolean; text: string }[];
  expect(exitCode).toBe(1);
  expect(checks.filter(({ ok }) => !ok).map(({ name }) => name)).toEqual(["temporal", "ray"]);
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
    expect(Object.keys(plan)).toEqual(["job", "replicas", "proxy", "steps"]);
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
    expect(plan.steps[0].step).toBe("reservePlacementGroup prefill-0 g1");
  });

  test("refuses endpoints of replicas that do not exist, or of another shape", async () => {
    expect(
      (
        await run(
          "plan",
          "examples/quickstart.yaml",
          "--endpoints",
          file("a.json", '{"prefill-9": {"host": "h", "port": 1}}'),
        )
      ).stderr,
    ).toContain("prefill-9 is no replica of job quickstart.");
    const { exitCode, stderr } = await run(
      "plan",
      "examples/quickstart.yaml",
      "--endpoints",
      file("b.json", '{"prefill-0": {"host": "h", "port": "x"}}'),
    );
    expect([exitCode, stderr.includes("prefill-0.port")]).toEqual([2, true]);
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

test("bash completes verbs, and the flags of a verb", async () => {
  const { stdout: script } = await run("completion", "bash");
  const complete = async (...words: string[]) => {
    const line = `${script}\nCOMP_WORDS=(pdjob-client ${words.join(" ")}); COMP_CWORD=${words.length}; _pdjob_client; echo "\${COMPREPLY[@]}"`;
    return (await execa("bash", ["-c", line])).stdout;
  };
  expect(await complete("st")).toBe("start status stop");
  expect(await complete("plan", "--")).toBe("--json --endpoints --help");
  expect((await run("completion", "fish")).exitCode).toBe(2);
});
