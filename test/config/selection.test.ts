import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { defaultDegraded, defaultSelection } from "../../src/domain/selection.ts";
import { job } from "./job.ts";

function specOf(text: string) {
  const parsed = parseConfig(text, { file: "job.yaml" });
  if (!parsed.ok) throw new Error("the job is not valid");
  return parsed.spec;
}

describe("what is said of the built-in proxy's choices", () => {
  const scheduler = (text: string) => specOf(job({ 3: `scheduler: {${text}}` })).scheduler;
  const builtin = { port: 8021, membership: "builtin" };

  test("is in the spec with the rest of its defaults, and nothing is where nothing is said", () => {
    expect(scheduler("port: 8021")).toEqual(builtin);
    expect(scheduler("selection: {prefill: prefix-affinity, silence: 0}")).toEqual({
      ...builtin,
      selection: { ...defaultSelection, prefill: "prefix-affinity", silenceS: 0 },
    });
    expect(scheduler("degraded: {prefill: decode-local}")).toEqual({
      ...builtin,
      degraded: { prefill: "decode-local", decode: "fail" },
    });
    expect(scheduler("selection: {}, degraded: {}")).toEqual({
      ...builtin,
      selection: defaultSelection,
      degraded: defaultDegraded,
    });
  });
});
