/** vLLM's KVTransferConfig, as far as the simulation acts upon it. */
export interface KvConfig {
  readonly connector: string;
  readonly role: "kv_producer" | "kv_consumer" | "kv_both";
  readonly leaseS: number;
  readonly onLoadFailure: "fail" | "recompute";
  readonly engineId?: string;
}

const keys: ReadonlySet<string> = new Set(
  "kv_connector engine_id kv_buffer_device kv_buffer_size kv_role kv_rank kv_parallel_size kv_ip kv_port kv_connector_extra_config kv_connector_module_path enable_permute_local_kv kv_load_failure_policy".split(
    " ",
  ),
);

const connectors: ReadonlySet<string> = new Set(
  "ExampleConnector ExampleHiddenStatesConnector LMCacheConnectorV1 LMCacheMPConnector NixlConnector NixlPullConnector NixlPushConnector MultiConnector MoRIIOConnector OffloadingConnector DecodeBenchConnector MooncakeConnector MooncakeStoreConnector FlexKVConnectorV1 SimpleCPUOffloadConnector HF3FSKVConnector".split(
    " ",
  ),
);

const defaultLeaseS = 30;

/** Refuses what vLLM refuses at start-up: unknown keys, unknown connectors (case counts), a missing or wrong role. */
export function parseKvConfig(text: string): KvConfig {
  const config = parseObject(text);
  const unknown = Object.keys(config).find((key) => !keys.has(key));
  if (unknown !== undefined)
    throw new Error(`KVTransferConfig got an unexpected keyword argument '${unknown}'`);
  const {
    kv_connector: connector,
    kv_role: role,
    engine_id: engineId,
    kv_load_failure_policy: policy,
  } = config;
  if (typeof connector !== "string") throw new Error("KVTransferConfig needs kv_connector");
  if (!connectors.has(connector) && config["kv_connector_module_path"] === undefined) {
    throw new Error(`Unsupported connector type: ${connector}`);
  }
  if (role !== "kv_producer" && role !== "kv_consumer" && role !== "kv_both") {
    throw new Error(
      `Unsupported kv_role: ${String(role)}. Supported roles are kv_producer, kv_consumer, kv_both`,
    );
  }
  const extra = (config["kv_connector_extra_config"] ?? {}) as Record<string, unknown>;
  const leaseS =
    typeof extra["kv_lease_duration"] === "number" ? extra["kv_lease_duration"] : defaultLeaseS;
  const onLoadFailure = policy === "recompute" ? "recompute" : "fail";
  return {
    connector,
    role,
    leaseS,
    onLoadFailure,
    ...(typeof engineId === "string" ? { engineId } : {}),
  };
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(
      `argument --kv-transfer-config: Value ${text.slice(0, 80)} cannot be converted to JSON`,
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Error("argument --kv-transfer-config: not a mapping");
  return value as Record<string, unknown>;
}
