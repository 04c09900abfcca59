import { describe, expect, test } from "vitest";
import { applyProblem, countsOf, isProxyNew, withScaled } from "../../src/domain/apply.ts";
import { defaultSelection } from "../../src/domain/selection.ts";
import type { JobSpec, RoleSpec, SchedulerSpec } from "../../src/domain/spec.ts";
import { makeSpec } from "../support/spec.ts";

const at = (revision: string, counts: readonly [number, number], numGpus = 16): JobSpec => {
  const role = (replicas: number): Partial<RoleSpec> => ({
    replicas,
    revision,
    kvRevision: revision,
  });
  return makeSpec({ numGpus, prefill: role(counts[0]), decode: role(counts[1]) });
};

const problem = (before: JobSpec, after: JobSpec, more = {}): string | undefined =>
  applyProblem(
    { spec: after, ...more },
    {
      spec: before,
      desired: {
        replicas: { prefill: before.roles.prefill.replicas, decode: before.roles.decode.replicas },
      },
    },
  );

describe("a config is refused, before anything is touched", () => {
  test.each([
    [
      "of another job",
      makeSpec(),
      { ...makeSpec(), name: "other" },
      "The config is of job other, and this is job demo. A job keeps its name.",
    ],
    [
      "that needs more GPUs than it allows itself",
      at("a", [2, 2]),
      at("a", [8, 2]),
      "8 prefill × 2 + 2 decode × 2 = 20 GPUs, but num_gpus of job demo is 16. Ask for fewer replicas, or start the job with a larger num_gpus.",
    ],
    [
      "that would leave nobody to serve: one role has room, and both need it, since they cannot be paired with the old ones",
      at("a", [1, 1], 6),
      at("b", [1, 1], 6),
      "No prefill and no decode replica can be spared while it is replaced, and num_gpus 6 leaves no room for another beside it (8 would do). Allow that nothing serves meanwhile (--allow-outage), or raise num_gpus.",
    ],
    [
      "whose own budget forbids to make room",
      at("a", [1, 2]),
      { ...at("b", [1, 2]), rollout: { surge: 0, unavailable: 1, attempts: 2 } },
      "No prefill replica can be spared while it is replaced, and rollout.surge is 0, so there is never another beside it. Allow that nothing serves meanwhile (--allow-outage), or raise rollout.surge.",
    ],
  ])("one %s", (_what, before, after, expected) => {
    expect(problem(before, after)).toBe(expected);
  });

  const desired = { replicas: { prefill: 2, decode: 2 } };
  const { prefill, decode } = makeSpec().roles;
  const builtin = { port: 8021, membership: "builtin" } as const;
  const request =
    'An apply request is {"spec":{…},"outage"?:true}, with a spec as pdjob-client makes it of a config';

  test.each([undefined, null, 3, "spec", [], { spec: makeSpec(), outage: "yes" }])(
    "%j is no request",
    (payload) => {
      expect(applyProblem(payload, { spec: makeSpec(), desired })).toBe(`${request}.`);
    },
  );

  test.each([
    [undefined, "spec must be an object"],
    [{}, "spec.name must be a text"],
    [
      { name: "demo", roles: { prefill: {}, decode: {} }, scheduler: {} },
      "spec.timeoutS must be a number that is not negative",
    ],
    [
      { ...makeSpec(), roles: { prefill: { ...prefill, replicas: 0 }, decode } },
      "spec.roles.prefill.replicas must be a whole number from 1 to 256",
    ],
    [
      makeSpec({ prefill: { numGpus: 0 }, decode: { numGpus: 0, replicas: 1_000_000 } }),
      "spec.roles.decode.replicas must be a whole number from 1 to 256",
    ],
    [{ ...makeSpec(), engineCommand: [] }, "spec.engineCommand must be a list"],
    [
      { ...makeSpec(), roles: { prefill: { ...prefill, kvTransfer: {} }, decode } },
      "spec.roles.prefill.kvTransfer.kv_connector must be a text",
    ],
    [{ ...makeSpec(), roles: { prefill } }, "spec.roles.decode must be an object"],
    [
      { ...makeSpec(), scheduler: { port: 1, membership: "gossip" } },
      "spec.scheduler.membership must be builtin, restart, http, file, none",
    ],
    [
      { ...makeSpec(), scheduler: { ...builtin, selection: { ...defaultSelection, rampS: null } } },
      "spec.scheduler.selection.rampS must be a number that is not negative",
    ],
    [
      { ...makeSpec(), scheduler: { ...builtin, degraded: { prefill: "wait", decode: "fail" } } },
      "spec.scheduler.degraded.prefill must be fail, decode-local",
    ],
  ])("nor is anything that is no spec: %j", (spec, expected) => {
    expect(applyProblem({ spec }, { spec: makeSpec(), desired })).toBe(`${request}: ${expected}.`);
  });

  test("one that says how members are chosen is", () => {
    const degraded = { prefill: "decode-local", decode: "fail" } as const;
    const spec = makeSpec({ scheduler: { ...builtin, selection: defaultSelection, degraded } });
    expect(applyProblem({ spec }, { spec: makeSpec(), desired })).toBeUndefined();
  });

  test("nor is one that is too large to be kept with those that can be gone back to", () => {
    const files = { "table.txt": "é".repeat(160 * 1024) };
    const spec = makeSpec({ prefill: { files }, decode: { files } });
    expect(applyProblem({ spec }, { spec: makeSpec(), desired })).toBe(
      "The job's description takes 641 KiB, those of general counted for both roles, and 512 KiB can be kept with it in Temporal. Put long files into a folder that is sent with `upload`.",
    );
  });

  test("nor is anything changed of a job that stops", () => {
    const job = { spec: makeSpec(), desired: { ...desired, stop: { drain: true } } };
    expect(applyProblem({ spec: makeSpec() }, job)).toBe("Job demo is stopping.");
  });
});

test.each([
  ["replicas can be spared", at("a", [2, 2]), at("b", [2, 2]), {}],
  ["there is room for one more of each", at("a", [1, 1], 8), at("b", [1, 1], 8), {}],
  ["an outage is allowed", at("a", [1, 1], 4), at("b", [1, 1], 4), { outage: true }],
  ["no engine changes", at("a", [1, 1], 4), at("a", [1, 1], 4), {}],
])("a config is taken when %s", (_what, before, after, more) => {
  expect(problem(before, after, more)).toBeUndefined();
});

test.each([
  ["keeps what was asked for since by scale", [2, 3], [2, 3]],
  ["has its own where nothing was asked for since", [2, 4], [2, 2]],
  ["has its own where what was asked for does not fit", [2, 7], [2, 2]],
] as const)("an earlier config %s", (_what, replicas, expected) => {
  const earlier = at("a", [2, 2], 16);
  const desired = { replicas: { prefill: replicas[0], decode: replicas[1] } };
  expect(countsOf(withScaled(earlier, { spec: at("b", [2, 4], 20), desired }))).toEqual({
    prefill: expected[0],
    decode: expected[1],
  });
});

describe("the proxy is started anew when what it is told at its start changes", () => {
  const config = (kv_connector: string) => ({
    kvTransfer: { kv_connector, kv_role: "kv_both" as const },
  });
  const auth = { auth: { inference: ["env:KEY"], admin: [] } };
  const { scheduler } = makeSpec();
  const behind = { ...scheduler, command: ["run-proxy"], membership: "restart" as const };
  const keyed = (key: string, of: SchedulerSpec = { ...scheduler, ...auth }) =>
    makeSpec({ scheduler: of, decode: { envs: { VLLM_API_KEY: key } } });

  test.each([
    ["nothing", makeSpec(), makeSpec(), false],
    ["a count", makeSpec(), makeSpec({ decode: { replicas: 3 } }), false],
    ["a global variable", makeSpec(), makeSpec({ envs: { A: "1" } }), true],
    ["its port", makeSpec(), makeSpec({ scheduler: { ...scheduler, port: 9 } }), true],
    ["the grace of a stop", makeSpec(), makeSpec({ stopGraceS: 7 }), true],
    [
      "the way in which KV is handed over",
      makeSpec({ prefill: config("ExampleConnector") }),
      makeSpec({ prefill: config("NixlConnector") }),
      true,
    ],
    [
      "a connector that does it the same way",
      makeSpec({ prefill: config("NixlPullConnector") }),
      makeSpec({ prefill: config("NixlConnector") }),
      false,
    ],
    ["a key of engines that it knows", keyed("env:OLD"), keyed("env:NEW"), true],
    [
      "a key that it does not know",
      keyed("env:OLD", scheduler),
      keyed("env:NEW", scheduler),
      false,
    ],
    [
      "what a proxy of another command is never told",
      makeSpec({ scheduler: behind }),
      makeSpec({ scheduler: behind, stopGraceS: 7 }),
      false,
    ],
  ])("%s", (_what, before, after, expected) => {
    expect(isProxyNew(before, after)).toBe(expected);
  });
});
