import { expect, test } from "vitest";
import { ClientError } from "../../src/client/client-error.ts";
import { waitFor, waitLimitDefaultS } from "../../src/cli/wait.ts";
import type { PdjobClient } from "../../src/client.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { changeLimitS, stopLimitS } from "../../src/plan/wait-limit.ts";
import { clientThat, deploying } from "../support/client-that.ts";
import { makeSpec } from "../support/spec.ts";
import { written } from "../support/written.ts";

const scaling: JobStatus = {
  ...deploying,
  phase: "SCALING",
  reason: "decode-1 boots",
  desired: { prefill: 1, decode: 2 },
  ready: { prefill: 1, decode: 1 },
  inFlight: ["waitHealthy decode-1"],
};

interface Case {
  readonly answers: Partial<PdjobClient>;
  readonly timeoutS?: number;
  readonly last?: () => Promise<void>;
  readonly interrupted?: AbortSignal;
}

/** How a wait for READY ended. */
async function waited({ answers, timeoutS, last, interrupted }: Case) {
  let outcome: unknown;
  const lines = await written("stdout", async () => {
    outcome = await waitFor(
      {
        client: clientThat(answers),
        job: "demo",
        until: ({ phase }) => phase === "READY",
        goal: "READY with decode=2",
        timeoutS,
        limitOf: () => 1,
        ...(interrupted ? { interrupted } : {}),
      },
      last,
    ).catch((error: unknown) => error);
  });
  return { outcome, lines };
}

test("at its limit a wait says what the job is at, that it goes on and how to see it, with an exit code of its own", async () => {
  const { outcome, lines } = await waited({
    answers: { status: async () => scaling },
    timeoutS: 1,
  });
  expect(lines.map((line) => line.trimStart().split("  ")[1])).toContain("SCALING");
  expect(outcome).toMatchObject({
    code: 5,
    message: expect.stringMatching(
      /^Job demo is not READY with decode=2 after 1 s, and is not waited for any longer \(--timeout\)\. It goes on: SCALING \(decode-1 boots\), 1\/1 prefill and 1\/2 decode are ready, doing: waitHealthy decode-1\. Follow: \S+pdjob-client status demo --watch$/,
    ),
  });
});

test("at its limit a wait says that no worker looks after the job", async () => {
  const status = () => Promise.reject(new ClientError("NoWorker", "No worker answers. Start one."));
  const { outcome } = await waited({ answers: { status }, timeoutS: 1 });
  expect(outcome).toMatchObject({
    code: 5,
    message: expect.stringContaining("No worker answers. Start one. Then it goes on. Follow: "),
  });
});

test("a status that never comes does not keep a wait beyond its limit", async () => {
  const status = () => new Promise<never>(() => {});
  const { outcome } = await waited({ answers: { status }, timeoutS: 1 });
  expect(outcome).toMatchObject({ code: 5 });
});

test("nor does an end that never comes", async () => {
  const status = async () => ({ ...scaling, phase: "READY" as const });
  const last = () => new Promise<never>(() => {});
  const { outcome } = await waited({ answers: { status }, timeoutS: 1, last });
  expect(outcome).toMatchObject({ code: 5 });
});

test("without --timeout the job's newest config says how long", async () => {
  const revisions = async () => [{ number: 1, atMs: 0, why: "", spec: makeSpec() }];
  const { outcome } = await waited({ answers: { status: async () => scaling, revisions } });
  expect(outcome).toMatchObject({ code: 5, message: expect.stringContaining(" after 1 s, ") });
});

test("a job whose config cannot be asked for is waited for all the same", async () => {
  const status = async () => ({ ...scaling, phase: "READY" as const });
  for (const revisions of [
    async () => [],
    () => Promise.reject(new ClientError("Refused", "an old job has no such query")),
  ])
    expect((await waited({ answers: { status, revisions } })).outcome).toMatchObject({
      phase: "READY",
    });
  expect(waitLimitDefaultS).toBe(1_800);
});

test("a wait that is interrupted leaves the job alone, with 130", async () => {
  const { outcome } = await waited({
    answers: { status: async () => scaling },
    timeoutS: 60,
    interrupted: AbortSignal.timeout(50),
  });
  expect(outcome).toMatchObject({
    code: 130,
    message: expect.stringContaining("Not followed any more; job demo goes on."),
  });
});

test("a change may take its drain, its grace and its boot; a stop both graces, of the proxy and of engines", () => {
  const spec = makeSpec({ timeoutS: 600, drainS: { prefill: 10, decode: 20 }, stopGraceS: 5 });
  expect(changeLimitS(spec)).toBe(20 + 5 + 600 + 60);
  expect(stopLimitS(spec)).toBe(20 + 5 + 5 + 60);
});
