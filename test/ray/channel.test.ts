import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { connectAgent } from "../../src/ray/agent.ts";
import type { Agent } from "../../src/ray/agent.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-channel-"));
const agents: Agent[] = [];
afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.close();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const hello = {
  protocol: 1,
  rayVersion: "2",
  pythonVersion: "3",
  session: "s",
  nodeIp: "10.0.0.1",
};

/** An agent whose answers are the test's: `reply` is the body of a function of a request `{id, verb, args}`. */
function agentThat(reply: string, greeting: unknown = { hello }): Agent {
  const path = join(dir, `agent-${Math.random().toString(36).slice(2)}.mjs`);
  const program = `#!/usr/bin/env node
import { createInterface } from "node:readline";
const say = (value) => process.stdout.write((typeof value === "string" ? value : JSON.stringify(value)) + "\\n");
say(${JSON.stringify(greeting)});
const reply = ({ id, verb, args }) => { ${reply} };
createInterface({ input: process.stdin }).on("line", (line) => reply(JSON.parse(line))).on("close", () => process.exit(0));
`;
  writeFileSync(path, program);
  chmodSync(path, 0o755);
  const agent = connectAgent({ rayAddress: "10.0.0.1:6379", python: path });
  agents.push(agent);
  return agent;
}

test("answers reach the calls they belong to, in whatever order they come", async () => {
  const agent = agentThat(
    "setTimeout(() => say({ id, ok: true, result: { removed: args.name === 'a' } }), args.name === 'a' ? 50 : 0)",
  );
  const calls = ["a", "b"].map((name) => agent.call("removePlacementGroup", { name }));
  expect(await Promise.all(calls)).toEqual([{ removed: true }, { removed: false }]);
});

test("noise on the wire is passed over", async () => {
  const agent = agentThat(
    "say('not json'); say({ id: null, ok: true, result: 1 }); say({ id, ok: true, result: { stopped: true } })",
  );
  expect(await agent.call("stopReplica", { name: "x", graceS: 1 })).toEqual({ stopped: true });
});

test("an agent's error keeps its code, and so whether trying again can help", async () => {
  const agent = agentThat(
    "say({ id, ok: false, error: { class: 'fatal', code: args.name, message: 'why' } })",
  );
  for (const code of ["StaleGeneration", "EngineNotStarted"]) {
    await expect(agent.call("removePlacementGroup", { name: code })).rejects.toMatchObject({
      code,
      message: "why",
    });
  }
  await expect(agent.call("removePlacementGroup", { name: "BadRequest" })).rejects.toMatchObject({
    code: "SpecInvalid",
  });
});

test("an agent that dies in a call fails that call, and the next call has a new one", async () => {
  const agent = agentThat(
    "if (verb === 'sweep') { process.stderr.write('boom\\n'); process.exit(3); } else say({ id, ok: true, result: { removed: true } })",
  );
  await expect(agent.call("sweep", { job: "a", dryRun: true })).rejects.toMatchObject({
    code: "AgentUnreachable",
    message: expect.stringMatching(/exited with code 3\.\nboom$/),
  });
  expect(await agent.call("removePlacementGroup", { name: "x" })).toEqual({ removed: true });
});

test("an agent that does not answer in time, or whose call is aborted, does not hold the caller", async () => {
  const agent = agentThat("void id");
  await expect(agent.call("ping", {}, { timeoutMs: 50 })).rejects.toThrow(
    "The Ray agent did not answer ping within 0.05 s.",
  );
  await expect(agent.call("ping", {}, { signal: AbortSignal.timeout(50) })).rejects.toThrow(
    /timeout/i,
  );
});

describe("a call that is aborted", () => {
  const slow =
    "setTimeout(() => say({ id, ok: true, result: { removed: true, left: [] , jobs: [] } }), 150)";

  async function abortedCall(verb: "removePlacementGroup" | "jobs", reply: string, options = {}) {
    const agent = agentThat(reply);
    await agent.call("jobs", {}, options).catch(() => undefined); // It is up.
    const leave = new AbortController();
    const startedMs = performance.now();
    const call =
      verb === "jobs"
        ? agent.call("jobs", {}, { signal: leave.signal })
        : agent.call("removePlacementGroup", { name: "x" }, { signal: leave.signal, ...options });
    const settled = call.then(
      () => "answered",
      (error: Error) => error.message,
    );
    await sleep(20); // It is with the agent.
    leave.abort(new Error("left"));
    return { outcome: await settled, afterMs: performance.now() - startedMs };
  }

  test("and changes something fails only when the agent is done with it", async () => {
    const { outcome, afterMs } = await abortedCall("removePlacementGroup", slow);
    expect(outcome).toBe("left");
    expect(afterMs).toBeGreaterThan(140);
  });

  test("and changes something does not wait longer than its timeout", async () => {
    const { outcome, afterMs } = await abortedCall("removePlacementGroup", "void id", {
      timeoutMs: 60,
    });
    expect([outcome, afterMs >= 55]).toEqual(["left", true]);
  });

  test("and only reads fails at once", async () => {
    const once =
      "globalThis.asked = (globalThis.asked ?? 0) + 1; if (asked === 1) say({ id, ok: true, result: { jobs: [] } })";
    expect((await abortedCall("jobs", once)).outcome).toBe("left");
  });

  test("before the agent is up is never sent", async () => {
    const agent = agentThat(
      "(globalThis.seen ??= []).push({ job: verb, replicas: 0, placementGroups: 0, proxies: 0 }); say({ id, ok: true, result: { removed: true, jobs: seen } })",
    );
    const leave = new AbortController();
    const call = agent.call("removePlacementGroup", { name: "x" }, { signal: leave.signal });
    leave.abort(new Error("left"));
    await expect(call).rejects.toThrow("left");
    const { jobs } = await agent.call("jobs", {});
    expect(jobs.map(({ job }) => job)).toEqual(["jobs"]);
  });
});

test("a fatal greeting is that error, and a missing program says so", async () => {
  const refused = agentThat("", {
    fatal: { class: "fatal", code: "AuthDenied", message: "no token" },
  });
  await expect(refused.call("ping", {})).rejects.toMatchObject({
    code: "AuthDenied",
    message: "no token",
  });
  const missing = connectAgent({ rayAddress: "x:1", python: "/no/such/python" });
  await expect(missing.call("ping", {})).rejects.toMatchObject({
    code: "AgentUnreachable",
    message: expect.stringContaining("/no/such/python"),
  });
});

test("an answer of another shape is named, field by field", async () => {
  const agent = agentThat("say({ id, ok: true, result: { removed: 'yes' } })");
  await expect(agent.call("removePlacementGroup", { name: "x" })).rejects.toThrow(
    /answer to removePlacementGroup is not what this version expects: removed:/,
  );
});
