import { expect, test } from "vitest";
import type { Execution, PdjobClient } from "../../src/client.ts";
import { ClientError } from "../../src/client/errors.ts";
import { follow } from "../../src/cli/follow.ts";
import type { JobStatus } from "../../src/domain/status.ts";

const deploying: JobStatus = {
  job: "demo",
  phase: "DEPLOYING",
  reason: "",
  desired: { prefill: 1, decode: 1 },
  desiredGeneration: 0,
  ready: { prefill: 0, decode: 0 },
  replicas: [],
  proxy: { phase: "PENDING", builtin: true },
  inFlight: [],
  events: [],
};

/** The two questions that following asks. */
const clientThat = (
  status: () => Promise<JobStatus>,
  execution: Execution = { state: "RUNNING", failures: [] },
): PdjobClient => ({ status, look: async () => execution }) as unknown as PdjobClient;

const never = (): boolean => false;

test("following ends when the workflow was terminated, whatever its last status was", async () => {
  const client = clientThat(async () => deploying, { state: "TERMINATED", failures: [] });
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
  const client = clientThat(() => (answers.shift() ?? never)() as Promise<JobStatus>);
  await expect(follow({ client, job: "demo", until: never })).rejects.toMatchObject({
    code: "Unreachable",
  });
  expect(answers).toEqual([]);
});

test("following ends with nothing when it is interrupted", async () => {
  const client = clientThat(async () => deploying);
  const signal = AbortSignal.timeout(50);
  expect(await follow({ client, job: "demo", until: never, signal })).toBeUndefined();
});
