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
    text: withKv({ kv_connector: name }),
    messages: [`job.yaml:3:1 scheduler.command: is missing: ${why}, or use NixlConnector.`],
  })),
];
