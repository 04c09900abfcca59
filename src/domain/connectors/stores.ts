import type { Connector } from "./connector.ts";

const anyTp = [{ rule: "any" }] as const;

/** What caches, offloads or measures, and moves nothing from prefill to decode by itself. */
const local = {
  proxies: [],
  needs: [],
  before: [],
  order: "any",
  asks: {},
  alike: [],
  tensorParallel: anyTp,
  remembersEngines: false,
  checked: "checked by rendering only",
} as const satisfies Partial<Connector>;

/** Connectors that put KV somewhere and look there, and the one that joins others. */
export const stores: readonly Connector[] = [
  {
    name: "ExampleConnector",
    formerly: { name: "SharedStorageConnector", until: "0.13" },
    about:
      "One file per layer and prompt in a shared folder; for tests: nothing is ever deleted there",
    handOver: [{ kind: "store" }],
    proxies: ["toy_proxy_server.py", "disagg_proxy_demo.py"],
    needs: [
      {
        extra: { shared_storage_path: "{WORK_DIR}/.pdjob/kv/{JOB}/{KV_LAYOUT}" },
        fresh: { folder: ".pdjob/kv/{JOB}", unless: "shared_storage_path" },
      },
    ],
    before: ["a filesystem that all nodes share, at shared_storage_path"],
    order: "any",
    asks: {},
    alike: ["model", "dtype", "kv_cache_dtype", "block_size"],
    // A file's name has the layer and the prompt, not the rank: ranks would write over each other's.
    tensorParallel: [{ rule: "one" }],
    remembersEngines: false,
    checked: "run for real",
  },
  {
    name: "MooncakeStoreConnector",
    since: "0.21",
    about: "Mooncake's distributed store; often beside MooncakeConnector in MultiConnector",
    handOver: [{ kind: "store" }],
    proxies: ["disagg_proxy_demo.py"],
    needs: [
      {
        // Part of a socket's path, which a second engine of a node would take from the first.
        extra: { lookup_rpc_port: "{PORT:lookup_rpc}" },
        file: {
          variable: "MOONCAKE_CONFIG_PATH",
          name: "mooncake.json",
          text: '{"metadata_server":"{MOONCAKE_METADATA_SERVER}","master_server_address":"{MOONCAKE_MASTER}","protocol":"{MOONCAKE_PROTOCOL}","device_name":"{MOONCAKE_DEVICE}","global_segment_size":"{MOONCAKE_GLOBAL_SEGMENT_SIZE}","local_buffer_size":"{MOONCAKE_LOCAL_BUFFER_SIZE}"}\n',
          settings: {
            MOONCAKE_MASTER: undefined,
            MOONCAKE_METADATA_SERVER: "P2PHANDSHAKE",
            MOONCAKE_PROTOCOL: "rdma",
            MOONCAKE_DEVICE: "",
            MOONCAKE_GLOBAL_SEGMENT_SIZE: "4GB",
            MOONCAKE_LOCAL_BUFFER_SIZE: "4GB",
          },
        },
      },
    ],
    before: [
      "`mooncake_master` running, its HOST:PORT in envs.MOONCAKE_MASTER",
      "mooncake-transfer-engine installed beside vLLM",
    ],
    order: "the master first",
    asks: {},
    alike: ["model", "dtype", "kv_cache_dtype", "block_size"],
    tensorParallel: anyTp,
    remembersEngines: false,
    checked: "checked by rendering only",
  },
  {
    ...local,
    name: "MultiConnector",
    about: "Several connectors at once: KV is saved to all, and loaded from the first that has it",
    order: "that of its connectors",
    checked: "run for real",
  },
  {
    ...local,
    name: "OffloadingConnector",
    since: "0.11",
    about: "Moves KV to the node's own memory or disk",
  },
  {
    ...local,
    name: "SimpleCPUOffloadConnector",
    since: "0.19",
    about: "Moves KV to the node's own memory or disk",
  },
  {
    ...local,
    name: "HiSparseConnector",
    since: "0.30",
    about: "Keeps KV that sparse attention rarely reads in the node's own memory",
    asks: { host_pool_gib: "GiB of the node's memory that it may take" },
  },
  {
    ...local,
    name: "FlexKVConnectorV1",
    since: "0.18",
    about: "FlexKV: a cache over memory, disk and remote storage",
    before: ["FlexKV installed beside vLLM, and its service running if it is configured for one"],
    order: "the service first",
  },
  {
    ...local,
    name: "HF3FSKVConnector",
    since: "0.20",
    about: "A cache in the 3FS file system",
    before: [
      "3FS mounted on each node, and its metadata server running (hf3fs_metadata_server_url)",
    ],
    order: "the metadata server first",
  },
  {
    ...local,
    name: "ExampleHiddenStatesConnector",
    since: "0.17",
    about: "Writes hidden states to files; moves no KV",
  },
  {
    ...local,
    name: "DecodeBenchConnector",
    since: "0.11.1",
    about: "Fills the cache with made-up values, to measure decoding without a prefill",
  },
];
