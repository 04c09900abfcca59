import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { JobSpec, RoleSpec } from "../../src/domain/spec.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { startLoad } from "../faults/load.ts";
import { eventually } from "../support/eventually.ts";
import { root } from "../support/program.ts";
import { leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";

let rig: Rig;
let spec: JobSpec;

beforeAll(async () => {
  rig = await startRig();
  spec = await rigSpec(rig, "demo", { numGpus: 8, restart: { restartsMax: 20, windowS: 600 } });
  await rig.client.start(spec);
  await untilPhase(rig.client, "demo", "READY");
});
afterAll(async () => rig.stop());

const both = (change: (role: RoleSpec) => RoleSpec): JobSpec => ({
  ...spec,
  roles: { prefill: change(spec.roles.prefill), decode: change(spec.roles.decode) },
});

const withParams = (params: RoleSpec["params"]) =>
  both((role) => ({ ...role, params: { ...role.params, ...params } }));

const served = (revision: number, timeoutMs = 90_000): Promise<JobStatus> =>
  eventually(
    `revision ${revision} serves`,
    async () => {
      const status = await rig.client.status("demo");
      return status.phase === "READY" && (status.revision ?? 1) >= revision ? status : undefined;
    },
    timeoutMs,
  );

const generations = ({ replicas }: JobStatus) =>
  replicas.map(({ name, generation }) => `${name} g${generation}`);

const failures = (outcomes: Awaited<ReturnType<ReturnType<typeof startLoad>["stop"]>>) =>
  outcomes.filter(({ kind }) => kind !== "ok");

test("engines whose KV does not fit together are replaced under load: no request fails, and none is handed over between them", async () => {
  const load = startLoad(spec);
  spec = withParams({ block_size: 32 });
  const { revision } = await rig.client.apply(spec);
  const status = await served(revision);
  const outcomes = await load.stop();
  expect(failures(outcomes)).toEqual([]);
  expect(outcomes.length).toBeGreaterThan(20);
  expect(generations(status)).toEqual([
    "prefill-0 g2",
    "prefill-1 g2",
    "decode-0 g2",
    "decode-1 g2",
  ]);
  expect(status.replicas.some(({ outdated }) => outdated)).toBe(false);
  // Engines refuse KV of another kind, and the proxy would try again with another pair.
  const metrics = await request(`http://127.0.0.1:${spec.scheduler.port}/metrics`);
  expect(await metrics.body.text()).toMatch(/^pdjob_proxy_retries_total 0$/m);
});

test("a config that only counts and limits changed of touches no engine", async () => {
  const before = await rig.client.status("demo");
  spec = { ...spec, timeoutS: 70, drainS: { prefill: 11, decode: 21 } };
  const { revision } = await rig.client.apply(spec);
  const after = await served(revision);
  expect(generations(after)).toEqual(generations(before));
  expect(after.proxy.generation).toBe(before.proxy.generation);
  const again = await rig.client.apply(spec);
  expect(again.revision).toBe(revision);
});

test("engines that do not run with the new config cost no request, and the job goes back by itself", async () => {
  const before = await rig.client.status("demo");
  const load = startLoad(spec);
  const { revision } = await rig.client.apply(withParams({ no_such_flag: 1 }));
  const status = await served(revision + 1);
  expect(failures(await load.stop())).toEqual([]);
  const [, last] = (await rig.client.revisions("demo")).slice(-2);
  expect(last).toMatchObject({ number: revision + 1 });
  expect(last?.why).toMatch(
    new RegExp(
      `^rollback to ${revision - 1}: (prefill|decode)-1 failed with revision ${revision}: `,
    ),
  );
  // The last of each role is never given up for something that was not seen to run.
  for (const name of ["prefill-0", "decode-0"])
    expect(generations(status)).toContain(generations(before).find((one) => one.startsWith(name)));
});

test("a newer config wins while an older one is on its way, and a paused update stays where it is", async () => {
  const load = startLoad(spec);
  await rig.client.apply(withParams({ max_num_seqs: 8 }));
  await eventually("the update is under way", async () => {
    const { phase, replicas } = await rig.client.status("demo");
    return phase === "UPDATING" && replicas.some(({ phase: one }) => one === "STARTING")
      ? true
      : undefined;
  });
  spec = withParams({ max_num_seqs: 9 });
  const { revision } = await rig.client.apply(spec);
  await rig.client.pause("demo", true);
  const paused = await eventually("it comes to rest", async () => {
    const status = await rig.client.status("demo");
    return status.inFlight.length === 0 && status.reason.includes("paused") ? status : undefined;
  });
  expect(paused.phase).toBe("UPDATING");
  expect(paused.replicas.filter(({ outdated }) => outdated).length).toBeGreaterThan(0);
  await rig.client.pause("demo", false);
  const status = await served(revision);
  expect(failures(await load.stop())).toEqual([]);
  expect(status.replicas.some(({ outdated }) => outdated)).toBe(false);
});

test("the worker is killed in the middle of an update, and nobody notices", async () => {
  const load = startLoad(spec);
  spec = withParams({ max_num_seqs: 10 });
  const { revision } = await rig.client.apply(spec);
  await eventually("a replica leaves", async () =>
    (await rig.client.status("demo")).replicas.some(({ phase }) => phase === "DRAINING")
      ? true
      : undefined,
  );
  const pid = rig.stack.workerPid();
  if (pid === undefined) throw new Error("no worker runs");
  process.kill(pid, "SIGKILL");
  await served(revision);
  expect(failures(await load.stop())).toEqual([]);
});

test("without room for another, a role of one replica is refused with the numbers, and goes when an outage is allowed", async () => {
  const counts = (one: JobSpec, replicas: number): JobSpec => ({
    ...one,
    numGpus: 4,
    roles: {
      prefill: { ...one.roles.prefill, replicas },
      decode: { ...one.roles.decode, replicas },
    },
  });
  spec = counts(spec, 1);
  await served((await rig.client.apply(spec)).revision);
  spec = counts(withParams({ max_num_seqs: 11 }), 1);
  await expect(rig.client.apply(spec)).rejects.toThrow(
    "No prefill and no decode replica can be spared while it is replaced, and num_gpus 4 leaves no room for another beside it (6 would do).",
  );
  await served((await rig.client.apply(spec, { outage: true })).revision);
});

test("with room, a role of one replica gets another beside it first: no request fails, and none is left over", async () => {
  spec = { ...withParams({ max_num_seqs: 12 }), numGpus: 8 };
  const load = startLoad(spec);
  const { revision } = await rig.client.apply(spec);
  const status = await served(revision);
  expect(failures(await load.stop())).toEqual([]);
  expect(status.replicas.map(({ name }) => name)).toEqual(["prefill-0", "decode-0"]);
});

const config = (seqs: number): string =>
  `name: demo
timeout: 70
num_gpus: 8
working_dir: ${spec.workingDir}
engine: {command: pdjob-sim-engine serve}
scheduler: {port: ${spec.scheduler.port}}
general:
  params: {model: sim/tiny, served_model_name: sim, max_num_seqs: ${seqs}, block_size: 32}
prefill:
  num_gpus: 2
  replicas: 1
  params: {kv_transfer_config: '{"kv_connector":"NixlConnector","kv_role":"kv_producer"}'}
decode:
  num_gpus: 2
  replicas: 1
  params: {kv_transfer_config: '{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}'}
`;

test("from the shell: apply shows what differs and what it costs, history lists it, undo goes back, abort gives up", async () => {
  const env = {
    TEMPORAL_ADDRESS: rig.stack.temporalAddress,
    PDJOB_STATE_DIR: rig.dir,
  };
  const cli = (...words: string[]) =>
    execa(join(root, "bin/pdjob-client"), words, {
      env,
      cwd: rig.dir,
      reject: false,
      timeout: 100_000,
    });
  mkdirSync(rig.dir, { recursive: true });
  const file = join(rig.dir, "job.yaml");
  writeFileSync(file, config(13));
  await cli("apply", file, "--detach");
  const first = await served((await rig.client.status("demo")).revision ?? 1);
  writeFileSync(file, config(14));
  const dry = await cli("apply", file, "--dry-run");
  expect(dry.stdout).toBe(
    `  prefill.params.max_num_seqs  13  → 14
  decode.params.max_num_seqs   13  → 14
· prefill: 1 engine is replaced, beside 1 more that comes first and goes last
· decode: 1 engine is replaced, beside 1 more that comes first and goes last`,
  );
  expect((await rig.client.status("demo")).revision).toBe(first.revision);
  const applied = await cli("apply", file);
  expect(applied.stdout).toMatch(/READY {2}revision \d+ of job demo serves$/);
  const history = await cli("history", "demo");
  expect(history.stdout).toMatch(
    /apply +prefill\.params\.max_num_seqs, decode\.params\.max_num_seqs$/m,
  );
  const same = await cli("apply", file);
  expect(same.stdout).toBe("demo: nothing differs");
  const undoing = cli("undo", "demo", "--detach");
  await eventually("the undo is under way", async () => {
    const { phase } = await rig.client.status("demo");
    return phase === "UPDATING";
  });
  // A program takes seconds to start on a busy machine, and the whole undo may take no longer.
  await rig.client.pause("demo", true);
  expect((await undoing).stdout).toContain("→ 13");
  expect(await cli("pause", "demo")).toMatchObject({ exitCode: 0 });
  // What had begun to leave when the pause came goes on leaving, and is told of first.
  await eventually("it says that it is paused", async () => {
    const { phase, reason } = JSON.parse((await cli("status", "demo", "--json")).stdout);
    return phase === "UPDATING" && String(reason).includes("paused");
  });
  expect(await cli("resume", "demo", "--detach")).toMatchObject({ exitCode: 0 });
  const back = await cli("abort", "demo");
  expect(back.stdout).toMatch(/READY {2}revision \d+ of job demo serves$/);
  const serving = (await rig.client.revisions("demo")).at(-1)?.spec.roles;
  expect(serving?.prefill.params).toMatchObject({ max_num_seqs: 14 });
  expect((await cli("abort", "demo")).stderr).toContain("there is nothing to abort");
  expect((await cli("undo", "demo", "--to", "99")).exitCode).toBe(1);
});

test("stop leaves nothing", async () => {
  await rig.client.stop("demo");
  await rig.client.result("demo");
  expect(await leftOf(rig, spec)).toEqual([]);
});
