import type { TestWorkflowEnvironment } from "@temporalio/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connect } from "../../src/client.ts";
import type { PdjobClient } from "../../src/client.ts";
import { plainServer } from "../../src/client/server.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";
import { startServer } from "../workflows/rig.ts";

let env: TestWorkflowEnvironment;
let client: PdjobClient;

const connectTo = (address: string, namespace?: string): Promise<PdjobClient> =>
  connect({ server: plainServer(address, namespace), taskQueue: "nobody", answerTimeoutMs: 4_000 });

beforeAll(async () => {
  env = await startServer();
  client = await connectTo(env.address);
}, 240_000);
afterAll(async () => {
  await client.close();
  await env.teardown();
});

/** Starts a job that no worker looks after, and ends it. */
async function leave(name: string): Promise<void> {
  await client.start(makeSpec({ name }));
  await client.terminate(name, "a test");
}

test("a job has one row whatever it went through, and those that run come first", async () => {
  for (let times = 0; times < 3; times++) await leave("old");
  await client.start(makeSpec({ name: "first" }));
  await client.start(makeSpec({ name: "second" }));
  await leave("new");
  const rows = async (limit: number) => {
    const { jobs, isCut } = await client.list(limit);
    return { jobs: jobs.map(({ job, phase }) => `${job} ${phase}`), isCut };
  };
  const all = ["second DEPLOYING", "first DEPLOYING", "new TERMINATED", "old TERMINATED"];
  await eventually("all are visible", async () => (await rows(9)).jobs.length === 4);
  expect(await rows(4)).toEqual({ jobs: all, isCut: false });
  expect(await rows(3)).toEqual({ jobs: all.slice(0, 3), isCut: true });
  expect(await rows(1)).toEqual({ jobs: ["second DEPLOYING"], isCut: true });
});

test("a termination is seen without a worker", async () => {
  await leave("ended");
  expect(await client.look("ended")).toEqual({ state: "TERMINATED", failures: [] });
  expect(await client.isRunning("ended")).toBe(false);
});

describe("what went wrong is told apart:", () => {
  test("no such job, and one that has ended", async () => {
    const missing = { code: "NoSuchJob", message: "There is no job nope. See pdjob-client list." };
    for (const ask of [client.status, client.look, client.stop])
      await expect(ask("nope")).rejects.toMatchObject(missing);
    await leave("gone");
    const ended = { code: "JobEnded", message: "Job gone has ended already." };
    await expect(client.stop("gone")).rejects.toMatchObject(ended);
  });

  test("no such namespace", async () => {
    const other = await connectTo(env.address, "elsewhere");
    const expected = {
      code: "NoSuchNamespace",
      message: `The Temporal server at ${env.address} has no namespace elsewhere. Name another with --namespace, or make it: temporal operator namespace create -n elsewhere`,
    };
    const outcomes = await Promise.allSettled([
      other.status("x"),
      other.stop("x"),
      other.list(5),
      other.pollers(),
      other.start(makeSpec({ name: "x" })),
    ]);
    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ status: "rejected", reason: expected });
    await other.close();
  });

  test("no worker, and then no server", async () => {
    const server = await startServer();
    const watcher = await connectTo(server.address);
    await watcher.start(makeSpec({ name: "watched" }));
    await expect(watcher.status("watched")).rejects.toMatchObject({
      code: "NoWorker",
      message: expect.stringContaining("No worker answers on task queue nobody."),
    });
    await server.teardown();
    await expect(watcher.status("watched")).rejects.toMatchObject({
      code: "Unreachable",
      message: `The Temporal server at ${server.address} does not answer any more. Job watched goes on without it: what runs in Ray serves as it is, and is looked after again when the server is back. Then: pdjob-client status watched --watch`,
    });
    await watcher.close();
  });
});
