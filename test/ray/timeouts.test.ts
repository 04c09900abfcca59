import { readFileSync, readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { isErrorCode, isRetryable } from "../../src/domain/errors.ts";
import { agentLimits, callTimeoutMs, isDroppable, readVerbs } from "../../src/ray/timeouts.ts";

const folder = "agent/pdjob_agent";
const agent = readdirSync(folder)
  .filter((file) => file.endsWith(".py"))
  .map((file) => readFileSync(`${folder}/${file}`, "utf8"))
  .join("\n");

test.each(Object.entries(agentLimits))("the agent's own %s is %d", (name, seconds) => {
  const found = new RegExp(`^${name} = ([\\d.]+)$`, "m").exec(agent)?.[1];
  expect(Number(found)).toBe(seconds);
});

test("the agent takes the same verbs for reads", () => {
  const words = /^READS = frozenset\(\{(.*)\}\)$/m.exec(agent)?.[1] ?? "";
  expect(words.split(", ").map((word) => word.slice(1, -1))).toEqual(
    expect.arrayContaining([...readVerbs]),
  );
  expect(words.split(", ")).toHaveLength(readVerbs.size);
});

test("the agent calls the same errors worth another try", () => {
  const retryable = /^RETRYABLE = frozenset\(\{(.*)\}\)$/m.exec(agent)?.[1] ?? "";
  const changed = /^CLUSTER_CHANGED = frozenset\(\{(.*)\}\)$/m.exec(agent)?.[1] ?? "";
  const again = `${retryable}, ${changed}`.split(", ").map((word) => word.slice(1, -1));
  const raised = new Set(
    [...agent.matchAll(/AgentError\(\s*"([A-Za-z]+)"/g)].map(([, code = ""]) => code),
  );
  expect(raised.size).toBeGreaterThan(5);
  const codes = [...raised].filter((code) => code !== "BadRequest");
  expect(codes.filter((code) => !isErrorCode(code))).toEqual([]);
  expect(again.filter((code) => !isErrorCode(code) || !isRetryable[code])).toEqual([]);
  const worth = codes.filter((code) => isErrorCode(code) && isRetryable[code]);
  expect(worth.filter((code) => !again.includes(code))).toEqual([]);
});

test("a stop is waited for as long as its grace lasts, its followers and what SIGKILL takes", () => {
  const seconds = (graceS: number) =>
    callTimeoutMs("stopReplica", { name: "a-prefill-0-g1", graceS }) / 1_000;
  expect(seconds(0)).toBe(0 + 5 + 2 * (15 + 15 + 3) + 20);
  expect(seconds(600) - seconds(0)).toBe(600);
});

test("what may have to stop leftovers first waits for those too", () => {
  const name = "a-prefill-0-g2";
  const bundles = [{ GPU: 1 }];
  const fence = callTimeoutMs("ensurePlacementGroup", { name, bundles, graceS: 100 });
  expect(fence).toBeGreaterThan(callTimeoutMs("stopReplica", { name, graceS: 100 }));
  expect(callTimeoutMs("ensurePlacementGroup", { name, bundles })).toBe(fence - 95_000);
  expect(callTimeoutMs("list", { job: "a" })).toBe(20_000);
});

test("a command on a node is waited for as long as it may take, and its answer may be dropped", () => {
  const asked = { argv: ["vllm", "--version"], package: "vllm", timeoutS: 90 };
  const args = { nodeId: "n", env: {}, cwd: "/tmp", ...asked };
  expect(callTimeoutMs("probeEngine", args)).toBe((90 + 40 + 20) * 1_000);
  expect([isDroppable("probeEngine"), isDroppable("list"), isDroppable("startEngine")]).toEqual([
    true,
    true,
    false,
  ]);
});
