import { inVersion, kvPath, otherKvPath, withKv } from "./cases-connectors.ts";
import { job } from "./job.ts";
import type { Case } from "./job.ts";

const nixl = { kv_connector: "NixlConnector", kv_role: "kv_both" };
const cache = { kv_connector: "OffloadingConnector", kv_role: "kv_both" };

const multi = (connectors: unknown) => ({
  kv_connector: "MultiConnector",
  kv_connector_extra_config: { connectors },
});

/** The same of both roles. */
const inBoth = (rest: string): readonly string[] =>
  [kvPath, otherKvPath].map((path) => `${path}.kv_connector_extra_config.connectors${rest}`);

/** Other children in each role. */
const apart = (prefill: unknown, decode: unknown): string => {
  const line = (role: string, children: unknown): string =>
    `  params: {kv_transfer_config: '${JSON.stringify({ ...multi(children), kv_role: role })}'}`;
  return job({ 10: line("kv_producer", prefill), 14: line("kv_consumer", decode) });
};

/** What is wrong with a child of MultiConnector is wrong as if it stood alone, and is told with its place. */
export const childrenCases: readonly Case[] = [
  {
    name: "a child that vLLM does not have",
    text: withKv(multi([nixl, { kv_connector: "OfloadingConnector", kv_role: "kv_both" }])),
    messages: inBoth(
      '[1].kv_connector: is "OfloadingConnector", which vLLM does not have. Did you mean OffloadingConnector? For a connector of your own, give kv_connector_module_path as well.',
    ),
  },
  {
    name: "a child of a child that vLLM does not have yet",
    text: withKv(
      multi([
        nixl,
        {
          ...multi([
            {
              ...cache,
              kv_connector: "HiSparseConnector",
              kv_connector_extra_config: { host_pool_gib: 1 },
            },
          ]),
          kv_role: "kv_both",
        },
      ]),
      inVersion("0.29"),
    ),
    messages: inBoth(
      "[1].kv_connector_extra_config.connectors[0].kv_connector: HiSparseConnector is not in vLLM 0.29: it came with 0.30. Use engines of vLLM 0.30 or newer, or another connector.",
    ),
  },
  {
    name: "a key of a child that is none",
    text: withKv(multi([cache, { ...nixl, kv_rol: "kv_both" }])),
    messages: inBoth("[1].kv_rol: is not a known key. Did you mean kv_role?"),
  },
  {
    name: "a key of a child that its version does not have yet",
    text: withKv(multi([{ ...nixl, kv_load_failure_policy: "fail" }]), inVersion("0.12")),
    messages: inBoth(
      "[0].kv_load_failure_policy: kv_load_failure_policy is no key of KVTransferConfig in vLLM 0.12: it came with 0.13. Remove it, or use engines of vLLM 0.13 or newer.",
    ),
  },
  {
    name: "a child without a role",
    text: withKv(multi([{ kv_connector: "NixlConnector" }])),
    messages: inBoth("[0].kv_role: is missing: give kv_producer, kv_consumer or kv_both."),
  },
  {
    name: "a child without a name",
    text: withKv(multi([nixl, { kv_role: "kv_both" }])),
    messages: inBoth(
      "[1].kv_connector: is missing: give the name of a KV connector, such as NixlConnector.",
    ),
  },
  {
    name: "a child that is a name alone",
    text: withKv(multi([nixl, "OffloadingConnector"])),
    messages: inBoth(
      "[1]: is no connector: write a mapping, such as {kv_connector: NixlConnector, kv_role: kv_both}.",
    ),
  },
  {
    name: "children that are no list",
    text: withKv(multi(nixl)),
    messages: inBoth(
      ": must be a list of connectors, such as [{kv_connector: NixlConnector, kv_role: kv_both}].",
    ),
  },
  {
    name: "children that are not there",
    text: withKv({ kv_connector: "MultiConnector" }),
    messages: inBoth(
      ": is missing: give a list of connectors, such as [{kv_connector: NixlConnector, kv_role: kv_both}].",
    ),
  },
  {
    name: "a child on the wrong side",
    text: withKv(
      multi([
        { ...nixl, kv_role: "kv_consumer" },
        { ...cache, kv_role: "kv_consumer" },
      ]),
    ),
    messages: [
      `${kvPath}.kv_connector_extra_config.connectors[0].kv_role: is kv_consumer, but prefill is the side that sends KV: write kv_producer, or kv_both.`,
    ],
  },
  {
    name: "a child that the built-in proxy cannot serve",
    text: withKv(multi([cache, { ...nixl, kv_connector: "NixlPushConnector" }]), inVersion("0.32")),
    messages: [
      "job.yaml:3:1 scheduler.command: is missing: NixlPushConnector (kv_connector_extra_config.connectors[1]) wants both engines asked at once, with ids that the proxy makes up, which the built-in proxy does not do. Give the command of a proxy that does (disagg_proxy_pushconnector_demo.py), or use NixlConnector.",
    ],
  },
  {
    name: "children that do not meet",
    text: apart([cache, nixl], [{ ...nixl, kv_connector: "ExampleConnector" }]),
    messages: [
      `${otherKvPath}.kv_connector_extra_config.connectors: hands KV over by ExampleConnector, but prefill hands it over by NixlConnector: both roles need the same connector for it.`,
    ],
  },
  {
    name: "children of which one role has none that takes KV",
    text: apart([nixl], [cache]),
    messages: [
      `${otherKvPath}.kv_connector_extra_config.connectors: has no connector that takes KV over, but prefill hands it over by NixlConnector: both roles need the same connector for it.`,
    ],
  },
  {
    name: "two children at the same ports",
    text: withKv(multi([nixl, cache, nixl])),
    messages: inBoth(
      "[2].kv_connector: is NixlConnector for the second time, and both would listen at the same ports of the engine: remove one of them.",
    ),
  },
  {
    name: "a setting that a child does not start without",
    text: withKv(multi([nixl, { ...cache, kv_connector: "HiSparseConnector" }])),
    messages: inBoth(
      "[1].kv_connector_extra_config: has no host_pool_gib, which HiSparseConnector needs: give GiB of the node's memory that it may take.",
    ),
  },
];
