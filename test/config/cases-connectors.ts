import { job } from "./job.ts";
import type { Case } from "./job.ts";

/** Both roles with this kv_transfer_config, each with its own kv_role; lines 10 and 14 of the job. */
export const withKv = (
  kv: Readonly<Record<string, unknown>>,
  changed: Readonly<Record<number, string>> = {},
): string => {
  const line = (role: string): string =>
    `  params: {kv_transfer_config: '${JSON.stringify({ ...kv, kv_role: role })}'}`;
  return job({ 10: line("kv_producer"), 14: line("kv_consumer"), ...changed });
};

const connectorPath = "job.yaml:10:32 prefill.params.kv_transfer_config.kv_connector";

export const kvPath = "job.yaml:10:32 prefill.params.kv_transfer_config";
export const otherKvPath = "job.yaml:14:32 decode.params.kv_transfer_config";
export const external = { 3: "scheduler: {command: 'proxy {PORT}'}" };
export const inVersion = (version: string) => ({ 2: `engine: {version: "${version}"}` });

/** What the engines' version has against a file that is otherwise right. */
export const versionCases: readonly Case[] = [
  {
    name: "a connector that was removed",
    text: withKv({ kv_connector: "P2pNcclConnector" }, { ...external, ...inVersion("0.24") }),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector: P2pNcclConnector is not in vLLM 0.24: 0.24 removed it. Use NixlConnector, or engines older than vLLM 0.24.`,
    ),
  },
  {
    name: "a connector that is not there yet, below MultiConnector",
    text: withKv(
      {
        kv_connector: "MultiConnector",
        kv_connector_extra_config: {
          connectors: [
            { kv_connector: "NixlConnector", kv_role: "kv_both" },
            { kv_connector: "SimpleCPUOffloadConnector", kv_role: "kv_both" },
          ],
        },
      },
      inVersion("v0.18.1+cu130"),
    ),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector_extra_config.connectors[1].kv_connector: SimpleCPUOffloadConnector is not in vLLM 0.18.1: it came with 0.19. Use engines of vLLM 0.19 or newer, or another connector.`,
    ),
  },
  {
    name: "a key that is not there yet",
    text: withKv(
      { kv_connector: "NixlConnector", kv_load_failure_policy: "recompute" },
      inVersion("0.12"),
    ),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_load_failure_policy: kv_load_failure_policy is no key of KVTransferConfig in vLLM 0.12: it came with 0.13. Remove it, or use engines of vLLM 0.13 or newer.`,
    ),
  },
  {
    name: "a key that is gone, with a connector of the user's own",
    text: withKv(
      { kv_connector: "Mine", kv_connector_module_path: "mine", kv_rank: 1 },
      inVersion("0.32"),
    ),
    messages: [kvPath, otherKvPath].map(
      (path) => `${path}.kv_rank: kv_rank is no key of KVTransferConfig in vLLM 0.32: remove it.`,
    ),
  },
  {
    name: "the built-in proxy with a connector that it could serve before",
    text: withKv({ kv_connector: "MooncakeConnector" }, inVersion("0.16")),
    messages: [
      "job.yaml:3:1 scheduler.command: is missing: MooncakeConnector wants both engines asked at once, with ids that the proxy makes up, which the built-in proxy does not do. Give the command of a proxy that does (mooncake_connector_proxy.py, or vllm-router --kv-connector mooncake), or use NixlConnector.",
    ],
  },
  {
    name: "a version that is none",
    text: job({ 2: "engine: {version: latest}" }),
    messages: [
      'job.yaml:2:19 engine.version: must be a version of vLLM in quotes, such as "0.32".',
    ],
  },
  {
    name: "a version that YAML takes for a number",
    text: job({ 2: "engine: {version: 0.30}" }),
    messages: [
      'job.yaml:2:19 engine.version: must be a version of vLLM in quotes, such as "0.32", not 0.3.',
    ],
  },
];

/** The same, but nothing that an engine could not live with. */
export const versionWarnings: readonly Case[] = [
  {
    name: "a connector that was renamed",
    text: withKv({ kv_connector: "SharedStorageConnector" }, inVersion("0.32")),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector: warning: SharedStorageConnector is called ExampleConnector in vLLM 0.32: engines get the name that they know.`,
    ),
  },
  {
    name: "a connector that had another name",
    text: withKv({ kv_connector: "ExampleConnector" }, inVersion("0.12")),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector: warning: ExampleConnector is called SharedStorageConnector in vLLM 0.12: engines get the name that they know.`,
    ),
  },
  {
    name: "a connector that the newest does not have, where nobody has said which it is",
    text: withKv({ kv_connector: "P2pNcclConnector" }, external),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_connector: warning: P2pNcclConnector is not in vLLM 0.32: 0.24 removed it. Use NixlConnector, or engines older than vLLM 0.24. (vLLM 0.32 is assumed here: give engine.version if it is another.)`,
    ),
  },
  {
    name: "a key that is gone",
    text: withKv({ kv_connector: "NixlConnector", kv_ip: "{KV_IP}" }),
    messages: [kvPath, otherKvPath].map(
      (path) =>
        `${path}.kv_ip: warning: kv_ip is no key of KVTransferConfig in vLLM 0.32, and no connector reads it any more: it is left out there.`,
    ),
  },
];

/** Connectors that cannot do what the job asks of them. */
export const connectorsCases: readonly Case[] = [
  ...["DecodeBenchConnector", "OffloadingConnector", "LMCacheMPConnector"].map((name) => ({
    name: `${name} alone, which moves no KV`,
    text: withKv({ kv_connector: name }),
    messages: [
      `${connectorPath}: is "${name}", which moves no KV from prefill to decode: use NixlConnector, or MultiConnector with NixlConnector and this one.`,
    ],
  })),
  {
    name: "MultiConnector of nothing that moves KV",
    text: withKv({
      kv_connector: "MultiConnector",
      kv_connector_extra_config: {
        connectors: [{ kv_connector: "OffloadingConnector", kv_role: "kv_both" }],
      },
    }),
    messages: [
      `${connectorPath}: is MultiConnector without a connector that moves KV from prefill to decode: add one to kv_connector_extra_config.connectors, such as NixlConnector.`,
    ],
  },
  ...[
    {
      name: "P2pNcclConnector",
      why: "P2pNcclConnector has its engines register with the proxy, which the built-in proxy does not do. Give the command of a proxy that does (disagg_proxy_p2p_nccl_xpyd.py)",
    },
    {
      name: "MoRIIOConnector",
      why: "MoRIIOConnector has its engines register with the proxy, which the built-in proxy does not do. Give the command of a proxy that does (moriio_toy_proxy_server.py, or vllm-router --kv-connector moriio)",
    },
    {
      name: "MooncakeConnector",
      why: "MooncakeConnector wants both engines asked at once, with ids that the proxy makes up, which the built-in proxy does not do. Give the command of a proxy that does (mooncake_connector_proxy.py, or vllm-router --kv-connector mooncake)",
    },
    {
      name: "NixlPushConnector",
      why: "NixlPushConnector wants both engines asked at once, with ids that the proxy makes up, which the built-in proxy does not do. Give the command of a proxy that does (disagg_proxy_pushconnector_demo.py)",
    },
    {
      name: "LMCacheConnectorV1",
      why: "LMCacheConnectorV1 has prefill tell the proxy when decode may begin, which the built-in proxy does not do. Give the command of a proxy that does (LMCache's disagg_proxy_server.py)",
    },
  ].map(({ name, why }) => ({
    name: `${name} behind the built-in proxy`,
    // Of a version that has it and with what it asks for, so that nothing else is to be said.
    text: withKv(
      {
        kv_connector: name,
        kv_connector_extra_config: { proxy_port: "30001", proxy_ping_port: 30001 },
      },
      { 2: `engine: {version: "${name === "P2pNcclConnector" ? "0.23" : "0.32"}"}` },
    ),
    messages: [`job.yaml:3:1 scheduler.command: is missing: ${why}, or use NixlConnector.`],
  })),
];
