import { expect, test } from "vitest";
import { readOptions, usage } from "../../bench/options.ts";

test("everything is measured unless less is asked for", () => {
  expect(readOptions([])).toEqual({
    mode: "full",
    contenders: ["direct", "nginx", "pdjob", "vllm-router", "toy"],
    scenarios: ["request", "long-prompt", "streams", "half-rate", "membership"],
    updatesDocs: false,
    isJson: false,
  });
  expect(readOptions(["--quick", "--scenarios", "streams,request", "--json"])).toMatchObject({
    mode: "quick",
    scenarios: ["request", "streams"],
    isJson: true,
  });
});

test("what is not known is refused with what is", () => {
  expect(() => readOptions(["--contenders", "haproxy"])).toThrow(
    '--contenders: "haproxy" is none of direct, nginx, pdjob, vllm-router, toy.',
  );
  expect(() => readOptions(["--scenarios", "half-rate"])).toThrow("half-rate needs request");
});

test("help is an answer, with examples", () => {
  expect(readOptions(["--help"])).toBe("help");
  expect(usage).toContain("Examples:\n  npm run bench:proxy\n");
});
