import { once } from "node:events";
import type { TestWorkflowEnvironment } from "@temporalio/testing";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import type { PdjobClient } from "../../src/client.ts";
import { plainServer } from "../../src/client/server.ts";
import { eventually } from "../support/eventually.ts";
import { buildPrograms, root, runProgram } from "../support/program.ts";
import { makeSpec } from "../support/spec.ts";
import { bundle, startFakeWorker, startServer, taskQueue } from "../workflows/rig.ts";

let env: TestWorkflowEnvironment;
let client: PdjobClient;
let stop: () => Promise<void>;
/** While it is on, no step gets anywhere. */
const hold = {
  isOn: false,
  up: async (): Promise<void> => {
    while (hold.isOn) await new Promise((resolve) => void setTimeout(resolve, 50));
  },
};

/** Two jobs of 2 prefill and 2 decode replicas with 2 GPUs each on 16, READY on a real server; the cluster is in memory. */
beforeAll(async () => {
  const [server, workflowBundle] = await Promise.all([startServer(), bundle(), buildPrograms()]);
  env = server;
  client = await connect({ server: plainServer(env.address), taskQueue });
  const spec = makeSpec({ name: "demo" });
  const { worker } = await startFakeWorker({ env, workflowBundle }, spec, { before: hold.up });
  const run = worker.run();
  stop = async () => {
    worker.shutdown();
    await run;
  };
  await client.start(spec);
  await eventually("demo is READY", async () => (await client.status("demo")).phase === "READY");
}, 240_000);
afterAll(async () => {
  await stop();
  await client.close();
  await env.teardown();
});

const run = (...words: string[]) =>
  runProgram("pdjob-client", [...words, "--address", env.address, "--task-queue", taskQueue]);

const desired = async () => (await client.status("demo")).desired;

test("scale changes both roles, the one that makes room first", async () => {
  await client.scale("demo", { role: "decode", replicas: 6 });
  const { exitCode, stdout } = await run("scale", "demo", "prefill=5", "decode=3");
  expect(stdout).toBe("demo: prefill=2 decode=3 is wanted\ndemo: prefill=5 decode=3 is wanted");
  expect(exitCode).toBe(0);
});

test("scale changes nothing when one of two counts can never be granted", async () => {
  const before = await desired();
  const { exitCode, stderr } = await run("scale", "demo", "prefill=1", "decode=9");
  expect(stderr).toBe(
    "1 prefill × 2 + 9 decode × 2 = 20 GPUs, but num_gpus of job demo is 16. Ask for fewer replicas, or start the job with a larger num_gpus. Nothing was changed.",
  );
  expect(exitCode).toBe(1);
  expect(await desired()).toEqual(before);
});

test("what was never changed is neither paused nor resumed", async () => {
  for (const verb of ["pause", "resume"]) {
    const { exitCode, stderr } = await run(verb, "demo");
    expect([exitCode, stderr]).toEqual([
      1,
      `Job demo has had no change of its config: there is nothing to ${verb}.`,
    ]);
  }
});

test("a watch ends without a word when its reader has seen enough", async () => {
  const words = `status demo --watch --address ${env.address} --task-queue ${taskQueue}`;
  const watching = execa(
    "bash",
    ["-c", `set -o pipefail; ${process.execPath} bin/pdjob-client ${words} | head -n 1`],
    { cwd: root, env: { PDJOB_STATE_DIR: "/nonexistent", XDG_CONFIG_HOME: "/nonexistent" } },
  );
  await once(watching.stdout, "data");
  // What comes now has no reader any more.
  await client.scale("demo", { role: "decode", replicas: 2 });
  const { exitCode, stdout, stderr } = await watching;
  expect(stdout).toMatch(/^demo  [A-Z]+  /);
  expect([exitCode, stderr]).toEqual([0, ""]);
});

test("a namespace that is not there is not called a job that is not there", async () => {
  const { exitCode, stderr } = await run("status", "demo", "--namespace", "elsewhere");
  expect(stderr).toContain(`has no namespace elsewhere. Name another with --namespace`);
  expect(exitCode).toBe(2);
});

test("list --limit says that there are more", async () => {
  await client.start(makeSpec({ name: "other" }));
  await client.terminate("other", "a test");
  await eventually("both are visible", async () => (await client.list(9)).jobs.length === 2);
  const { stdout, stderr } = await run("list", "--limit", "1");
  expect(stdout.split("\n").map((line) => line.split(/ +/, 1)[0])).toEqual(["JOB", "demo"]);
  expect(stderr).toBe("There are more than these 1 jobs: see --limit.");
  const json = await run("list", "--limit", "1", "--json");
  expect(JSON.parse(json.stdout)).toHaveLength(1);
  expect(json.stderr).toBe(stderr);
  expect((await run("list", "--limit", "0")).exitCode).toBe(2);
});

test("status shows the replicas, the proxy and what is being done", async () => {
  await eventually("demo is READY", async () => (await client.status("demo")).phase === "READY");
  const { exitCode, stdout } = await run("status", "demo");
  const [first, ...rest] = stdout.split("\n");
  expect(first).toMatch(/^demo  READY  \d prefill and \d decode replicas serve$/);
  expect(rest[1]).toMatch(/^proxy: READY  built-in  http:\/\//);
  expect(rest[3]?.split(/ +/)).toEqual(["REPLICA", "GEN", "STATE", "ADDRESS", "NOTE"]);
  expect(rest[4]).toMatch(/^prefill-0 +g1 +READY +http:\/\/[\d.]+:\d+$/);
  expect(rest).toContain("doing: nothing");
  expect(exitCode).toBe(0);
});

test("restart --wait ends when the next generation serves", async () => {
  const { exitCode, stdout } = await run("restart", "demo", "decode-0", "--wait");
  expect(stdout.split("\n", 1)).toEqual(["demo: decode-0 is replaced, g1 makes way"]);
  expect(exitCode).toBe(0);
  const { phase, replicas } = await client.status("demo");
  expect(phase).toBe("READY");
  expect(replicas.find(({ name }) => name === "decode-0")?.generation).toBe(2);
  const odd = await run("restart", "demo", "decode-9");
  expect([odd.exitCode, odd.stderr]).toEqual([
    1,
    expect.stringMatching(/^Job demo has no decode-9\. It has prefill-0, .*, proxy\.$/),
  ]);
});

test("restart and scale that are not done within --timeout exit 5, and the job goes on", async () => {
  const limit = ["--timeout", "1"];
  await client.scale("demo", { role: "decode", replicas: 2 });
  const slow = await run("scale", "demo", "decode=50", ...limit);
  expect(slow.exitCode).toBe(1); // It can never fit: that is no matter of time.
  hold.isOn = true;
  const late = await run("scale", "demo", "decode=3", "--wait", ...limit);
  expect(late.exitCode).toBe(5);
  expect(late.stderr).toMatch(
    /^Job demo is not READY with decode=3 after 1 s, .* It goes on: SCALING .* Follow: .*status demo --watch$/,
  );
  const replaced = await run("restart", "demo", "decode-0", ...limit);
  expect(replaced.exitCode).toBe(5);
  expect(replaced.stderr).toContain("is not READY with a new decode-0 after 1 s");
  hold.isOn = false;
  await eventually("demo is READY", async () => (await client.status("demo")).phase === "READY");
  expect((await run("stop", "demo", "--timeout", "soon")).stderr).toContain(
    "--timeout soon: expected seconds, from 1 to 1209600.",
  );
});

test("stop waits until everything is released, and a job that has ended is not stopped again", async () => {
  const stopped = await run("stop", "demo");
  expect([stopped.exitCode, stopped.stderr]).toEqual([0, ""]);
  expect(stopped.stdout.split("\n").at(-1)).toBe("demo: stopped; its GPUs are free");
  const again = await run("stop", "demo");
  expect([again.exitCode, again.stdout]).toEqual([0, "Job demo has ended already."]);
  const nobody = await run("stop", "nobody");
  expect([nobody.exitCode, nobody.stderr]).toEqual([
    4,
    "There is no job nobody. See pdjob-client list.",
  ]);
});

test("the status of a job that was terminated says so, and is watched no longer", async () => {
  await client.start(makeSpec({ name: "demo" }));
  await eventually("demo is back", async () => (await client.status("demo")).phase === "READY");
  await client.terminate("demo", "a test");
  const abandoned =
    "Job demo was terminated: no workflow looks after it any more, and none cleaned up. Unless that was done since, remove what it left in Ray: pdjob-client cleanup demo";
  const { exitCode, stdout } = await run("status", "demo", "--watch");
  expect(stdout.split("\n", 1)).toEqual([`demo  TERMINATED  ${abandoned}`]);
  expect(exitCode).toBe(0);
  expect(JSON.parse((await run("status", "demo", "--json")).stdout)).toMatchObject({
    phase: "TERMINATED",
    reason: abandoned,
  });
});
