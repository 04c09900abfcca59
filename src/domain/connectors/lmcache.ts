import type { Connector, Need } from "./connector.ts";

/** LMCache keys its chunks with Python's hash(), which differs from process to process unless it is seeded. */
const seeded: Need = { env: { PYTHONHASHSEED: "0" } };
/** A name in /tmp, so one per node and replica; a port is one. */
const rpc: Need = { extra: { lmcache_rpc_port: "{PORT:lmcache_rpc}" } };

const variable = "LMCACHE_CONFIG_FILE";
const name = "lmcache.yaml";
const noLocalCache = ["local_cpu: False", "max_local_cpu_size: 0"];
const settings = {
  LMCACHE_PD_BUFFER_SIZE: "1073741824",
  LMCACHE_PD_BUFFER_DEVICE: "cuda",
  LMCACHE_PD_PROXY_PORT: "7500",
} as const;

/** The keys up to LMCache 0.3.3, which is what vLLM 0.10 goes with; the later ones are the same with another prefix. */
const olderKeys = ["enable_nixl: True", "enable_xpyd: True"];
const newerKeys = ["enable_pd: True", 'transfer_channel: "nixl"'];

const sender = (prefix: string): readonly string[] => [
  `${prefix}_role: "sender"`,
  `${prefix}_proxy_host: "{PROXY_HOST}"`,
  `${prefix}_proxy_port: {LMCACHE_PD_PROXY_PORT}`,
];
const receiver = (prefix: string): readonly string[] => [
  `${prefix}_role: "receiver"`,
  `${prefix}_peer_host: "{HOST}"`,
  `${prefix}_peer_init_port: [{PORTS:pd_init:TP}]`,
  `${prefix}_peer_alloc_port: [{PORTS:pd_alloc:TP}]`,
];
const buffer = (prefix: string): readonly string[] => [
  `${prefix}_buffer_size: {LMCACHE_PD_BUFFER_SIZE}`,
  `${prefix}_buffer_device: "{LMCACHE_PD_BUFFER_DEVICE}"`,
];
const lines = (...parts: readonly (readonly string[])[]): string => `${parts.flat().join("\n")}\n`;
const file = (text: string): NonNullable<Need["file"]> => ({ variable, name, text, settings });

/** LMCache's own hand-over between a sender and a receiver, told in a file. */
const roleFiles: readonly Need[] = [
  {
    role: "prefill",
    until: "0.11",
    handsOver: true,
    file: file(lines(noLocalCache, olderKeys, sender("nixl"), buffer("nixl"))),
  },
  {
    role: "decode",
    until: "0.11",
    handsOver: true,
    file: file(lines(noLocalCache, olderKeys, receiver("nixl"), buffer("nixl"))),
  },
  {
    role: "prefill",
    since: "0.11",
    handsOver: true,
    file: file(lines(noLocalCache, newerKeys, sender("pd"), buffer("pd"))),
  },
  {
    role: "decode",
    since: "0.11",
    handsOver: true,
    file: file(lines(noLocalCache, newerKeys, receiver("pd"), buffer("pd"))),
  },
];

export const lmcache: readonly Connector[] = [
  {
    name: "LMCacheConnectorV1",
    about: "LMCache: a cache beside the engine, which can also hand KV over",
    handOver: [{ kind: "notifying" }],
    proxies: ["LMCache's disagg_proxy_server.py"],
    needs: [seeded, rpc, ...roleFiles],
    before: ["lmcache installed beside vLLM"],
    order: "decode healthy before requests: the proxy names its ports to prefill",
    asks: {},
    alike: ["model", "dtype", "kv_cache_dtype"],
    tensorParallel: [{ rule: "equal" }],
    remembersEngines: false,
    checked: "checked by rendering only",
  },
  {
    name: "LMCacheMPConnector",
    since: "0.11.1",
    about:
      "LMCache in a server of its own on each node; a cache, so put it beside NixlConnector in MultiConnector",
    proxies: [],
    needs: [seeded],
    before: [
      "`lmcache server` running on each node (lmcache.mp.host and lmcache.mp.port say where)",
    ],
    order: "the server first",
    asks: {},
    alike: [],
    tensorParallel: [{ rule: "any" }],
    remembersEngines: false,
    checked: "checked by rendering only",
  },
];
