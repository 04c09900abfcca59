import { describe, expect, test } from "vitest";
import { paramOf } from "../../src/domain/engine-flags.ts";
import { givenParam, unknowable } from "../../src/domain/given.ts";
import type { Told } from "../../src/domain/given.ts";
import { flagAliases } from "../../src/sim/flags.ts";

const ofExtra = (...extraArgs: readonly string[]): Told => ({ params: {}, extraArgs });
const speculation = (told: Told): unknown => givenParam(told, "speculative_config");

describe("what engines are told of a flag", () => {
  test("is the last word of their extra arguments, else their param", () => {
    const params = { dtype: "half" };
    expect(givenParam({ params, extraArgs: [] }, "dtype")).toBe("half");
    const extraArgs = ["--dtype=float", "--dtype", "bfloat16"];
    expect(givenParam({ params, extraArgs }, "dtype")).toBe("bfloat16");
    expect(givenParam({ params, extraArgs }, "block_size")).toBeUndefined();
  });

  test("is known to them alone when it holds a placeholder, or has no value", () => {
    expect(givenParam(ofExtra("--dtype", "{ROLE}"), "dtype")).toBe(unknowable);
    expect(givenParam(ofExtra("--dtype", "--port"), "dtype")).toBe(unknowable);
    expect(givenParam(ofExtra("--dtype"), "dtype")).toBe(unknowable);
  });

  test("is one mapping of all flags for its keys", () => {
    const told = {
      params: { "speculative_config.method": "ngram", "speculative_config.a": { b: 1 } },
      extraArgs: ["--speculative-config.a.c", "2", "-sc.tokens=3"],
    };
    expect(speculation(told)).toEqual({ method: "ngram", a: { b: 1, c: 2 }, tokens: 3 });
    expect(told.params["speculative_config.a"]).toEqual({ b: 1 });
  });

  test("may have keys of any name, which touch nothing else", () => {
    const key = "--speculative-config.__proto__";
    expect(JSON.stringify(speculation(ofExtra(`${key}.polluted`, "1")))).toBe(
      '{"__proto__":{"polluted":1}}',
    );
    expect(JSON.stringify(speculation(ofExtra(key, '{"__proto__":{"polluted":1}}')))).toBe(
      '{"__proto__":{"__proto__":{"polluted":1}}}',
    );
    expect("polluted" in {}).toBe(false);
  });

  test("is left to them where it has more keys, or is deeper, than anybody writes", () => {
    const keys = Array.from({ length: 101 }, (_, index) => `--speculative-config.k${index}=1`);
    expect(Object.keys(speculation(ofExtra(...keys.slice(1))) as object)).toHaveLength(100);
    expect(speculation(ofExtra(...keys))).toBe(unknowable);
    expect(speculation(ofExtra(`--speculative-config${".a".repeat(41)}=1`))).toBe(unknowable);
  });
});

test("short forms are those of vLLM's parser, with all that is compared between roles", () => {
  const byShort = Object.entries(flagAliases).filter(([short]) => !short.startsWith("--"));
  for (const [short, name] of byShort)
    expect([undefined, name.replaceAll("-", "_")]).toContain(paramOf(short));
  expect(["-ac", "-pp=2", "-q", "-sc.method", "-tp", "-dp"].map(paramOf)).toEqual([
    "attention_config",
    "pipeline_parallel_size",
    "quantization",
    "speculative_config.method",
    "tensor_parallel_size",
    "data_parallel_size",
  ]);
  expect(["-1", "-x", "-", "a.b", "-x.y"].map(paramOf)).toEqual(Array(5).fill(undefined));
});
