import { expect, test } from "vitest";
import { ClientError } from "../../src/client/client-error.ts";
import { follow } from "../../src/cli/follow.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { clientThat, deploying } from "../support/client-that.ts";
import { written } from "../support/written.ts";

const never = (): boolean => false;

test("following ends when the workflow was terminated, whatever its last status was", async () => {
  const client = clientThat({
    status: async () => deploying,
    look: async () => ({ state: "TERMINATED", failures: [] }),
  });
  await expect(follow({ client, job: "demo", until: never })).rejects.toMatchObject({
    code: 1,
    message: expect.stringContaining(
      "Job demo was terminated: no workflow looks after it any more",
    ),
  });
});

test("following goes on while there is no worker, and ends when there is no server", async () => {
  const answers = [
    () => Promise.reject(new ClientError("NoWorker", "no worker")),
    () => Promise.resolve(deploying),
    () => Promise.reject(new ClientError("Unreachable", "the server is gone")),
  ];
  const client = clientThat({ status: () => (answers.shift() ?? never)() as Promise<JobStatus> });
  await expect(follow({ client, job: "demo", until: never })).rejects.toMatchObject({
    code: "Unreachable",
  });
  expect(answers).toEqual([]);
});

test("following ends with nothing when it is interrupted", async () => {
  const client = clientThat({ status: async () => deploying });
  const signal = AbortSignal.timeout(50);
  expect(await follow({ client, job: "demo", until: never, signal })).toBeUndefined();
});

test("following ends at once when it is interrupted, even while nobody answers", async () => {
  const client = clientThat({ status: () => new Promise<never>(() => {}) });
  const startedMs = Date.now();
  const signal = AbortSignal.timeout(50);
  expect(await follow({ client, job: "demo", until: never, signal })).toBeUndefined();
  expect(Date.now() - startedMs).toBeLessThan(5_000);
});

test("following says again and again what the job is at while nothing changes", async () => {
  const client = clientThat({
    status: async () => ({ ...deploying, inFlight: ["startPrefill prefill-0"] }),
  });
  const signal = AbortSignal.timeout(1_500);
  const lines = await written("stdout", () =>
    follow({ client, job: "demo", until: never, signal, stillEveryMs: 400 }),
  );
  const still = lines.filter((line) => line.includes("still waiting: "));
  expect(still.length).toBeGreaterThan(1);
  expect(still[0]).toMatch(
    /s {2}still waiting: DEPLOYING, 0\/1 prefill and 0\/1 decode are ready, doing: startPrefill prefill-0$/,
  );
});

test("following tells each absence of the worker, and each return", async () => {
  const away = () => Promise.reject(new ClientError("NoWorker", "no worker"));
  const back = () => Promise.resolve(deploying);
  const ready = () => Promise.resolve({ ...deploying, phase: "READY" as const });
  const answers = [away, back, away, ready];
  const client = clientThat({ status: () => (answers.shift() ?? ready)() });
  const until = ({ phase }: JobStatus): boolean => phase === "READY";
  const lines = await written("stdout", () => follow({ client, job: "demo", until }));
  expect(lines.filter((line) => line.endsWith("no worker"))).toHaveLength(2);
  expect(lines.filter((line) => line.endsWith("The worker answers again"))).toHaveLength(2);
});

test("following tells once that somebody paused the update, and once that it goes on", async () => {
  const events = (...texts: readonly string[]): JobStatus => ({
    ...deploying,
    phase: "UPDATING",
    events: ["the update goes on", ...texts].map((text, atMs) => ({ atMs, text })),
  });
  const paused = events("the update is paused");
  const repeated = events("the update is paused", "decode 1 → 2", "the update is paused");
  const resumed = events("the update is paused", "the update goes on");
  const ready = { ...resumed, phase: "READY" as const };
  const answers = [events(), paused, paused, repeated, resumed, ready];
  const client = clientThat({ status: async () => answers.shift() ?? ready });
  const until = ({ phase }: JobStatus): boolean => phase === "READY";
  const lines = await written("stdout", () => follow({ client, job: "demo", until }));
  const told = lines.filter((line) => line.includes("the update"));
  expect(told).toHaveLength(2);
  expect(told[0]).toMatch(/s {2}the update is paused; let it go on: .*pdjob-client resume demo$/);
  expect(told[1]).toMatch(/s {2}the update goes on$/);
});
