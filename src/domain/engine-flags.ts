/** vLLM's short forms of the flags that pdjob reads or owns. */
const shortForms: Readonly<Record<string, string>> = {
  "-ac": "attention_config",
  "-dp": "data_parallel_size",
  "-dpa": "data_parallel_address",
  "-dpb": "data_parallel_backend",
  "-dpe": "data_parallel_external_lb",
  "-dph": "data_parallel_hybrid_lb",
  "-dpl": "data_parallel_size_local",
  "-dpm": "data_parallel_multi_port_external_lb",
  "-dpn": "data_parallel_rank",
  "-dpp": "data_parallel_rpc_port",
  "-dpr": "data_parallel_start_rank",
  "-n": "nnodes",
  "-pp": "pipeline_parallel_size",
  "-q": "quantization",
  "-r": "node_rank",
  "-sc": "speculative_config",
  "-tp": "tensor_parallel_size",
};

/**
 * The param that a word of an engine's extra arguments sets, as `params` would name it: `max_model_len` for
 * `--max-model-len=4096`, `speculative_config.method` for `-sc.method`. Undefined for a value, and for short forms that
 * nobody here asks about.
 */
export function paramOf(word: string): string | undefined {
  const [flag = ""] = word.split("=", 1);
  if (flag.startsWith("--")) return flag.slice(2).replaceAll("-", "_");
  const [short = "", ...keys] = flag.split(".");
  return Object.hasOwn(shortForms, short) ? [shortForms[short], ...keys].join(".") : undefined;
}
