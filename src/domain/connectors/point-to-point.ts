import type { Connector, Need, Trait } from "./connector.ts";
import { sideChannelHost, sideChannelPort } from "./side-channel.ts";

/** What vLLM's NIXL connector hashes and compares before it transfers anything, as far as a configuration can tell. */
const hashed: readonly Trait[] = [
  "model",
  "dtype",
  "kv_cache_dtype",
  "attention_backend",
  "speculative_config",
];
const copied: readonly Trait[] = ["model", "dtype", "kv_cache_dtype", "block_size"];

/**
 * The address is bound and handed to the decode side, so it must be the node's own. One listener per data-parallel rank
 * since 0.11.1, one per rank and tensor-parallel worker before: DP × TP ports are right for both.
 */
const sideChannel: Need = {
  env: {
    [sideChannelHost]: "{HOST}",
    [sideChannelPort]: "{PORT:side_channel:DP*TP}",
  },
};
/** vLLM's own guess of its address may be another network's. */
const ownAddress: Need = { env: { VLLM_HOST_IP: "{HOST}" } };

const anyOrder = "any: decode looks for prefill with the first request";

const nixl = {
  about: "NIXL: decode reads the blocks out of prefill's memory",
  handOver: [{ kind: "params" }],
  proxies: ["toy_proxy_server.py", "vllm-router --kv-connector nixl"],
  needs: [sideChannel],
  before: ["nixl installed beside vLLM"],
  order: anyOrder,
  asks: {},
  alike: hashed,
  blocksMayBeLarger: true,
  tensorParallel: [{ rule: "ratio" }],
  remembersEngines: true,
} as const satisfies Partial<Connector>;

/** Connectors that move KV straight from engine to engine. */
export const pointToPoint: readonly Connector[] = [
  { ...nixl, name: "NixlConnector", checked: "run for real" },
  { ...nixl, name: "NixlPullConnector", since: "0.24", checked: "checked by rendering only" },
  {
    ...nixl,
    name: "NixlPushConnector",
    since: "0.24",
    about: "NIXL: prefill writes the blocks into decode's memory",
    handOver: [{ kind: "concurrent" }],
    proxies: ["disagg_proxy_pushconnector_demo.py"],
    // The proxy is told prefill's id, so it cannot be one that the engine makes up.
    needs: [sideChannel, { role: "prefill", engineId: "{NODE_NAME}" }],
    order: "prefill first: the proxy is told its engine_id and side channel",
    checked: "checked by rendering only",
  },
  {
    name: "P2pNcclConnector",
    until: "0.24",
    instead: "NixlConnector",
    about: "NCCL between the GPUs of both engines; needs CUDA",
    handOver: [{ kind: "registering" }],
    proxies: ["disagg_proxy_p2p_nccl_xpyd.py"],
    needs: [
      ownAddress,
      {
        config: { kv_port: "{#PORT:kv:TP*PP}" },
        extra: { proxy_ip: "{PROXY_HOST}", http_port: "{PORT}" },
      },
    ],
    before: [],
    order: "any: engines repeat their registration with the proxy every 3 s",
    asks: { proxy_port: "the port on which the proxy takes registrations, as text" },
    alike: [...copied, "pipeline_parallel_size"],
    tensorParallel: [{ rule: "equal" }],
    remembersEngines: false,
    checked: "checked by rendering only",
  },
  {
    name: "MooncakeConnector",
    since: "0.13",
    about: "Mooncake's transfer engine, over RDMA or TCP",
    handOver: [{ kind: "params", until: "0.16" }, { kind: "concurrent" }],
    proxies: ["mooncake_connector_proxy.py", "vllm-router --kv-connector mooncake"],
    needs: [
      ownAddress,
      {
        role: "prefill",
        until: "0.16",
        env: { VLLM_MOONCAKE_BOOTSTRAP_PORT: "{PORT:bootstrap:DP*TP}" },
      },
      { role: "prefill", since: "0.16", env: { VLLM_MOONCAKE_BOOTSTRAP_PORT: "{PORT:bootstrap}" } },
    ],
    before: ["mooncake-transfer-engine installed beside vLLM"],
    order: "prefill healthy before the proxy, which asks its bootstrap server",
    asks: {},
    alike: copied,
    tensorParallel: [{ rule: "equal", until: "0.16" }, { rule: "ratio" }],
    remembersEngines: true,
    checked: "checked by rendering only",
  },
  {
    name: "MoRIIOConnector",
    since: "0.14",
    about: "MoRI-IO between AMD GPUs; needs ROCm",
    handOver: [{ kind: "registering" }],
    proxies: ["moriio_toy_proxy_server.py", "vllm-router --kv-connector moriio"],
    needs: [
      {
        extra: {
          host_ip: "{HOST}",
          http_port: "{PORT}",
          handshake_port: "{PORT:handshake:DP*TP}",
          notify_port: "{PORT:notify:DP*TP}",
          proxy_ip: "{PROXY_HOST}",
        },
      },
      ownAddress,
    ],
    before: ["mori installed beside vLLM"],
    order:
      "any within 5 minutes: engines repeat their registration with the proxy 100 times, every 3 s",
    asks: { proxy_ping_port: "the port on which the proxy takes registrations" },
    alike: copied,
    tensorParallel: [{ rule: "equal", until: "0.26" }, { rule: "ratio" }],
    // Its engine id is the host with the handshake port, which is fresh for each start.
    remembersEngines: false,
    checked: "checked by rendering only",
  },
];
