import { expect, test } from "vitest";
import { changesBetween, consequencesOf } from "../../src/plan/changes.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { makeSpec } from "../support/spec.ts";

test("a change is named as the config names it, with what it was and what it is to be", () => {
  const before = makeSpec({ health: { intervalS: 1, timeoutS: 3, failures: 3 } });
  const after = makeSpec({
    timeoutS: 90,
    drainS: { prefill: 10, decode: 5 },
    stopGraceS: 6,
    envs: { A: "1" },
    restart: { restartsMax: 1, windowS: 600 },
    health: { intervalS: 2, timeoutS: 3, failures: 3 },
    prefill: {
      replicas: 3,
      model: "sim/other",
      params: { timeoutS: 4 },
      envs: { model: "x" },
      kvTransfer: { kv_connector: "NixlConnector", kv_role: "kv_both" },
      extraArgs: ["--foo"],
      revision: "new",
    },
  });
  expect(changesBetween(before, after)).toEqual([
    { path: "timeout", before: "60", after: "90" },
    { path: "restart.max_restarts", before: "3", after: "1" },
    { path: "drain.decode", before: "20", after: "5" },
    { path: "stop_grace", before: "5", after: "6" },
    { path: "health.interval", before: "1", after: "2" },
    { path: "prefill.replicas", before: "2", after: "3" },
    { path: "prefill.params.served_model_name", before: '"sim"' },
    { path: "prefill.params.model", before: '"sim/tiny"', after: '"sim/other"' },
    {
      path: "prefill.params.kv_transfer_config.kv_role",
      before: '"kv_producer"',
      after: '"kv_both"',
    },
    { path: "prefill.params._extra_params", before: "[]", after: '["--foo"]' },
    { path: "envs.A", after: '"1"' },
    { path: "prefill.envs.model", after: '"x"' },
    { path: "prefill.params.timeoutS", after: "4" },
  ]);
  expect(changesBetween(after, after)).toEqual([]);
});

test("limits of the proxy are named as in the config, and start it anew", () => {
  const limits = { bodyMibMax: 64, memoryMibMax: 99, requestsMax: 5, waitingMax: 1, waitS: 30 };
  const { scheduler } = makeSpec();
  const [before, after] = [makeSpec(), makeSpec({ scheduler: { ...scheduler, limits } })];
  expect(changesBetween(before, after).map(({ path }) => path)).toEqual(
    ["max_body_mib", "max_memory_mib", "max_requests", "max_waiting", "max_wait"].map(
      (key) => `scheduler.limits.${key}`,
    ),
  );
  const running = { prefill: 2, decode: 2 };
  expect(consequencesOf(before, after, running)).toEqual(["the proxy is started anew"]);
});

test("no key of the spec's own shows up where the config calls it otherwise", () => {
  const selection = {
    prefill: "prefix-affinity",
    decode: "power-of-two",
    prefixBytes: 512,
    rampS: 0,
    silenceS: 5,
    ejectionS: 6,
  } as const;
  const health = { intervalS: 1, timeoutS: 3, failures: 3 };
  const before = makeSpec({ health });
  const after = makeSpec({
    health: { ...health, stallS: 40 },
    scheduler: { ...before.scheduler, selection },
  });
  expect(changesBetween(before, after).map(({ path }) => path)).toEqual([
    "scheduler.selection.prefill",
    "scheduler.selection.decode",
    "scheduler.selection.prefix_bytes",
    "scheduler.selection.ramp",
    "scheduler.selection.silence",
    "scheduler.selection.ejection",
    "health.stall",
  ]);
});

const revised = (prefill: string, decode: string, counts = 2, more = {}): JobSpec =>
  makeSpec({
    prefill: { replicas: counts, revision: prefill, kvRevision: prefill },
    decode: { replicas: counts, revision: decode, kvRevision: decode },
    ...more,
  });

test.each([
  ["nothing that runs", revised("a", "a"), []],
  [
    "one role",
    revised("b", "a"),
    ["prefill: 2 engines are replaced, 1 at a time, after its requests in flight"],
  ],
  [
    "both roles, of one replica each from now on, and the proxy",
    revised("b", "b", 1, { scheduler: { port: 1, membership: "builtin" } }),
    [
      "prefill: 1 engine is replaced, beside 1 more that comes first and goes last",
      "decode: 1 engine is replaced, beside 1 more that comes first and goes last",
      "old engines are never paired with new ones: their KV may not fit together",
      "prefill: 2 → 1 replicas",
      "decode: 2 → 1 replicas",
      "the proxy is started anew",
    ],
  ],
  [
    "two replicas of which none may be spared, without room for another: one is, if that is allowed",
    revised("b", "a", 2, { numGpus: 4, rollout: { surge: 1, unavailable: 0, attempts: 2 } }),
    ["prefill: 2 engines are replaced, 1 at a time, after its requests in flight"],
  ],
  [
    "a third replica for which there is room: it is the one beside the others",
    revised("b", "a", 3, { numGpus: 6 }),
    [
      "prefill: 2 engines are replaced, 1 at a time, after its requests in flight",
      "prefill: 2 → 3 replicas",
      "decode: 2 → 3 replicas",
    ],
  ],
  [
    "one role that has neither a replica to spare nor room for another",
    revised("b", "a", 1, { numGpus: 2 }),
    [
      "prefill: 1 engine is replaced, and no other has room beside it: nothing serves meanwhile",
      "prefill: 2 → 1 replicas",
      "decode: 2 → 1 replicas",
    ],
  ],
])("what a change costs is told: %s", (_what, after, expected) => {
  const running = { prefill: 2, decode: 2 };
  expect(consequencesOf(revised("a", "a"), after, running)).toEqual(expected);
});
