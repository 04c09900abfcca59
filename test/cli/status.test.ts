import { expect, test } from "vitest";
import { renderStatus } from "../../src/cli/status.ts";
import { standingOf } from "../../src/cli/watch.ts";
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
