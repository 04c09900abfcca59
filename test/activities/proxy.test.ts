import { MockActivityEnvironment } from "@temporalio/testing";
import { expect, test, vi } from "vitest";
import { createActivities } from "../../src/activities/index.ts";
import type { ActionOf } from "../../src/domain/action.ts";
import { PdjobError } from "../../src/domain/errors.ts";
import type { ObservedProxy } from "../../src/domain/observed.ts";
import type { Agent } from "../../src/ray/agent.ts";
import type { VerbArgs } from "../../src/ray/verbs.ts";
import { makeSpec } from "../support/spec.ts";

type Asked = VerbArgs["ensureProxy"];

/** Runs `runProxy` against an agent that answers as told, call by call; answers with what the agent was asked. */
async function run(builtin: boolean, timeoutS: number, answers: readonly (string | Error)[]) {
  const asked: Asked[] = [];
  const agent = {
    call(_verb: string, args: Asked) {
      const answer = answers[asked.length] ?? "healthy";
      asked.push(args);
      if (answer instanceof Error) return Promise.reject(answer);
      return Promise.resolve({ name: args.name, generation: 1, state: answer });
    },
    close: () => Promise.resolve(),
  } as unknown as Agent;
  const { runProxy } = createActivities({ agent, readProxyProgram: async () => "" });
  const input = {
    spec: makeSpec({ timeoutS, stopGraceS: 7 }),
    action: {
      kind: "runProxy" as const,
      generation: 1,
      command: { builtin, argv: ["x"], members: [] },
      deadlineMs: 0,
      reason: "",
    },
  };
  const started = new MockActivityEnvironment().run(runProxy, input) as Promise<ObservedProxy>;
  const outcome = await started.then(
    ({ state }) => state,
    (error: Error) => error.message,
  );
  return { outcome, asked };
}

test("a proxy that is still starting is asked for again, with the time it has had so far", async () => {
  const { outcome, asked } = await run(false, 600, ["starting", "starting", "healthy"]);
  expect(outcome).toBe("healthy");
  const elapsed = asked.map(({ elapsedS }) => elapsedS ?? 0);
  expect(elapsed).toHaveLength(3);
  expect(elapsed[0]).toBeLessThan(0.1);
  expect(elapsed[2]).toBeGreaterThan(elapsed[1] ?? 1);
});

test("only the first call may start it: what is gone afterwards was stopped by somebody", async () => {
  const { asked } = await run(false, 600, ["starting", "starting", "healthy"]);
  expect(asked.map(({ mustExist }) => mustExist)).toEqual([false, true, true]);
});

test("the agent's verdict ends it", async () => {
  const late = new PdjobError("ProxyTimeout", "too late");
  expect((await run(false, 600, ["starting", late])).outcome).toBe("too late");
});

test.each([
  [false, 600, 600],
  [false, 5, 5],
  [true, 600, 120],
  [true, 5, 5],
])("built in: %s, the job's timeout %d s: it has %d s", async (builtin, timeoutS, expected) => {
  const { asked } = await run(builtin, timeoutS, []);
  expect(asked[0]).toMatchObject({ startTimeoutS: expected, graceS: 7 });
});

test("the built-in proxy is told that the job stops", async () => {
  const asked: unknown[] = [];
  const agent = {
    call: (_verb: string, args: unknown) =>
      Promise.resolve(asked.push(args)).then(() => ({ acknowledged: 4 })),
    close: () => Promise.resolve(),
  } as unknown as Agent;
  const { setMembership } = createActivities({ agent, readProxyProgram: async () => "" });
  const action: ActionOf<"setMembership"> = {
    kind: "setMembership",
    proxyGeneration: 1,
    generation: 4,
    members: [],
    closing: true,
    reason: "",
  };
  await new MockActivityEnvironment().run(setMembership, { spec: makeSpec(), action });
  expect(asked).toEqual([
    { name: "demo-proxy-g1", membership: { generation: 4, members: [], closing: true } },
  ]);
});

test("a proxy that is told by requests gets them with its secrets, for whom its command line names and for all", async () => {
  vi.stubEnv("PDJOB_TEST_ADMIN_KEY", "open sesame");
  const asked: { verb: string; args: VerbArgs["setMembership"] }[] = [];
  const agent = {
    call(verb: string, args: VerbArgs["setMembership"]) {
      asked.push({ verb, args });
      return Promise.resolve({ state: "healthy", acknowledged: 1 });
    },
    close: () => Promise.resolve(),
  } as unknown as Agent;
  const add = {
    method: "POST",
    url: "/add?u={URL}",
    headers: { "X-Key": "env:PDJOB_TEST_ADMIN_KEY" },
    accept: [409],
  };
  const command = ["p", "$DECODE_URL_1"];
  const http = { add: { prefill: add, decode: add } };
  const spec = makeSpec({ scheduler: { port: 1, membership: "http", command, http } });
  const members = (["prefill", "decode"] as const).map((role) => ({
    name: `demo-${role}-0-g1`,
    role,
    url: `http://${role}:1`,
  }));
  const { runProxy, setMembership } = createActivities({ agent, readProxyProgram: async () => "" });
  const environment = new MockActivityEnvironment();
  const run: ActionOf<"runProxy"> = {
    kind: "runProxy",
    generation: 1,
    command: { builtin: false, argv: ["p"], members },
    deadlineMs: 0,
    reason: "",
  };
  await environment.run(runProxy, { spec, action: run });
  const told: ActionOf<"setMembership"> = {
    kind: "setMembership",
    proxyGeneration: 1,
    generation: 1,
    members,
    reason: "",
  };
  await environment.run(setMembership, { spec, action: told });
  const callOf = (role: string) => ({
    name: `demo-${role}-0-g1`,
    add: { ...add, url: `/add?u=http%3A%2F%2F${role}%3A1`, headers: { "X-Key": "open sesame" } },
  });
  expect(asked.map(({ verb, args }) => [verb, args.membership, args.telling])).toEqual([
    [
      "ensureProxy",
      { generation: 0, members: [members[1]] },
      { kind: "http", calls: [callOf("decode")] },
    ],
    [
      "setMembership",
      { generation: 1, members },
      { kind: "http", calls: [callOf("prefill"), callOf("decode")] },
    ],
  ]);
});
