/** Counters and gauges under vLLM's names, as far as an orchestrator or a test reads them. */
export function createMetrics(model: string) {
  const labels = `engine="0",model_name="${model}"`;
  const counters = {
    external: 0,
    local: 0,
    prompt: 0,
    generation: 0,
    transfers: 0,
    failedTransfers: 0,
    stop: 0,
    length: 0,
    abort: 0,
  };
  let running = 0;

  const render = (expired: number): string =>
    [
      ...gauge("vllm:num_requests_running", running),
      ...gauge("vllm:num_requests_waiting", 0),
      ...gauge("vllm:kv_cache_usage_perc", Math.min(1, running / 256)),
      ...counter("vllm:prompt_tokens_total", [["", counters.prompt]]),
      ...counter("vllm:generation_tokens_total", [["", counters.generation]]),
      ...counter("vllm:prompt_tokens_by_source_total", [
        [',source="local_compute"', counters.local],
        [',source="external_kv_transfer"', counters.external],
      ]),
      ...counter("vllm:request_success_total", [
        [',finished_reason="stop"', counters.stop],
        [',finished_reason="length"', counters.length],
        [',finished_reason="abort"', counters.abort],
      ]),
      ...counter("vllm:nixl_xfer_time_seconds_count", [["", counters.transfers]]),
      ...counter("vllm:nixl_num_failed_transfers_total", [["", counters.failedTransfers]]),
      ...counter("vllm:nixl_num_kv_expired_reqs_total", [["", expired]]),
      "",
    ].join("\n");

  const gauge = (name: string, value: number) => [
    `# TYPE ${name} gauge`,
    `${name}{${labels}} ${value}`,
  ];
  const counter = (name: string, rows: readonly [string, number][]) => [
    `# TYPE ${name} counter`,
    ...rows.map(([extra, value]) => `${name}{${labels}${extra}} ${value}`),
  ];

  return {
    counters,
    enter: () => void (running += 1),
    leave: () => void (running -= 1),
    running: () => running,
    render,
  };
}
