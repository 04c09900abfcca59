import { readFileSync } from "node:fs";
import { delimiter, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findTemporal } from "../../src/dev/temporal-cli.ts";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { eventually } from "../support/eventually.ts";
import { complete, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
let rig: Rig;
let spec: JobSpec;
let env: Record<string, string>;

beforeAll(async () => {
  rig = await startRig();
  const { path } = await findTemporal();
  env = {
    PATH: [`${root}bin`, dirname(path), process.env["PATH"] ?? ""].join(delimiter),
    TEMPORAL_ADDRESS: rig.stack.temporalAddress,
    PDJOB_STATE_DIR: rig.dir,
  };
  spec = await rigSpec(rig, "demo");
  await rig.client.start(spec);
  await untilPhase(rig.client, "demo", "READY");
});
afterAll(async () => rig.stop());

/** One line of a document, or of a user, as the shell runs it. */
const shell = async (line: string) => execa("bash", ["-c", line], { env, cwd: root });

const scaled = (role: Role, count: number): Promise<JobStatus> =>
  eventually(`${role} is at ${count}`, async () => {
    const status = await rig.client.status("demo");
    return status.phase === "READY" && status.ready[role] === count ? status : undefined;
  });

const documented = [...readFileSync(`${root}docs/scaling.md`, "utf8").matchAll(/```sh\n(.*?)```/gs)]
  .flatMap(([, block = ""]) => block.trim().split("\n"))
  .map((line) => [line, Number(/(?:decode=|"replicas":)(\d+)/.exec(line)?.[1])] as const);

test("the document has a line for each way to scale", () => {
  const lines = documented.map(([line]) => line).join("\n");
  for (const way of ["pdjob-client scale demo", "workflow signal", "workflow update execute"])
    expect(lines).toContain(way);
});

test.each(documented)("docs/scaling.md: %s", async (line, decode) => {
  await shell(line);
  await scaled("decode", decode);
});

test("business-hours.sh scales by the hour, once for each part of a day", async () => {
  const { stdout } = await shell("examples/ops/business-hours.sh demo 2 1 09");
  expect(stdout).toContain("demo: 2 decode replicas by day");
  await scaled("decode", 2);
  await rig.client.scale("demo", { role: "decode", replicas: 1 });
  await scaled("decode", 1);
  await shell("examples/ops/business-hours.sh demo 2 1 10");
  await eventually("the repeated wish was heard", async () =>
    (await rig.client.status("demo")).phase === "READY" ? true : undefined,
  );
  expect((await rig.client.status("demo")).desired.decode).toBe(1);
  await shell("examples/ops/business-hours.sh demo 3 2 23");
  await scaled("decode", 2);
});

test("scale-by-load.sh follows the requests in flight, within its bounds", async () => {
  const proxy = `http://127.0.0.1:${spec.scheduler.port}`;
  const look = async () =>
    (await shell(`examples/ops/scale-by-load.sh demo ${proxy} 1 3 2`)).stdout;
  const streams = Array.from({ length: 5 }, (_, at) =>
    complete(spec, { prompt: `long ${at}`, max_tokens: 400, stream: true }),
  );
  await eventually("the requests are in flight", async () => {
    const text = await look();
    return text.includes("demo: 5 requests in flight, 3 decode replicas") || undefined;
  });
  await scaled("decode", 3);
  for (const { status, text } of await Promise.all(streams))
    expect([status, text.trimEnd().endsWith("data: [DONE]")]).toEqual([200, true]);
  expect(await look()).toContain("demo: 0 requests in flight, 1 decode replicas");
  await scaled("decode", 1);
});

test("a scale-down cancels a scale-up that waits for GPUs, and frees what that holds", async () => {
  const blocker = await rigSpec(rig, "blocker", {
    numGpus: 8,
    prefill: { replicas: 1, numGpus: 4 },
    decode: { replicas: 1, numGpus: 4 },
  });
  await rig.client.start(blocker);
  await untilPhase(rig.client, "blocker", "READY");
  await rig.client.scale("demo", { role: "decode", replicas: 6 });
  const { reason } = await untilPhase(rig.client, "demo", "WAITING");
  expect(reason).toMatch(/ of 16 GPUs are free; .*job blocker (holds )?8/);
  expect((await complete(spec, { prompt: "meanwhile", max_tokens: 2 })).status).toBe(200);
  await rig.client.scale("demo", { role: "decode", replicas: 1 });
  await scaled("decode", 1);
  const { placementGroups } = await rig.agent.call("list", { job: "demo" });
  expect(placementGroups).toHaveLength(3);
});

test("a scale-up that waits goes on by itself when another job frees its GPUs", async () => {
  await rig.client.scale("demo", { role: "decode", replicas: 4 });
  await untilPhase(rig.client, "demo", "WAITING");
  await rig.client.stop("blocker");
  await rig.client.result("blocker");
  await scaled("decode", 4);
});
