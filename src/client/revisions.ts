import { createHash } from "node:crypto";
import { roles } from "../domain/role.ts";
import type { Role } from "../domain/role.ts";
import type { JobSpec, ParamValue, RoleSpec } from "../domain/spec.ts";

const digits = 12;

/** Flags that change how an engine works and not what its KV looks like, or what it makes of a request. */
const neutralParams: ReadonlySet<string> = new Set([
  "async_scheduling",
  "compilation_config",
  "cpu_offload_gb",
  "cuda_graph_sizes",
  "disable_log_requests",
  "disable_log_stats",
  "download_dir",
  "enable_chunked_prefill",
  "enable_log_requests",
  "enforce_eager",
  "gpu_memory_utilization",
  "kv_cache_memory_bytes",
  "load_format",
  "long_prefill_token_threshold",
  "max_num_batched_tokens",
  "max_num_partial_prefills",
  "max_num_seqs",
  "num_gpu_blocks_override",
  "scheduling_policy",
  "shutdown_timeout",
  "swap_space",
  "uvicorn_log_level",
]);
const neutralEnvs: ReadonlySet<string> = new Set([
  "HF_HOME",
  "HF_TOKEN",
  "OMP_NUM_THREADS",
  "VLLM_CONFIGURE_LOGGING",
  "VLLM_LOGGING_LEVEL",
]);

/**
 * The spec with the revisions of its roles. They are made of what the user asked for, never of what is rendered for it:
 * a newer pdjob must not take engines that run for outdated.
 */
export function withRevisions(spec: JobSpec): JobSpec {
  const [prefill, decode] = roles.map((role) => withRevision(spec, role));
  return prefill && decode ? { ...spec, roles: { prefill, decode } } : spec;
}

function withRevision(spec: JobSpec, role: Role): RoleSpec {
  const { revision: _, kvRevision: __, ...own } = spec.roles[role];
  const { replicas: ___, ...engine } = own;
  const { engineCommand, engineVersion, gpusPerWorker, numCpus, workingDir, upload } = spec;
  const place = { gpusPerWorker, numCpus, workingDir, upload };
  const command = { engineCommand, engineVersion };
  return {
    ...own,
    revision: hash([command, place, engine]),
    kvRevision: hash([
      command,
      own.model,
      own.kvTransfer,
      own.extraArgs,
      own.files,
      without(own.params, neutralParams),
      without(own.envs, neutralEnvs),
    ]),
  };
}

const without = <V extends ParamValue>(
  record: Readonly<Record<string, V>>,
  neutral: ReadonlySet<string>,
): Readonly<Record<string, V>> =>
  Object.fromEntries(
    Object.entries(record).filter(
      ([key]) => !neutral.has(key) && !neutral.has(key.replaceAll("-", "_")),
    ),
  );

/** The order of keys in a file is no difference. */
const hash = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value, sorted)).digest("hex").slice(0, digits);

const sorted = (_key: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    : value;
