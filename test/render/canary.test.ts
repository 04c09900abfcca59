import { expect, test } from "vitest";
import { renderCanary } from "../../src/render/canary.ts";
import { makeSpec } from "../support/spec.ts";

const by = (kv_connector: string, more = {}) => {
  const kvTransfer = { kv_connector, kv_role: "kv_both", ...more };
  return makeSpec({ prefill: { kvTransfer }, decode: { kvTransfer } });
};

test.each([
  ["NixlConnector", undefined, "params"],
  ["ExampleConnector", undefined, "store"],
  ["MooncakeConnector", [0, 15], "params"],
  ["MooncakeConnector", [0, 32], "none"],
  ["P2pNcclConnector", [0, 23], "models"],
  ["LMCacheConnectorV1", undefined, "models"],
] as const)("engines of %s in version %o are asked for %s", (connector, version, handOver) => {
  expect(renderCanary(by(connector), version).handOver).toBe(handOver);
});

test("parameters of a connector that nobody here knows are handed on if there are some", () => {
  expect(renderCanary(by("Mine", { kv_connector_module_path: "mine" })).handOver).toBe("any");
});

test.each([
  [{ params: {} }, "sim/tiny"],
  [{ params: { served_model_name: "a" } }, "a"],
  [{ params: { served_model_name: ["b", "c"] } }, "b"],
  [{ params: { served_model_name: "a" }, extraArgs: ["--served-model-name", "d", "e"] }, "d"],
  [{ params: {}, extraArgs: ["--served_model_name=f"] }, "f"],
  [{ params: { served_model_name: "{ROLE}" } }, undefined],
])("with %j clients call the model %s", (decode, model) => {
  expect(renderCanary(makeSpec({ decode })).model).toBe(model);
});

test.each([
  [{ params: { api_key: "k" } }, "k"],
  [{ params: { api_key: ["k", "l"] } }, "k"],
  [{ params: {}, extraArgs: ["--api-key", "m"] }, "m"],
  [{ params: {}, envs: { VLLM_API_KEY: "env:KEY" } }, "env:KEY"],
])("with %j the engines of decode are asked with the key %s", (decode, key) => {
  expect(renderCanary(makeSpec({ decode })).keys.decode).toBe(key);
});
