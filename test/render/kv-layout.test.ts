import { describe, expect, test } from "vitest";
import { roles } from "../../src/domain/role.ts";
import type { RoleSpec } from "../../src/domain/spec.ts";
import { renderEngine, unknownTarget } from "../../src/render/engine.ts";
import { kvLayoutOf } from "../../src/render/kv-layout.ts";
import { makeSpec } from "../support/spec.ts";

const both = (role: Partial<RoleSpec>) => ({ prefill: role, decode: role });
const params = (of: RoleSpec["params"]) => both({ params: of });
const layout = (overrides: Parameters<typeof makeSpec>[0] = {}): string =>
  kvLayoutOf(makeSpec(overrides));

describe("a job's KV has another name", () => {
  const all = [
    ["its model", both({ model: "sim/other" })],
    ["its model in a folder of the nodes", both({ model: "{WORK_DIR}/a" })],
    ["another one in such a folder", both({ model: "{WORK_DIR}/b" })],
    ["its revision", params({ revision: "abc" })],
    ["its dtype", params({ dtype: "half" })],
    ["the dtype of its KV", params({ kv_cache_dtype: "fp8" })],
    ["its block size", both({ extraArgs: ["--block-size", "32"] })],
    ["its quantization", params({ quantization: "awq" })],
    ["its quantization, in short", both({ extraArgs: ["-q", "fp8"] })],
    ["its command", { engineCommand: ["other", "serve"] }],
    ["the version that it says", { engineVersion: "0.31" }],
  ] as const;

  test.each(all)("with %s", (_, overrides) => expect(layout(overrides)).not.toBe(layout()));

  test("each its own, of sixteen hex digits", () => {
    const names = all.map(([, overrides]) => layout(overrides));
    expect(new Set(names).size).toBe(all.length);
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("it has the same", () => {
  test.each([
    ["whatever else is changed", both({ params: { max_num_seqs: 4 }, envs: { A: "1" } })],
    ["however the same is written", params({ dtype: "auto" })],
    [
      "when one role alone changes, and goes on with its partners",
      { prefill: { params: { block_size: 16 } } },
    ],
    ["whatever its name, counts and places", { name: "b", workingDir: "/b", timeoutS: 1 }],
  ])("%s", (_, overrides) => expect(layout(overrides)).toBe(layout()));

  test("in different spellings", () =>
    expect(layout(params({ dtype: "half" }))).toBe(
      layout(both({ extraArgs: ["--dtype=float16"] })),
    ));
});

test("both roles keep their KV in the folder of that name, and another model's engines in another", () => {
  const kvTransfer = { kv_connector: "ExampleConnector", kv_role: "kv_both" };
  const foldersOf = (model: string) => {
    const spec = makeSpec(both({ kvTransfer, model }));
    return roles.map((role) => {
      const { argv } = renderEngine(spec, unknownTarget(spec, { role, index: 0 }));
      const config = JSON.parse(argv[argv.indexOf("--kv-transfer-config") + 1] ?? "");
      return config.kv_connector_extra_config.shared_storage_path;
    });
  };
  const [first, other] = [foldersOf("sim/tiny"), foldersOf("sim/other")];
  expect(first[0]).toMatch(/^\/tmp\/pdjob-demo\/\.pdjob\/kv\/demo\/[0-9a-f]{16}$/);
  expect(first[1]).toBe(first[0]);
  expect(other[0]).not.toBe(first[0]);
});
