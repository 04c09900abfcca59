import { launch, untilHealthy } from "./bed.ts";
import type { Bed, Engine } from "./bed.ts";

export const maxModelLen = 2_048;
export const blockSize = 32;

const common = [
  ["--served-model-name", "tiny", "also-tiny"],
  ["--dtype", "float32", "--enforce-eager"],
  ["--max-model-len", String(maxModelLen), "--block-size", String(blockSize)],
  ["--max-num-seqs", "4", "--kv-cache-memory-bytes", "256M"],
].flat();
export const apiKey = "a-key";

/** Three engines on which everything is tried, in the order in which they end. */
export interface Trio {
  /** Its drain is long: `--shutdown-timeout`. */
  readonly prefill: Engine;
  /** Has no time to drain. */
  readonly decode: Engine;
  /** With an API key and request ids in headers; dies of a poisoned request in the end. */
  readonly victim: Engine;
  /** What the ports said before the engines were ready. */
  readonly beforeReady: readonly string[];
  stop(): Promise<void>;
}

export const nixl = (role: string, extra: object = {}): readonly string[] => [
  "--kv-transfer-config",
  JSON.stringify({
    kv_connector: "NixlConnector",
    kv_role: role,
    kv_buffer_device: "cpu",
    ...extra,
  }),
];

export async function startTrio(bed: Bed): Promise<Trio> {
  const lease = { kv_connector_extra_config: { kv_lease_duration: bed.leaseS } };
  const [prefill, decode, victim] = await Promise.all([
    launch(bed, "prefill", [...common, "--shutdown-timeout=60", ...nixl("kv_producer", lease)]),
    launch(bed, "decode", [...common, ...nixl("kv_consumer")]),
    launch(bed, "victim", [
      ...common,
      `--api-key=${apiKey}`,
      "--enable-request-id-headers",
      ...nixl("kv_consumer"),
    ]),
  ]);
  const all = [prefill, decode, victim];
  const stop = async (): Promise<void> => {
    await Promise.all(all.map((engine) => engine.stop()));
  };
  try {
    const said = await Promise.all(all.map((engine) => untilHealthy(engine, bed)));
    return { prefill, decode, victim, beforeReady: [...new Set(said.flat())], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
