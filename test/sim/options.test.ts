import { describe, expect, test } from "vitest";
import { parseKvConfig } from "../../src/sim/kv-config.ts";
import { parseOptions } from "../../src/sim/options.ts";

describe("the command line is vLLM's:", () => {
  test.each([
    [["serve"], "the following arguments are required: model_tag"],
    [["serve", "m", "--no-such-flag", "1"], "unrecognized arguments: --no-such-flag 1"],
    [["serve", "m", "stray", "--nope=1"], "unrecognized arguments: stray --nope=1"],
    [["serve", "m", "--no-port", "1"], "unrecognized arguments: --no-port 1"],
    [["serve", "m", "--port"], "argument --port: expected one argument"],
    [["serve", "m", "--port", "--seed", "1"], "argument --port: expected one argument"],
    [["serve", "m", "--port", "x"], "argument --port: invalid int value: 'x'"],
    [["serve", "m", "-tp", "x"], "argument --tensor-parallel-size/-tp: invalid int value: 'x'"],
    [
      ["serve", "m", "--gpu-memory-utilization=much"],
      "argument --gpu-memory-utilization/--device-memory-utilization: invalid float value: 'much'",
    ],
    [["serve", "m", "--served-model-name"], "argument --served-model-name: expected at least one"],
    [["serve", "m", "--enforce-eager=1"], "argument --enforce-eager: ignored explicit argument"],
    [["serve", "m", "--dtype", "int8"], "argument --dtype: invalid choice: 'int8' (choose from"],
  ])("%j is refused", (argv, message) => expect(() => parseOptions(argv)).toThrow(message));

  test("underscores, --no- forms, short flags, lists and --flag=value are accepted", () => {
    const argv =
      "serve m --served_model_name a b --no-enable-prefix-caching -tp 2 --port=81 --max-model-len 4k --hf-overrides.x 1 --seed -1";
    expect(parseOptions(argv.split(" "))).toMatchObject({
      servedModelNames: ["a", "b"],
      tensorParallelSize: 2,
      port: 81,
      maxModelLen: 4_000,
    });
  });

  test("of a flag that is given twice the last one counts", () => {
    expect(parseOptions(["serve", "m", "--port", "1", "--port", "2"]).port).toBe(2);
  });
});

describe("KVTransferConfig", () => {
  test.each([
    ['{"kv_connector":"NixlConnector","kv_role":"kv_producer","nope":1}', "nope\n  Unexpected"],
    ['{"kv_connector":"NixlConnector","kv_role":"kv_producer","kv_rank":1}', "kv_rank\n  Unexp"],
    ['{"kv_connector":"nixlconnector","kv_role":"kv_producer"}', "Unsupported connector type: nix"],
    ['{"kv_connector":"NixlConnector"}', "Please specify kv_role when kv_connector is set"],
    ["{", "Invalid JSON"],
    [
      '{"kv_connector":"MultiConnector","kv_role":"kv_both","kv_connector_extra_config":{"connectors":[{"kv_connector":"Nope","kv_role":"kv_both"}]}}',
      "Unsupported connector type: Nope",
    ],
  ])("%s is refused", (text, message) => expect(() => parseKvConfig(text)).toThrow(message));

  test("a connector of the user's own module is let pass", () => {
    const text = '{"kv_connector":"Mine","kv_role":"kv_both","kv_connector_module_path":"my.own"}';
    expect(parseKvConfig(text).connectors).toMatchObject([{ name: "Mine" }]);
  });

  test("the children of a MultiConnector are its connectors, in their order", () => {
    const children = [
      {
        kv_connector: "ExampleConnector",
        kv_role: "kv_both",
        kv_connector_extra_config: { shared_storage_path: "/s" },
      },
      {
        kv_connector: "NixlConnector",
        kv_role: "kv_both",
        kv_connector_extra_config: { kv_lease_duration: 7 },
      },
    ];
    const text = JSON.stringify({
      kv_connector: "MultiConnector",
      kv_role: "kv_both",
      kv_connector_extra_config: { connectors: children },
    });
    expect(parseKvConfig(text).connectors).toEqual([
      { name: "ExampleConnector", leaseS: 30, storagePath: "/s" },
      { name: "NixlConnector", leaseS: 7, storagePath: "/tmp" },
    ]);
  });
});
