import { expect, test } from "vitest";
import { ClientError } from "../../src/client/client-error.ts";
import { askToStop } from "../../src/cli/stop.ts";
import type { PdjobClient } from "../../src/client.ts";
import { clientThat } from "../support/client-that.ts";
import { written } from "../support/written.ts";

const ended = new ClientError("JobEnded", "Job demo has ended already.");

const clientOf = (state: string, error?: Error): PdjobClient =>
  clientThat({
    stop: async () => {
      if (error) throw error;
    },
    look: async () => ({ state, failures: [] }),
  });

test.each(["COMPLETED", "FAILED", "CANCELED"])(
  "stopping a job that is %s is done, and says so",
  async (state) => {
    const said = await written("stdout", async () =>
      expect(await askToStop(clientOf(state, ended), "demo")).toBe(false),
    );
    expect(said).toEqual(["Job demo has ended already."]);
  },
);

test.each(["TERMINATED", "TIMED_OUT"])(
  "stopping a job that is %s fails, and points to cleanup",
  async (state) => {
    await expect(askToStop(clientOf(state, ended), "demo")).rejects.toMatchObject({
      code: 1,
      message: expect.stringMatching(/remove what it left in Ray: pdjob-client cleanup demo$/),
    });
  },
);

test("stopping a job that runs goes on to wait for it, and a name that is not there is told", async () => {
  expect(await askToStop(clientOf("RUNNING"), "demo")).toBe(true);
  const nobody = new ClientError("NoSuchJob", "There is no job demo.");
  await expect(askToStop(clientOf("RUNNING", nobody), "demo")).rejects.toBe(nobody);
});
