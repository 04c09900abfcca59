import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { eventually } from "../support/eventually.ts";
import { answers, endJob, jobOf } from "../support/proxied.ts";
import { startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

const support = fileURLToPath(new URL("../support/", import.meta.url));
const lists =
  "--port {PORT} --prefiller-hosts $PREFILL_HOSTS --prefiller-ports $PREFILL_PORTS --decoder-hosts $DECODE_HOSTS --decoder-ports $DECODE_PORTS";
let rig: Rig;

beforeAll(async () => void (rig = await startRig()));
afterAll(async () => rig.stop());

const proxyOf = async (job: string) => (await rig.agent.call("list", { job })).proxies[0];

const wordsOf = (pid = 0): readonly string[] =>
  readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);

describe("a proxy with fixed members, told by lists of hosts and ports", () => {
  let spec: JobSpec;
  let exitWhen: string;

  beforeAll(async () => {
    exitWhen = join(rig.dir, "exit-now");
    spec = await jobOf(
      rig,
      "toy",
      `command: node ${support}toy-proxy.mjs ${lists} --exit-when ${exitWhen}`,
      "restart: {max_restarts: 2, window: 20}",
    );
    await rig.client.start(spec);
    await untilPhase(rig.client, "toy", "READY");
  });
  afterAll(async () => endJob(rig, spec));

  test("serves, and status says that it listens on the loopback address alone", async () => {
    await answers(spec, "through the toy");
    const { proxy } = await rig.client.status("toy");
    expect(proxy).toMatchObject({
      phase: "READY",
      url: `http://127.0.0.1:${spec.scheduler.port}`,
      note: expect.stringContaining("listens on 127.0.0.1 alone"),
    });
  });

  test("is started anew with the new list when the job is scaled", async () => {
    const before = await proxyOf("toy");
    await rig.client.scale("toy", { role: "decode", replicas: 2 });
    await eventually("the proxy has another generation", async () => {
      const { phase, replicas } = await rig.client.status("toy");
      return phase === "READY" && replicas.length === 3;
    });
    const after = await proxyOf("toy");
    expect(after?.generation).toBe((before?.generation ?? 0) + 1);
    const words = wordsOf(after?.pid);
    const hosts = words.slice(
      words.indexOf("--decoder-hosts") + 1,
      words.indexOf("--decoder-ports"),
    );
    expect(hosts).toHaveLength(2);
    await answers(spec, "through two");
  });

  test("its end is noticed within two seconds, and it is run anew", { retry: 2 }, async () => {
    const { pid, generation } = (await proxyOf("toy")) ?? {};
    if (pid === undefined) throw new Error("the proxy has no process");
    const killedAtMs = Date.now();
    process.kill(pid, "SIGKILL");
    const noticed = await eventually("the end is an event", async () => {
      const { events } = await rig.client.status("toy");
      return events.find(({ text }) => text.startsWith(`stopProxy proxy g${generation}:`));
    });
    expect(noticed.text).toContain("The proxy was ended by SIGKILL.");
    expect(noticed.atMs - killedAtMs).toBeLessThan(2_000);
    await untilPhase(rig.client, "toy", "READY");
    await answers(spec, "through the next");
  });

  test("leaves the job DEGRADED with its last lines once its budget is used up", async () => {
    writeFileSync(exitWhen, "");
    const { reason, proxy } = await untilPhase(rig.client, "toy", "DEGRADED");
    expect(reason).toMatch(
      /^proxy was replaced \d times within 20 s and is left down: The proxy exited with code 7\.$/,
    );
    expect(proxy).toMatchObject({ phase: "DOWN", failure: { code: "ProxyExited" } });
    expect(proxy.failure?.message).toContain(`KeyError: ${exitWhen}`);
  });

  test("is back by itself when its replacements have left the window", async () => {
    rmSync(exitWhen);
    await untilPhase(rig.client, "toy", "READY");
    await answers(spec, "after the window");
  });

  test("is tried anew at once when its members change, used up or not", async () => {
    writeFileSync(exitWhen, "");
    await untilPhase(rig.client, "toy", "DEGRADED");
    rmSync(exitWhen);
    await rig.client.scale("toy", { role: "decode", replicas: 1 });
    await untilPhase(rig.client, "toy", "READY");
    await answers(spec, "after the change");
  });
});

test("any executable runs, with spaces and quotes in its path and arguments", async () => {
  const folder = join(rig.dir, "My Tools");
  mkdirSync(folder);
  // As `cargo run --release -- …`: a program that gets the proxy's own flags after its own.
  writeFileSync(
    join(folder, "cargo"),
    `#!/usr/bin/env node
import { writeFileSync } from "node:fs";
writeFileSync(${JSON.stringify(join(folder, "argv"))}, JSON.stringify(process.argv.slice(2)));
process.argv.splice(2, process.argv.indexOf("--") - 1);
await import("./toy-proxy.mjs");
`,
  );
  for (const file of ["toy-proxy.mjs", "pd-relay.mjs"])
    copyFileSync(join(support, file), join(folder, file));
  chmodSync(join(folder, "cargo"), 0o755);
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  const spec = await jobOf(
    rig,
    "cargo",
    `command: >-
  "${folder}/cargo" run --release --config 'name="it''s \\$HOME; $(x)"' -- ${lists} --host 0.0.0.0`,
  );
  await rig.client.start(spec);
  const status: JobStatus = await untilPhase(rig.client, "cargo", "READY");
  expect(status.proxy.note).toBeUndefined();
  await answers(spec, "through cargo");
  const argv = JSON.parse(readFileSync(join(folder, "argv"), "utf8")) as string[];
  expect(argv.slice(0, 5)).toEqual([
    "run",
    "--release",
    "--config",
    'name="its \\$HOME; $(x)"',
    "--",
  ]);
  await endJob(rig, spec);
});

test("a proxy that prints without end is not held up, and one that is told nothing is left alone", async () => {
  const spec = await jobOf(
    rig,
    "chatty",
    `command: node ${support}toy-proxy.mjs ${lists} --chatter 90000000\nmembership: none`,
  );
  await rig.client.start(spec);
  await untilPhase(rig.client, "chatty", "READY");
  await answers(spec, "through the noise");
  const log = join(spec.workingDir, ".pdjob/logs/chatty-proxy-g1.log");
  await eventually("the log was turned", () => existsSync(`${log}.1`));
  expect(statSync(log).size).toBeLessThan(1_000_000);
  const before = await proxyOf("chatty");
  await rig.client.scale("chatty", { role: "decode", replicas: 2 });
  await eventually("another decode is there", async () => {
    const { phase, replicas } = await rig.client.status("chatty");
    return phase === "READY" && replicas.length === 3;
  });
  expect((await proxyOf("chatty"))?.pid).toBe(before?.pid);
  await endJob(rig, spec);
});
