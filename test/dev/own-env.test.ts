import { dirname } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { nodeEnv, ownEnv } from "../../src/dev/own-env.ts";

afterEach(() => void vi.unstubAllEnvs());

test.each([
  ["the embedded stack's programs", ownEnv],
  ["its Ray nodes, and so engines,", nodeEnv],
])("%s get no key or address of the user's own Temporal and Ray", (_who, envOf) => {
  vi.stubEnv("TEMPORAL_API_KEY", "secret");
  vi.stubEnv("RAY_ADDRESS", "10.0.0.4:6379");
  vi.stubEnv("HF_HOME", "/models");
  const env = envOf();
  expect(env).toMatchObject({ HF_HOME: "/models" });
  expect(Object.keys(env).filter((name) => /^(TEMPORAL|RAY)_/.test(name))).toEqual(
    envOf === nodeEnv ? ["RAY_AUTH_MODE"] : [],
  );
});

test("the nodes find the simulated engine, and the Node.js that runs us", () => {
  const path = nodeEnv()["PATH"]?.split(":") ?? [];
  expect(path[0]).toMatch(/\/bin$/);
  expect(path).toContain(dirname(process.execPath));
});
