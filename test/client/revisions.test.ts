import { expect, test } from "vitest";
import { withRevisions } from "../../src/client/revisions.ts";
import type { JobSpec, RoleSpec } from "../../src/domain/spec.ts";
import { makeSpec } from "../support/spec.ts";

const named = (spec: JobSpec) => {
  const { prefill, decode } = withRevisions(spec).roles;
  return [prefill.revision, prefill.kvRevision, decode.revision, decode.kvRevision];
};

const before = named(makeSpec());

/** Which of the four hashes differ: P engine, P KV, D engine, D KV. */
const changed = (overrides: Parameters<typeof makeSpec>[0]): string =>
  named(makeSpec(overrides))
    .map((one, at) => (one === before[at] ? "-" : ["P", "p", "D", "d"][at]))
    .join("");

const params = (more: RoleSpec["params"]) => ({ params: { served_model_name: "sim", ...more } });

test.each([
  ["counts", { prefill: { replicas: 5 } }, "----"],
  ["limits", { numGpus: 64, timeoutS: 9, leaseS: 1, stopGraceS: 1 }, "----"],
  ["the proxy", { scheduler: { port: 1, membership: "builtin" } }, "----"],
  ["a flag about batching, of one role", { prefill: params({ max_num_seqs: 8 }) }, "P---"],
  ["the same in vLLM's own spelling", { prefill: params({ "max-num-seqs": 8 }) }, "P---"],
  ["a flag that KV depends on", { decode: params({ block_size: 32 }) }, "--Dd"],
  ["a flag that nobody knows", { decode: params({ brand_new: 1 }) }, "--Dd"],
  ["a variable", { prefill: { envs: { VLLM_ATTENTION_BACKEND: "X" } } }, "Pp--"],
  ["a variable about logging", { prefill: { envs: { VLLM_LOGGING_LEVEL: "DEBUG" } } }, "P---"],
  ["GPUs", { prefill: { numGpus: 4 } }, "P---"],
  ["the engine", { engineCommand: ["vllm", "serve"] }, "PpDd"],
  ["the working directory", { workingDir: "/tmp/other" }, "P-D-"],
] as const)("a change of %s names other engines: %j → %s", (_what, overrides, expected) => {
  expect(changed(overrides)).toBe(expected);
});

test("the order of keys is no change, and names that are there already are made anew", () => {
  const turned = makeSpec({ prefill: { envs: { B: "1", A: "2" } } });
  expect(named(turned)).toEqual(named(makeSpec({ prefill: { envs: { A: "2", B: "1" } } })));
  expect(named(withRevisions(makeSpec()))).toEqual(before);
});

test("the names of a spec stay what they are: other ones would have every running engine replaced by the next apply", () => {
  expect(before).toEqual(["e6be14e141cd", "778b34ff29a0", "0115efaab16b", "7c2d7642ac10"]);
});
