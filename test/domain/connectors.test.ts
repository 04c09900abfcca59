import { describe, expect, test } from "vitest";
import { configuredConnectors, handOverBy } from "../../src/domain/connectors/children.ts";
import {
  absence,
  connectorNames,
  connectorTable,
  findConnector,
  handOverOf,
  nameIn,
  tensorParallelOf,
} from "../../src/domain/connectors/table.ts";
import {
  compareVersions,
  isIn,
  newestKnown,
  oldestKnown,
  parseVersion,
} from "../../src/domain/connectors/version.ts";

/** The names that each release registers, read off its `factory.py`; releases between two rows are as the row before. */
const registries: readonly (readonly [since: string, names: string])[] = [
  ["0.10", "LMCacheV1 Multi Nixl P2pNccl SharedStorage"],
  ["0.11", "LMCacheV1 Multi Nixl Offloading P2pNccl SharedStorage"],
  ["0.11.1", "DecodeBench LMCacheV1 LMCacheMP Multi Nixl Offloading P2pNccl SharedStorage"],
  ["0.13", "DecodeBench Example LMCacheV1 LMCacheMP Mooncake Multi Nixl Offloading P2pNccl"],
  ["0.14", "DecodeBench Example LMCacheV1 LMCacheMP MoRIIO Mooncake Multi Nixl Offloading P2pNccl"],
  [
    "0.17",
    "DecodeBench Example ExampleHiddenStates LMCacheV1 LMCacheMP MoRIIO Mooncake Multi Nixl Offloading P2pNccl",
  ],
  [
    "0.18",
    "DecodeBench Example ExampleHiddenStates FlexKVV1 LMCacheV1 LMCacheMP MoRIIO Mooncake Multi Nixl Offloading P2pNccl",
  ],
  [
    "0.19",
    "DecodeBench Example ExampleHiddenStates FlexKVV1 LMCacheV1 LMCacheMP MoRIIO Mooncake Multi Nixl Offloading P2pNccl SimpleCPUOffload",
  ],
  [
    "0.20",
    "DecodeBench Example ExampleHiddenStates FlexKVV1 HF3FSKV LMCacheV1 LMCacheMP MoRIIO Mooncake Multi Nixl Offloading P2pNccl SimpleCPUOffload",
  ],
  [
    "0.21",
    "DecodeBench Example ExampleHiddenStates FlexKVV1 HF3FSKV LMCacheV1 LMCacheMP MoRIIO Mooncake MooncakeStore Multi Nixl Offloading P2pNccl SimpleCPUOffload",
  ],
  [
    "0.24",
    "DecodeBench Example ExampleHiddenStates FlexKVV1 HF3FSKV LMCacheV1 LMCacheMP MoRIIO Mooncake MooncakeStore Multi Nixl NixlPull NixlPush Offloading SimpleCPUOffload",
  ],
  [
    "0.30",
    "DecodeBench Example ExampleHiddenStates FlexKVV1 HF3FSKV HiSparse LMCacheV1 LMCacheMP MoRIIO Mooncake MooncakeStore Multi Nixl NixlPull NixlPush Offloading SimpleCPUOffload",
  ],
];

const full = (short: string): string =>
  short.endsWith("V1") ? `${short.slice(0, -2)}ConnectorV1` : `${short}Connector`;

describe("the table has exactly the connectors of vLLM", () => {
  test.each(registries)("%s", (since, names) => {
    const version = parseVersion(since);
    const present = connectorTable.filter((one) => absence(one, version) === undefined);
    expect(present.map((one) => nameIn(one, version)).toSorted()).toEqual(
      names.split(" ").map(full).toSorted(),
    );
  });

  test("and still those of the newest release when the version is unknown or newer", () => {
    const names = (version: readonly number[] | undefined) =>
      connectorTable.filter((one) => absence(one, version) === undefined).map(({ name }) => name);
    expect(names(undefined)).toEqual(names(parseVersion("0.30")));
    expect(names([9, 9])).toEqual(names(undefined));
  });

  test("all eight that the format's authors named are among them", () => {
    const theirs =
      "NixlConnector P2pNcclConnector MultiConnector SharedStorageConnector LMCacheConnectorV1 LMCacheMPConnector OffloadingConnector DecodeBenchConnector";
    expect(connectorNames).toEqual(expect.arrayContaining(theirs.split(" ")));
  });
});

describe("a connector that a version does not have", () => {
  test.each([
    [
      "P2pNcclConnector",
      "0.24",
      "P2pNcclConnector is not in vLLM 0.24: 0.24 removed it. Use NixlConnector, or engines older than vLLM 0.24.",
    ],
    ["P2pNcclConnector", "0.23.9", undefined],
    [
      "NixlPushConnector",
      "0.23",
      "NixlPushConnector is not in vLLM 0.23: it came with 0.24. Use engines of vLLM 0.24 or newer, or another connector.",
    ],
    ["NixlPushConnector", "0.24.0", undefined],
    ["SharedStorageConnector", "0.32", undefined],
    ["ExampleConnector", "0.10", undefined],
  ])("%s in %s", (name, version, message) => {
    const connector = findConnector(name);
    expect(connector && absence(connector, parseVersion(version))).toBe(message);
  });
});

test.each([
  ["SharedStorageConnector", "0.12.9", "SharedStorageConnector"],
  ["SharedStorageConnector", "0.13.0", "ExampleConnector"],
  ["exampleconnector", "0.12", "SharedStorageConnector"],
  ["ExampleConnector", undefined, "ExampleConnector"],
])("%s is called in vLLM %s: %s", (name, version, called) => {
  const connector = findConnector(name);
  expect(connector && nameIn(connector, version ? parseVersion(version) : undefined)).toBe(called);
});

test.each([
  ["MooncakeConnector", "0.15", "params", "equal"],
  ["MooncakeConnector", "0.16", "concurrent", "ratio"],
  ["MoRIIOConnector", "0.25", "registering", "equal"],
  ["MoRIIOConnector", "0.26", "registering", "ratio"],
  ["NixlConnector", "0.10", "params", "ratio"],
  ["ExampleConnector", "0.32", "store", "one"],
  ["OffloadingConnector", "0.32", undefined, "any"],
])("%s of vLLM %s hands over by %s, tensor parallel sizes %s", (name, text, kind, rule) => {
  const connector = findConnector(name);
  const version = parseVersion(text);
  expect(
    connector && [handOverOf(connector, version), tensorParallelOf(connector, version)],
  ).toEqual([kind, rule]);
});

const multi = (...names: readonly string[]) => ({
  kv_connector: "MultiConnector",
  kv_role: "kv_both",
  kv_connector_extra_config: {
    connectors: names.map((name) => ({ kv_connector: name, kv_role: "kv_both" })),
  },
});

describe("MultiConnector", () => {
  test.each([
    [["ExampleConnector", "NixlConnector"], "params"],
    [["NixlConnector", "LMCacheConnectorV1"], "params"],
    [["MooncakeConnector", "MooncakeStoreConnector"], "concurrent"],
    [["MooncakeStoreConnector", "OffloadingConnector"], "store"],
    [["OffloadingConnector"], undefined],
    [[], undefined],
  ])("of %j hands over by %s", (names, kind) => {
    const found = handOverBy(multi(...names), undefined);
    expect(typeof found === "object" ? found.kind : found).toBe(kind);
  });

  test("shows its children at any depth, and where they stand", () => {
    const nested = {
      ...multi(),
      kv_connector_extra_config: { connectors: [multi("NixlConnector", "Mine")] },
    };
    const below = "kv_connector_extra_config.connectors";
    expect(
      configuredConnectors(nested).map(({ config, path }) => [config.kv_connector, path.join(".")]),
    ).toEqual([
      ["MultiConnector", ""],
      ["MultiConnector", `${below}.0`],
      ["NixlConnector", `${below}.0.${below}.0`],
      ["Mine", `${below}.0.${below}.1`],
    ]);
  });

  test("with a connector of the user's own may hand over in a way that nobody here knows", () => {
    expect(handOverBy(multi("OffloadingConnector", "Mine"), undefined)).toBe("unknown");
    const own = { kv_connector: "NixlConnector", kv_connector_module_path: "my.nixl" };
    expect(handOverBy(own, undefined)).toBe("unknown");
  });
});

describe("a version", () => {
  test.each([
    ["0.32.0+cpu", [0, 32, 0]],
    ["v0.11", [0, 11]],
    ["0.10.2rc1.dev3+g1234", [0, 10, 2]],
    [" 0.32.0\n", [0, 32, 0]],
    ["0", undefined],
    ["latest", undefined],
    ["0.32 beta", undefined],
    ["", undefined],
  ])("%j is %j", (text, version) => expect(parseVersion(text)).toEqual(version));

  test.each([
    [[0, 9], [0, 10], -1],
    [[0, 32], [0, 32, 0], 0],
    [[0, 11, 1], [0, 11], 1],
    [[1], [0, 99, 99], 1],
  ])("%j against %j", (a, b, sign) => expect(Math.sign(compareVersions(a, b))).toBe(sign));

  test("without bounds contains everything, and an unknown one is the newest", () => {
    expect(isIn({}, [0, 1])).toBe(true);
    expect(isIn({ since: newestKnown }, undefined)).toBe(true);
    expect(isIn({ until: newestKnown }, undefined)).toBe(false);
    expect(isIn({ since: oldestKnown, until: newestKnown }, [0, 20])).toBe(true);
  });
});
