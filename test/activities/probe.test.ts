import { ApplicationFailure } from "@temporalio/common";
import { MockActivityEnvironment } from "@temporalio/testing";
import { describe, expect, test } from "vitest";
import { probeActivities } from "../../src/activities/probe.ts";
import type { EngineVersion } from "../../src/domain/engine-version.ts";
import { PdjobError } from "../../src/domain/errors.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import type { Agent } from "../../src/ray/agent.ts";
import type { VerbResult } from "../../src/ray/contract.ts";
import { makeSpec } from "../support/spec.ts";

const node = (id: string) => ({
  id,
  ip: `10.0.0.${id}`,
  alive: true,
  isHead: id === "0",
  total: { GPU: 8, CPU: 4 },
  available: { GPU: 8, CPU: 4 },
});

/** An agent of two nodes that answers what `answers` has for each, in turn; the last one again and again. */
function nodesThatSay(...answers: readonly VerbResult<"probeEngine">[]) {
  const asked: unknown[] = [];
  const agent = {
    call: async (verb: string, args: unknown) => {
      if (verb === "nodes") return { nodes: [node("0"), node("1")] };
      asked.push(args);
      return answers[Math.min(asked.length, answers.length) - 1];
    },
    close: async () => undefined,
  } as Agent;
  const { probeEngine } = probeActivities({ agent, readProxyProgram: async () => "" });
  const probe = async (spec: JobSpec): Promise<EngineVersion> =>
    new MockActivityEnvironment().run(probeEngine, {
      spec,
      action: { kind: "probeEngine" as const, reason: "" },
    });
  return { asked, probe };
}

const says = (output: string) => ({ code: 0, output });

test("an answer holds for every job with that command and environment on that node", async () => {
  const { asked, probe } = nodesThatSay(says("0.32.0\n"));
  expect(await probe(makeSpec({ name: "a" }))).toEqual({ version: "0.32.0", notes: [] });
  expect(await probe(makeSpec({ name: "b" }))).toEqual({ version: "0.32.0", notes: [] });
  expect(asked).toHaveLength(2);
  expect(asked[0]).toEqual({
    nodeId: "0",
    argv: ["pdjob-sim-engine", "--version"],
    package: "vllm",
    env: {},
    cwd: "/tmp/pdjob-demo",
    timeoutS: 90,
  });
  await probe(makeSpec({ engineCommand: ["vllm", "serve"] }));
  await probe(makeSpec({ prefill: { envs: { A: "1" } }, decode: { envs: { A: "1" } } }));
  expect(asked).toHaveLength(6);
});

test("a failure is no error, says what it means, and is asked again", async () => {
  const { asked, probe } = nodesThatSay(
    { code: 1, output: "Traceback" },
    { code: 1, output: "" },
    says("0.31.0"),
  );
  const { version, notes } = await probe(makeSpec());
  expect(version).toBeUndefined();
  expect(notes).toEqual([
    "The engine's version could not be read (10.0.0.0: exit code 1): vLLM 0.32 is assumed; give engine.version if it is another.",
  ]);
  expect(await probe(makeSpec())).toEqual({ version: "0.31.0", notes: [] });
  expect(asked).toHaveLength(4);
});

test("secrets are resolved for the engine's environment, and a missing one ends the job here", async () => {
  process.env["PDJOB_TEST_TOKEN"] = "s3cret";
  const envs = { TOKEN: "env:PDJOB_TEST_TOKEN" };
  const { asked, probe } = nodesThatSay(says("0.32.0"));
  await probe(makeSpec({ prefill: { envs }, decode: { envs } }));
  expect(asked[0]).toMatchObject({ env: { TOKEN: "s3cret" } });
  delete process.env["PDJOB_TEST_TOKEN"];
  const missing = { TOKEN: "env:PDJOB_TEST_OTHER" };
  await expect(probe(makeSpec({ prefill: { envs: missing } }))).rejects.toMatchObject({
    code: "SecretMissing",
  });
});

test("a version that cannot run the connector is an error that trying again does not help", async () => {
  const { probe } = nodesThatSay(says("0.24.0"));
  const kvTransfer = { kv_connector: "P2pNcclConnector", kv_role: "kv_both" };
  const scheduler = { port: 1, membership: "none", command: ["p"] } as const;
  const failure = probe(makeSpec({ scheduler, prefill: { kvTransfer }, decode: { kvTransfer } }));
  await expect(failure).rejects.toBeInstanceOf(PdjobError);
  await expect(failure).rejects.not.toBeInstanceOf(ApplicationFailure);
  await expect(failure).rejects.toMatchObject({
    code: "SpecInvalid",
    message: expect.stringMatching(/^prefill\.params.*0\.24 removed it.*\ndecode\.params/),
  });
});

const gone = { kv_connector: "P2pNcclConnector", kv_role: "kv_both" };
const refusedBy24 = makeSpec({
  scheduler: { port: 1, membership: "none", command: ["p"] },
  prefill: { kvTransfer: gone },
  decode: { kvTransfer: gone },
});

test("what was refused is asked anew the next time: another vLLM may be installed by then", async () => {
  const { asked, probe } = nodesThatSay(says("0.24.0"), says("0.24.0"), says("0.23.0"));
  await expect(probe(refusedBy24)).rejects.toMatchObject({ code: "SpecInvalid" });
  expect(asked).toHaveLength(2);
  expect(await probe(refusedBy24)).toEqual({ version: "0.23.0", notes: [] });
  expect(asked).toHaveLength(4);
});

test("nothing is refused by an answer that another job was given earlier", async () => {
  const { asked, probe } = nodesThatSay(says("0.24.0"), says("0.24.0"), says("0.23.0"));
  await probe(makeSpec());
  expect(await probe(refusedBy24)).toEqual({ version: "0.23.0", notes: [] });
  expect(asked).toHaveLength(4);
});

describe("before the first proxy of a job, the head node is asked for its port:", () => {
  /** Answers of `checkHead`, in turn; the last one again and again. */
  const headThatSays = (...answers: readonly VerbResult<"checkHead">[]) => {
    let asked = 0;
    const agent = {
      call: async (verb: string, args: { readonly job?: string }) => {
        if (verb === "nodes") return { nodes: [node("0")] };
        if (verb === "checkHead") return answers[Math.min(asked++, answers.length - 1)];
        if (verb === "jobs") return { jobs: [{ job: "older" }] };
        if (verb === "list") return { proxies: [{ name: `${args.job}-proxy-g1`, port: 8021 }] };
        return says("0.32.0\n");
      },
      close: async () => undefined,
    } as unknown as Agent;
    const { probeEngine } = probeActivities({ agent, readProxyProgram: async () => "" });
    const probe = async (
      isProxyNew: boolean,
      overrides: Parameters<typeof makeSpec>[0] = {},
    ): Promise<unknown> =>
      new MockActivityEnvironment().run(probeEngine, {
        spec: makeSpec(overrides),
        action: { kind: "probeEngine" as const, ...(isProxyNew ? { isProxyNew } : {}), reason: "" },
      });
    return { probe, asked: () => asked };
  };
  const ip = "10.0.0.0";
  const taken = { ip, portProblem: "Address already in use" };

  test("one that stays taken is a failure, with the job that has it", async () => {
    const { probe, asked } = headThatSays(taken);
    await expect(probe(true)).rejects.toMatchObject({
      code: "ProxyNotStarted",
      message:
        "The proxy cannot be started on the head node 10.0.0.0: port 8021 cannot be taken (Address already in use: job older has it). Free it, or choose another `scheduler.port`.",
    });
    expect(asked()).toBe(4);
  });

  test("one that is given up meanwhile is none", async () => {
    const { probe, asked } = headThatSays(taken, { ip });
    await expect(probe(true)).resolves.toMatchObject({ version: "0.32.0" });
    expect(asked()).toBe(2);
  });

  test("Node.js is asked for where the built-in proxy takes what the head node has", async () => {
    const without = { ip, nodeProblem: "there is no Node.js" };
    await expect(headThatSays(without).probe(true)).rejects.toThrow("there is no Node.js");
    const own = { envs: { PATH: "/opt/node/bin" } };
    await expect(headThatSays(without).probe(true, own)).resolves.toBeDefined();
    const scheduler = { port: 8021, membership: "none", command: ["a-proxy"] } as const;
    await expect(headThatSays(without).probe(true, { scheduler })).resolves.toBeDefined();
  });

  test("a job that has a proxy is not asked", async () => {
    const { probe, asked } = headThatSays(taken);
    await expect(probe(false)).resolves.toMatchObject({ version: "0.32.0" });
    expect(asked()).toBe(0);
  });
});
