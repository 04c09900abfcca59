import { UsageError } from "./command-line.ts";
import { isBefore } from "./version.ts";

/** One connector, as far as the simulation acts upon it. */
export interface KvConnector {
  readonly name: string;
  readonly leaseS: number;
  /** Where ExampleConnector keeps KV. */
  readonly storagePath: string;
}

/** vLLM's KVTransferConfig. */
export interface KvConfig {
  readonly role: "kv_producer" | "kv_consumer" | "kv_both";
  /** The connector, or the children of a MultiConnector, in their order. */
  readonly connectors: readonly KvConnector[];
  readonly onLoadFailure: "fail" | "recompute";
  readonly engineId?: string;
}

const keys: ReadonlySet<string> = new Set(
  [
    "kv_connector engine_id kv_buffer_device kv_role kv_port kv_connector_extra_config kv_connector_module_path enable_permute_local_kv kv_load_failure_policy",
    ...(isBefore("0.32") ? ["kv_buffer_size kv_rank kv_parallel_size kv_ip"] : []),
  ]
    .join(" ")
    .split(" "),
);

const connectors: ReadonlySet<string> = new Set(
  [
    isBefore("0.13") ? "SharedStorageConnector" : "ExampleConnector",
    ...(isBefore("0.24") ? ["P2pNcclConnector"] : []),
    "ExampleHiddenStatesConnector LMCacheConnectorV1 LMCacheMPConnector NixlConnector NixlPullConnector NixlPushConnector MultiConnector MoRIIOConnector OffloadingConnector DecodeBenchConnector MooncakeConnector MooncakeStoreConnector FlexKVConnectorV1 SimpleCPUOffloadConnector HF3FSKVConnector HiSparseConnector",
  ]
    .join(" ")
    .split(" "),
);

const roles = ["kv_producer", "kv_both", "kv_consumer"] as const;
const leaseSDefault = 30;
const storagePathDefault = "/tmp";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Refuses what vLLM refuses at start-up: unknown keys and wrong values as argparse does (exit 2), connectors that it
 * does not have – capitals count – when it builds its configuration (exit 1).
 */
export function parseKvConfig(text: string): KvConfig {
  const config = parseObject(text);
  const role = roles.find((one) => one === config["kv_role"]);
  checkFields(config);
  const name = config["kv_connector"] ?? null;
  if (name === null) throw new Error("Value error, Connector name is not set in KVTransferConfig");
  if (role === undefined) {
    const names = roles.map((one) => `'${one}'`).join(", ");
    throw invalid(
      "",
      `Value error, Please specify kv_role when kv_connector is set, supported roles are (${names})`,
    );
  }
  const { engine_id: engineId, kv_load_failure_policy: policy } = config;
  return {
    role,
    connectors: connectorsOf(config),
    onLoadFailure: policy === "recompute" ? "recompute" : "fail",
    ...(typeof engineId === "string" ? { engineId } : {}),
  };
}

function checkFields(config: Fields): void {
  const unknown = Object.keys(config).find((key) => !keys.has(key));
  if (unknown !== undefined) throw invalid(unknown, "Unexpected keyword argument");
  const role = config["kv_role"] ?? null;
  if (role !== null && !roles.some((one) => one === role))
    throw invalid("kv_role", "Input should be 'kv_producer', 'kv_both' or 'kv_consumer'");
  const policy = config["kv_load_failure_policy"] ?? "fail";
  if (policy !== "recompute" && policy !== "fail")
    throw invalid("kv_load_failure_policy", "Input should be 'recompute' or 'fail'");
}

function connectorsOf(config: Fields): readonly KvConnector[] {
  const name = String(config["kv_connector"]);
  const isKnown = connectors.has(name) || config["kv_connector_module_path"] !== undefined;
  if (!isKnown) throw new Error(`Value error, Unsupported connector type: ${name}`);
  const extra = (config["kv_connector_extra_config"] ?? {}) as Fields;
  if (name === "MultiConnector") {
    const children = extra["connectors"];
    if (!Array.isArray(children))
      throw new Error("AssertionError: MultiConnector has no connectors");
    return (children as readonly Fields[]).flatMap((child) => {
      checkFields(child);
      return connectorsOf(child);
    });
  }
  const { kv_lease_duration: lease, shared_storage_path: path } = extra;
  return [
    {
      name,
      leaseS: typeof lease === "number" ? lease : leaseSDefault,
      storagePath: typeof path === "string" ? path : storagePathDefault,
    },
  ];
}

function parseObject(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid("", `Invalid JSON: ${(error as Error).message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid("", "Input should be an object");
  return value as Fields;
}

const invalid = (field: string, why: string): UsageError =>
  new UsageError(
    `argument --kv-transfer-config: 1 validation error for KVTransferConfig\n${field === "" ? "" : `${field}\n`}  ${why}`,
  );
