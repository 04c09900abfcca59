import { describe, expect, test } from "vitest";
import { renderStatus } from "../../src/cli/status.ts";
import { standingOf, watch } from "../../src/cli/watch.ts";
import type { Standing } from "../../src/cli/watch.ts";
import type { Execution, PdjobClient } from "../../src/client.ts";
import type { JobStatus } from "../../src/domain/status.ts";
import { clientThat, deploying } from "../support/client-that.ts";

const url = "http://10.0.0.7:8100";
const serving: JobStatus = {
  ...deploying,
  phase: "READY",
  reason: "1 prefill and 1 decode replicas serve",
  ready: { prefill: 1, decode: 1 },
  replicas: [
    { name: "prefill-0", role: "prefill", index: 0, generation: 1, phase: "READY", url },
    { name: "decode-0", role: "decode", index: 0, generation: 1, phase: "READY", url },
  ],
  proxy: { phase: "READY", builtin: true, url: "http://10.0.0.1:8021" },
};

test("what a terminated job had is shown as what it was", async () => {
  const client = clientThat({
    status: async () => serving,
    look: async () => ({ state: "TERMINATED", failures: [] }),
  });
  const standing = await standingOf(client, "demo");
  expect(standing).toMatchObject({ phase: "TERMINATED", isPast: true });
  const [first, ...rest] = renderStatus(standing).split("\n");
  expect(first).toMatch(/^demo  TERMINATED  Job demo was terminated: .* cleanup demo$/);
  expect(rest).toEqual([
    "was ready: 1/1 prefill, 1/1 decode",
    "proxy: was READY  built-in  http://10.0.0.1:8021",
    "",
    "REPLICA    GEN  STATE      ADDRESS               NOTE",
    `prefill-0  g1   was READY  ${url}`,
    `decode-0   g1   was READY  ${url}`,
    "",
    "was doing: nothing",
  ]);
});

test("what a job has is shown as what it is", async () => {
  const standing = await standingOf(clientThat({ status: async () => serving }), "demo");
  expect(standing).not.toHaveProperty("isPast");
  expect(renderStatus(standing)).not.toContain("was ");
});

test("a job that has stopped shows its proxy as stopped", async () => {
  const proxy = { phase: "PENDING", builtin: true } as const;
  const status = async () => ({ ...serving, phase: "STOPPED" as const, replicas: [], proxy });
  const lines = renderStatus(await standingOf(clientThat({ status }), "demo")).split("\n");
  expect(lines).toContain("proxy: STOPPED  built-in");
});

test("a replica that drains shows how many requests it still has", async () => {
  const [prefill, decode] = serving.replicas;
  const draining = { ...decode!, phase: "DRAINING" as const, inFlight: 3 };
  const status = async () => ({ ...serving, replicas: [{ ...prefill!, inFlight: 2 }, draining] });
  const lines = renderStatus(await standingOf(clientThat({ status }), "demo")).split("\n");
  expect(lines).toContain(`prefill-0  g1   READY     ${url}`);
  expect(lines).toContain(`decode-0   g1   DRAINING  ${url}  3 in flight`);
});

test("a proxy without prefill replicas says what it does about that, in text and in JSON", async () => {
  const degraded: JobStatus = { ...serving, proxy: { ...serving.proxy, degraded: "decode-local" } };
  const standing = await standingOf(clientThat({ status: async () => degraded }), "demo");
  expect(renderStatus(standing).split("\n")[2]).toBe(
    "proxy: READY  built-in  http://10.0.0.1:8021  degraded: decode-local, no prefill replica serves and decode computes prompts",
  );
  expect(standing.proxy.degraded).toBe("decode-local");
});

describe("a job whose steps fail", () => {
  const clientOf = (failures: Execution["failures"]): PdjobClient =>
    clientThat({ status: async () => serving, look: async () => ({ state: "RUNNING", failures }) });
  const failing = {
    activity: "watchJob",
    attempt: 24,
    message: "Ray's head does not answer.\nIts last lines:",
    failingSinceMs: Date.UTC(2026, 10, 30, 1, 2, 3),
  };

  test("is said not to be looked after, right below what it was when somebody looked last", async () => {
    const later = { ...failing, activity: "planTurn", failingSinceMs: Date.now() };
    const standing = await standingOf(clientOf([later, failing]), "demo");
    expect(renderStatus(standing).split("\n").slice(0, 3)).toEqual([
      "demo  READY  1 prefill and 1 decode replicas serve",
      "not looked after since about 2026-11-30T01:02:03Z: Ray's head does not answer. (watchJob)",
      "ready: 1/1 prefill, 1/1 decode",
    ]);
    expect(standing.unattended).toEqual({
      sinceMs: failing.failingSinceMs,
      activity: "watchJob",
      message: failing.message,
    });
  });

  test("is looked after when only another step is retried, or the look has recovered", async () => {
    const { failingSinceMs: _, ...recovered } = failing;
    const other = { ...failing, activity: "waitHealthy" };
    expect(await standingOf(clientOf([recovered, other]), "demo")).toEqual(serving);
  });

  test("is shown once by a watch, although every attempt estimates anew since when", async () => {
    const shown: (number | undefined)[] = [];
    let looks = 0;
    const client = clientThat({
      status: async () => (looks > 2 ? { ...serving, phase: "STOPPED" as const } : serving),
      look: async () => ({
        state: "RUNNING",
        failures: [{ ...failing, failingSinceMs: 1_000 - looks++ }],
      }),
    });
    const show = ({ unattended }: Standing): void => void shown.push(unattended?.sinceMs);
    await watch({ client, job: "demo", show, everyMs: 1 });
    expect(new Set(shown)).toEqual(new Set([1_000]));
    expect(shown.length).toBeGreaterThan(1);
  });
});
