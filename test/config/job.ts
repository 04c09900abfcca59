/** One file and all that is to be said of it, as the CLI prints it. */
export interface Case {
  readonly name: string;
  readonly text: string;
  readonly messages: readonly string[];
}

/** A small valid job, one key a line, so that a case changes lines by number and knows where its fault stands. */
const lines = [
  "num_gpus: 4",
  "gpus_per_worker: 1",
  "scheduler: {port: 8021}",
  "envs: {}",
  "general:",
  "  params: {model: m}",
  "prefill:",
  "  num_gpus: 1",
  "  replicas: 2",
  `  params: {kv_transfer_config: '{"kv_connector":"NixlConnector","kv_role":"kv_producer"}'}`,
  "decode:",
  "  num_gpus: 1",
  "  replicas: 2",
  `  params: {kv_transfer_config: '{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}'}`,
] as const;

/** The job's text with some of its lines, counted from 1, replaced. */
export const job = (changed: Readonly<Record<number, string>> = {}): string =>
  `${lines.map((line, at) => changed[at + 1] ?? line).join("\n")}\n`;
