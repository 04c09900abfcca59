import { describe, expect, test } from "vitest";
import { serverOf } from "../../src/cli/connection.ts";

const stack = {
  pid: 1,
  startedTicks: 1,
  temporalAddress: "127.0.0.1:7233",
  namespace: "default",
  uiUrl: "http://127.0.0.1:8233",
  rayAddress: "127.1.1.254:19000",
  taskQueue: "pdjob",
};
const nowhere = { XDG_CONFIG_HOME: "/nonexistent" };
/** Settings of a user who works with another server, too. */
const cloud = {
  ...nowhere,
  TEMPORAL_ADDRESS: "cloud.example:7233",
  TEMPORAL_NAMESPACE: "team",
  TEMPORAL_API_KEY: "secret",
};
const keysOnly = { ...cloud, TEMPORAL_ADDRESS: undefined };
const plain = { address: "127.0.0.1:7233", connectionOptions: { address: "127.0.0.1:7233" } };

describe("the embedded stack is spoken to plainly, in its own namespace, when", () => {
  test.each([
    ["nothing names a server", {}, nowhere],
    ["the user's settings have keys but no address", {}, keysOnly],
    ["it is named by its folder, over the user's own server", { stateDir: "/x" }, cloud],
    ["it is named by its address", { address: "127.0.0.1:7233" }, cloud],
  ])("%s", (_when, flags, env) => {
    expect(serverOf(flags, stack, env)).toEqual({ ...plain, namespace: "default" });
  });
});

describe("the user's own server is spoken to with all of its settings when", () => {
  test.each([
    ["the environment names it", {}, "cloud.example:7233"],
    ["a flag names it", { address: "other.example:1" }, "other.example:1"],
    [
      "a flag names it, over a stack that is named",
      { address: "other.example:1", stateDir: "/x" },
      "other.example:1",
    ],
  ])("%s", (_when, flags, address) => {
    expect(serverOf(flags, stack, cloud)).toMatchObject({
      address,
      namespace: "team",
      connectionOptions: { address, apiKey: "secret", tls: true },
    });
  });
});

test("without a stack and a name it is the usual address; a namespace may be given on its own", () => {
  expect(serverOf({ namespace: "n" }, undefined, nowhere)).toMatchObject({
    address: "127.0.0.1:7233",
    namespace: "n",
  });
  expect(serverOf({ namespace: "n" }, stack, nowhere)).toEqual({ ...plain, namespace: "n" });
});
