import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findTemporal } from "../../src/dev/temporal-cli.ts";
import { complete, leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import type { JobSpec } from "../../src/domain/spec.ts";

const bin = fileURLToPath(new URL("../../bin/pdjob-client", import.meta.url));
let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  spec = await rigSpec(rig, "cut");
  await rig.client.start(spec);
  await untilPhase(rig.client, "cut", "READY");
});
afterAll(async () => rig.stop());

/** The verb as a user types it, told where the rig is. */
const cleanup = (...words: string[]) =>
  execa(
    process.execPath,
    [bin, "cleanup", ...words, "--address", rig.stack.temporalAddress, "--ray-address"].concat(
      rig.stack.rayAddress,
    ),
    { reject: false },
  );

const temporal = async (...words: string[]): Promise<void> => {
  const { path } = await findTemporal();
  await execa(path, ["--address", rig.stack.temporalAddress, "workflow", ...words]);
};

test("a job that runs is not touched", async () => {
  const { exitCode, stderr } = await cleanup("cut");
  expect([exitCode, stderr]).toEqual([
    1,
    "Job cut runs: its workflow looks after what it holds. End it with pdjob-client stop cut.",
  ]);
  expect((await cleanup("--all", "--dry-run")).stdout).toBe("nothing is left over");
});

test("a job that lost its workflow is adopted by the next start, and nothing is started twice", async () => {
  const before = (await rig.agent.call("list", { job: "cut" })).replicas.map(({ pid }) => pid);
  await temporal("terminate", "-w", "pdjob-cut");
  await rig.client.start(spec);
  await untilPhase(rig.client, "cut", "READY");
  const after = await rig.agent.call("list", { job: "cut" });
  expect(after.replicas.map(({ pid }) => pid).toSorted(byNumber)).toEqual(
    before.toSorted(byNumber),
  );
  expect(after.proxies).toHaveLength(1);
  expect((await complete(spec, { prompt: "still here", max_tokens: 2 })).status).toBe(200);
});

test("what a terminated job left is listed, then removed, and its GPUs serve again at once", async () => {
  await temporal("terminate", "-w", "pdjob-cut");
  const kv = join(spec.workingDir, ".pdjob", "kv");
  for (const one of ["cut", "cut-b"]) await mkdir(join(kv, one, "layer"), { recursive: true });
  const listed = await cleanup("cut", "--dry-run", "--json");
  const names = (JSON.parse(listed.stdout) as { name: string }[]).map(({ name }) => name);
  const replicas = ["prefill-0", "prefill-1", "decode-0", "decode-1"];
  const groups = replicas.map((name) => `cut-${name}-g1`);
  expect(names.toSorted()).toEqual(
    ["cut-proxy-g1", ...groups, ...groups, join(kv, "cut")].toSorted(),
  );
  expect(await leftOf(rig, spec)).not.toEqual([]);

  const { exitCode, stdout } = await cleanup("--all");
  expect(exitCode).toBe(0);
  expect(stdout.split("\n")).toHaveLength(10);
  expect(stdout).toContain(`removed KV in ${join(kv, "cut")}`);
  expect(await readdir(kv)).toEqual(["cut-b"]);
  expect(await leftOf(rig, spec)).toEqual([]);

  await rig.client.start(spec);
  await untilPhase(rig.client, "cut", "READY");
  await rig.client.stop("cut");
  await rig.client.result("cut");
});

const byNumber = (a = 0, b = 0): number => a - b;
