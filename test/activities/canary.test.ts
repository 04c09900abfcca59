import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test } from "vitest";
import { canaryActivities } from "../../src/activities/canary.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { PdjobError } from "../../src/domain/errors.ts";
import type { Agent } from "../../src/ray/agent.ts";
import type { VerbResult } from "../../src/ray/contract.ts";
import { makeSpec } from "../support/spec.ts";

/** Probes notice a dead engine at once. */
const health = { intervalS: 0, timeoutS: 0, failures: 1 };

/** An agent whose canaries end as `answers` say, in turn, the last again and again. */
function agentThatSays(answers: readonly (VerbResult<"canary"> | PdjobError)[], state = "healthy") {
  const asked: unknown[] = [];
  const agent = {
    call: async (verb: string, args: unknown) => {
      if (verb === "replicaStatus") return { state };
      asked.push(args);
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      if (answer instanceof PdjobError) throw answer;
      return answer;
    },
    close: async () => undefined,
  } as Agent;
  const { sendCanary } = canaryActivities({ agent, readProxyProgram: async () => "" });
  const send = async (spec: JobSpec = makeSpec({ health }), deadlineMs = 0) =>
    new MockActivityEnvironment().run(sendCanary, {
      spec,
      action: {
        kind: "sendCanary" as const,
        replica: { role: "prefill" as const, index: 0 },
        generation: 2,
        partner: { replica: { role: "decode" as const, index: 1 }, generation: 3 },
        urls: { prefill: "http://p:1", decode: "http://d:2" },
        deadlineMs,
        reason: "",
      },
    });
  return { asked, send };
}

const failed = (how: "wrong" | "failed" | "late") =>
  ({ passed: false, stage: "kv", how, message: "it computed the prompt itself" }) as const;

test("the actor of the decode replica is asked, with the model's name and the key of each engine", async () => {
  const { asked, send } = agentThatSays([{ passed: true }]);
  process.env["CANARY_KEY"] = "secret";
  const spec = makeSpec({
    prefill: { params: { served_model_name: ["llama", "other"], api_key: "plain" } },
    decode: {
      params: { served_model_name: ["llama", "other"] },
      envs: { VLLM_API_KEY: "env:CANARY_KEY" },
    },
  });
  expect(await send(spec)).toEqual({ notes: [] });
  expect(asked).toEqual([
    {
      name: "demo-decode-1-g3",
      prefill: { url: "http://p:1", key: "plain" },
      decode: { url: "http://d:2", key: "secret" },
      handOver: "params",
      model: "llama",
      timeoutS: 30,
    },
  ]);
});

test("what could not be asked is an event", async () => {
  const { send } = agentThatSays([{ passed: true, note: "it has no /v1/completions" }]);
  const note =
    "canary prefill-0 g2 → decode-1 g3: it has no /v1/completions, so nothing more was asked of it";
  expect(await send()).toEqual({ notes: [note] });
});

test("what will be the same again fails after three tries, and names stage, pair and what to do", async () => {
  const { asked, send } = agentThatSays([failed("wrong")]);
  const error = await send().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(PdjobError);
  expect(error).toMatchObject({
    code: "CanaryFailed",
    message:
      "Canary prefill-0 g2 → decode-1 g3 failed at stage kv: it computed the prompt itself. Is its kv_role one that receives KV (kv_consumer, or kv_both), and are the connector's ports reachable from node to node? Read the logs of both.",
  });
  expect(asked).toHaveLength(3);
});

test("an error is tried again for as long as a dead engine may go unnoticed", async () => {
  const { asked, send } = agentThatSays([
    ...Array.from({ length: 5 }, () => failed("failed")),
    { passed: true },
  ]);
  expect(await send()).toEqual({ notes: [] });
  expect(asked).toHaveLength(6);
});

test("one that is only slow has until the deadline", async () => {
  const { asked, send } = agentThatSays([
    ...Array.from({ length: 4 }, () => failed("late")),
    { passed: true },
  ]);
  expect(await send(undefined, Number.POSITIVE_INFINITY)).toEqual({ notes: [] });
  expect(asked).toHaveLength(5);
  await expect(agentThatSays([failed("late")]).send()).rejects.toMatchObject({
    code: "CanaryFailed",
  });
});

test("when one of the two is not healthy any more, nothing is said of the other", async () => {
  const { asked, send } = agentThatSays([failed("wrong")], "exited");
  expect(await send()).toBeUndefined();
  expect(asked).toHaveLength(1);
});

test("an actor that cannot be asked is asked again until the deadline, and has failed then", async () => {
  const silent = new PdjobError("RayUnreachable", "Actor demo-decode-1-g3 did not answer canary.");
  const { send } = agentThatSays([silent]);
  await expect(send(undefined, Number.POSITIVE_INFINITY)).rejects.toBe(silent);
  await expect(send(undefined, 0)).rejects.toMatchObject({
    code: "CanaryFailed",
    message:
      "Canary prefill-0 g2 → decode-1 g3 could not be sent: Actor demo-decode-1-g3 did not answer canary.",
  });
  expect(await agentThatSays([silent], "exited").send()).toBeUndefined();
});
