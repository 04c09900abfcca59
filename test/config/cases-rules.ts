import { job } from "./job.ts";
import type { Case } from "./job.ts";

/** Keys that are right one by one and wrong together. */
export const rulesCases: readonly Case[] = [
  {
    name: "GPUs that are no whole workers",
    text: job({
      1: "num_gpus: 7",
      2: "gpus_per_worker: 2",
      8: "  num_gpus: 2",
      9: "  replicas: 1",
      12: "  num_gpus: 3",
      13: "  replicas: 1",
    }),
    messages: [
      "job.yaml:1:11 num_gpus: is 7, which is no multiple of gpus_per_worker (2): write 8, or change gpus_per_worker.",
      "job.yaml:12:13 decode.num_gpus: is 3, which is no multiple of gpus_per_worker (2): write 4, or change gpus_per_worker.",
    ],
  },
  {
    name: "more demand than GPUs",
    text: job({ 9: "  replicas: 3", 12: "  num_gpus: 2" }),
    messages: [
      "job.yaml:1:11 num_gpus: is 4, but 3 prefill × 1 + 2 decode × 2 = 7 GPUs are asked for: raise it, or lower replicas or num_gpus of a role.",
    ],
  },
  {
    name: "a lease that is over before a stop is, or before another worker is there",
    text: job({ 4: "lease: 89" }),
    messages: [
      "job.yaml:4:8 lease: is 89, but a stop may take stop_grace (30 s), and whoever takes over from a worker that died up to 60 s: write at least 90, or 0 for no lease.",
    ],
  },
  {
    name: "a lease that a long stop_grace outlasts",
    text: job({ 4: "lease: 600\nstop_grace: 541" }),
    messages: [
      "job.yaml:4:8 lease: is 600, but a stop may take stop_grace (541 s), and whoever takes over from a worker that died up to 60 s: write at least 601, or 0 for no lease.",
    ],
  },
  {
    name: "CPU engines that reserve nothing",
    text: job({ 2: "num_cpus: 0", 8: "  num_gpus: 0" }),
    messages: [
      "job.yaml:2:11 num_cpus: is 0, but replicas of prefill have no GPUs, so they would reserve nothing at all: write at least 1, or leave num_cpus out.",
    ],
  },
  {
    name: "sizes of an engine that ask for nothing or less",
    text: job({
      6: "  params: {model: m, tensor_parallel_size: -2, data_parallel_size: '0', pipeline_parallel_size: 1.5, _extra_params: '-tp 0 --data-parallel-size=-1 -pp 2'}",
    }),
    messages: [
      "job.yaml:6:44 general.params.tensor_parallel_size: is -2: write a whole number from 1.",
      "job.yaml:6:68 general.params.data_parallel_size: is 0: write a whole number from 1.",
      "job.yaml:6:97 general.params.pipeline_parallel_size: is 1.5: write a whole number from 1.",
      "job.yaml:6:117 general.params._extra_params: holds -tp, which is 0: write a whole number from 1.",
      "job.yaml:6:117 general.params._extra_params: holds --data-parallel-size, which is -1: write a whole number from 1.",
      ...["job.yaml:8:13 prefill", "job.yaml:12:13 decode"].map(
        (place) =>
          `${place}.num_gpus: warning: is 1, but pipeline_parallel_size 2 needs 2 GPUs a replica: raise num_gpus to 2, or lower the sizes.`,
      ),
    ],
  },
  {
    name: "no model",
    text: job({ 6: "  params: {}" }),
    messages: [
      "job.yaml:10:3 prefill.params.model: is missing: give the name or path of a model here or in general.params.",
      "job.yaml:14:3 decode.params.model: is missing: give the name or path of a model here or in general.params.",
    ],
  },
  {
    name: "no kv_transfer_config",
    text: job({ 10: "  params: {}" }),
    messages: [
      'job.yaml:10:3 prefill.params.kv_transfer_config: is missing: give the KV connector, such as \'{"kv_connector":"NixlConnector","kv_role":"kv_producer"}\'.',
    ],
  },
  {
    name: "no params at all in a role",
    text: job({ 14: "" }),
    messages: [
      'job.yaml:11:1 decode.params.kv_transfer_config: is missing: give the KV connector, such as \'{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}\'.',
    ],
  },
  {
    name: "a kv_transfer_config that is not JSON",
    text: job({ 10: "  params: {kv_transfer_config: '{kv_connector: NixlConnector}'}" }),
    messages: [
      'job.yaml:10:32 prefill.params.kv_transfer_config: is not JSON: check its quotes, commas and braces, or write a YAML mapping. An example: \'{"kv_connector":"NixlConnector","kv_role":"kv_producer"}\'.',
    ],
  },
  {
    name: "a kv_transfer_config with the dots of an example",
    text: job({
      10: '  params: {kv_transfer_config: \'{"kv_connector":"NixlConnector","kv_role":"kv_producer",...}\'}',
    }),
    messages: [
      "job.yaml:10:32 prefill.params.kv_transfer_config: is not JSON: replace the ... by real keys, or remove it with the comma before it.",
    ],
  },
  {
    name: "a kv_transfer_config with a bare placeholder",
    text: job({
      10: '  params: {kv_transfer_config: \'{"kv_connector":"NixlConnector","kv_role":"kv_producer","kv_port":{PORT:kv}}\'}',
    }),
    messages: [
      'job.yaml:10:32 prefill.params.kv_transfer_config: is not JSON: put placeholders in quotes, such as "{PORT:kv}".',
    ],
  },
  {
    name: "a kv_transfer_config that is JSON, but a list",
    text: job({ 10: "  params: {kv_transfer_config: '[1]'}" }),
    messages: [
      'job.yaml:10:32 prefill.params.kv_transfer_config: is JSON, but no object: write \'{"kv_connector":"NixlConnector","kv_role":"kv_producer"}\'.',
    ],
  },
  {
    name: "a kv_transfer_config that is a number",
    text: job({ 10: "  params: {kv_transfer_config: 5}" }),
    messages: [
      "job.yaml:10:32 prefill.params.kv_transfer_config: must be a JSON object in quotes, or a mapping, not 5.",
    ],
  },
  {
    name: "an empty kv_transfer_config",
    text: job({ 10: "  params: {kv_transfer_config: ''}" }),
    messages: [
      "job.yaml:10:32 prefill.params.kv_transfer_config: must be a JSON object, not an empty text.",
    ],
  },
  {
    name: "a kv_transfer_config without a connector and a role",
    text: job({ 10: "  params: {kv_transfer_config: '{}'}" }),
    messages: [
      "job.yaml:10:32 prefill.params.kv_transfer_config.kv_connector: is missing: give the name of a KV connector, such as NixlConnector.",
      "job.yaml:10:32 prefill.params.kv_transfer_config.kv_role: is missing: give kv_producer, kv_consumer or kv_both.",
    ],
  },
  {
    name: "the same as a mapping",
    text: job({ 10: "  params: {kv_transfer_config: {kv_rank: 0}}" }),
    messages: [
      "job.yaml:10:12 prefill.params.kv_transfer_config.kv_connector: is missing: give the name of a KV connector, such as NixlConnector.",
      "job.yaml:10:12 prefill.params.kv_transfer_config.kv_role: is missing: give kv_producer, kv_consumer or kv_both.",
    ],
  },
  {
    name: "an unknown key in kv_transfer_config",
    text: job({
      14: '  params: {kv_transfer_config: \'{"kv_connector":"NixlConnector","kv_role":"kv_consumer","kv_conector_extra_config":{}}\'}',
    }),
    messages: [
      "job.yaml:14:32 decode.params.kv_transfer_config.kv_conector_extra_config: is not a known key. Did you mean kv_connector_extra_config?",
    ],
  },
  {
    name: "an unknown key in a mapping",
    text: job({
      14: "  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer, speed: high}}",
    }),
    messages: [
      'job.yaml:14:84 decode.params.kv_transfer_config.speed: is not a known key: remove "speed", or use one of kv_connector, kv_role, kv_connector_extra_config, kv_connector_module_path, kv_buffer_device, kv_buffer_size, kv_ip, kv_port, kv_rank, kv_parallel_size, engine_id, enable_permute_local_kv, kv_load_failure_policy.',
    ],
  },
  {
    name: "an unknown kv_role",
    text: job({
      14: "  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: consumer}}",
    }),
    messages: [
      "job.yaml:14:71 decode.params.kv_transfer_config.kv_role: must be kv_producer, kv_consumer or kv_both.",
    ],
  },
  {
    name: "an unknown connector near a known one",
    text: job({
      10: '  params: {kv_transfer_config: \'{"kv_connector":"NixlConector","kv_role":"kv_producer"}\'}',
      14: '  params: {kv_transfer_config: \'{"kv_connector":"nixlconector","kv_role":"kv_consumer"}\'}',
    }),
    messages: [
      'job.yaml:10:32 prefill.params.kv_transfer_config.kv_connector: is "NixlConector", which vLLM does not have. Did you mean NixlConnector? For a connector of your own, give kv_connector_module_path as well.',
      'job.yaml:14:32 decode.params.kv_transfer_config.kv_connector: is "nixlconector", which vLLM does not have. Did you mean NixlConnector? For a connector of your own, give kv_connector_module_path as well.',
    ],
  },
  {
    name: "an unknown connector near none",
    text: job({
      10: "  params: {kv_transfer_config: {kv_connector: Pigeon, kv_role: kv_producer}}",
      14: "  params: {kv_transfer_config: {kv_connector: Pigeon, kv_role: kv_consumer, kv_connector_module_path: my.pigeons}}",
    }),
    messages: [
      'job.yaml:10:47 prefill.params.kv_transfer_config.kv_connector: is "Pigeon", which vLLM does not have. Known: DecodeBenchConnector, ExampleConnector, ExampleHiddenStatesConnector, FlexKVConnectorV1, HF3FSKVConnector, HiSparseConnector, LMCacheConnectorV1, LMCacheMPConnector, MooncakeConnector, MooncakeStoreConnector, MoRIIOConnector, MultiConnector, NixlConnector, NixlPullConnector, NixlPushConnector, OffloadingConnector, P2pNcclConnector, SharedStorageConnector, SimpleCPUOffloadConnector. For a connector of your own, give kv_connector_module_path as well.',
    ],
  },
  {
    name: "connectors that differ",
    text: job({
      14: '  params: {kv_transfer_config: \'{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_consumer"}\'}',
    }),
    messages: [
      'job.yaml:14:32 decode.params.kv_transfer_config.kv_connector: is "LMCacheConnectorV1", but prefill has "NixlConnector": both roles need the same connector.',
    ],
  },
  {
    name: "roles of KV the wrong way round",
    text: job({
      10: "  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_consumer}}",
      14: "  params: {kv_transfer_config: {kv_connector: NixlConnector, kv_role: kv_producer}}",
    }),
    messages: [
      "job.yaml:10:71 prefill.params.kv_transfer_config.kv_role: is kv_consumer, but prefill is the side that sends KV: write kv_producer, or kv_both.",
      "job.yaml:14:71 decode.params.kv_transfer_config.kv_role: is kv_producer, but decode is the side that receives KV: write kv_consumer, or kv_both.",
    ],
  },
  {
    name: "owned flags in params",
    text: job({
      6: "  params: {model: m, node-rank: 0, headless: true, data_parallel_rank: 1, ssl_keyfile: /k, distributed_executor_backend: ray}",
    }),
    messages: [
      "job.yaml:6:22 general.params.node_rank: is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:36 general.params.headless: is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:52 general.params.data_parallel_rank: is not yours to set: pdjob runs all ranks of a replica as one engine. Remove it.",
      "job.yaml:6:75 general.params.ssl_keyfile: is not yours to set: pdjob's probes and proxy speak plain HTTP with the engine's host and port. Remove it.",
      "job.yaml:6:122 general.params.distributed_executor_backend: would have Ray reserve the engine's GPUs a second time: remove it.",
    ],
  },
  {
    name: "flags that spread data parallelism over nodes",
    text: job({
      6: "  params: {model: m, data_parallel_size_local: 1, data_parallel_rpc_port: 5, data_parallel_backend: ray, _extra_params: -dpl 2 -dpb ray}",
    }),
    messages: [
      "job.yaml:6:22 general.params.data_parallel_size_local: is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:51 general.params.data_parallel_rpc_port: is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:101 general.params.data_parallel_backend: would have Ray reserve the engine's GPUs a second time: remove it.",
      "job.yaml:6:121 general.params._extra_params: holds -dpl, which is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:121 general.params._extra_params: holds -dpb ray, which would have Ray reserve the engine's GPUs a second time: remove it.",
    ],
  },
  {
    name: "owned flags in _extra_params",
    text: job({
      6: "  params: {model: m, _extra_params: '--host 1.2.3.4 --port=1 --master_addr a --no-headless -r 1 --kv-transfer-config {} --distributed-executor-backend ray'}",
    }),
    messages: [
      "job.yaml:6:37 general.params._extra_params: holds --host, which is not yours to set: pdjob sets it to the address of the engine's node. Remove it.",
      "job.yaml:6:37 general.params._extra_params: holds --port, which is not yours to set: pdjob sets it to a free port of the engine's node. Remove it.",
      "job.yaml:6:37 general.params._extra_params: holds --master_addr, which is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:37 general.params._extra_params: holds --no-headless, which is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:37 general.params._extra_params: holds -r, which is not yours to set: pdjob sets it when a replica spans nodes. Remove it.",
      "job.yaml:6:37 general.params._extra_params: holds --kv-transfer-config, which is not yours to set: pdjob writes it from params.kv_transfer_config. Remove it.",
      "job.yaml:6:37 general.params._extra_params: holds --distributed-executor-backend ray, which would have Ray reserve the engine's GPUs a second time: remove it.",
    ],
  },
  {
    name: "a flag with its dashes",
    text: job({ 6: "  params: {model: m, --max-model-len: 5}" }),
    messages: [
      "job.yaml:6:22 general.params.__max_model_len: is no flag of vllm serve: write its name without dashes in front, such as max_model_len.",
    ],
  },
  {
    name: "an open quote in _extra_params",
    text: job({ 6: "  params: {model: m, _extra_params: '--chat-template \"a b'}" }),
    messages: [
      "job.yaml:6:37 general.params._extra_params: opens a double quote at character 17 that is never closed: close it, or put a backslash before it to mean the character.",
    ],
  },
  {
    name: "a lone backslash in _extra_params",
    text: job({ 6: "  params: {model: m, _extra_params: '--a \\'}" }),
    messages: [
      "job.yaml:6:37 general.params._extra_params: ends in a lone backslash: remove it, or double it to mean a backslash.",
    ],
  },
  {
    name: "unknown placeholders",
    text: job({
      2: 'engine: {version: "0.31"}',
      4: "envs: {A: '{HOSTS}'}",
      6: "  params: {model: '{MODEL}'}",
      10: '  params: {kv_transfer_config: \'{"kv_connector":"NixlConnector","kv_role":"kv_producer","kv_ip":"{KV_IPS}"}\'}',
    }),
    messages: [
      "job.yaml:4:11 envs.A: holds {HOSTS}, which is no placeholder. Did you mean {HOST}?",
      "job.yaml:6:19 general.params.model: holds {MODEL}, which is no placeholder. Known here: {HOST}, {PORT}, {KV_IP}, {NODE_NAME}, {ROLE}, {INDEX}, {GENERATION}, {WORK_DIR}, {JOB}, {KV_LAYOUT}, {FILES}, {PROXY_HOST}, {PORTS}.",
      "job.yaml:10:32 prefill.params.kv_transfer_config: holds {KV_IPS}, which is no placeholder. Did you mean {KV_IP}?",
    ],
  },
  {
    name: "more named ports than a node should be asked for",
    text: job({
      6: '  params: {model: m, a: "{PORT:a:1000} {PORT:b:24}", b: "{PORT:a} {PORT:c}"}',
    }),
    messages: [
      "job.yaml:7:1 prefill: asks for 1025 named ports ({PORT:name:span}) for each replica, and 1024 is the most: use fewer names or smaller spans.",
      "job.yaml:11:1 decode: asks for 1025 named ports ({PORT:name:span}) for each replica, and 1024 is the most: use fewer names or smaller spans.",
    ],
  },
  {
    name: "placeholders with faulty names",
    text: job({
      4: "envs: {A: '{PORT:Side}', B: '{PORT:a:0}', C: '{PORT:http}', D: '{HOST:a}', E: '{PORT:a:9999}'}",
      7: "prefill:\n  files: {a.yaml: '{PORTS} {#PORTS:b:0} {#IDEX}'}",
    }),
    messages: [
      "job.yaml:4:11 envs.A: holds {PORT:Side}, which is no port: write {PORT:name} or {PORT:name:span}, with a name in lower-case letters.",
      "job.yaml:4:29 envs.B: holds {PORT:a:0}, but a span is 1 to 1024 ports.",
      "job.yaml:4:46 envs.C: holds {PORT:http}, but http is the engine's own port: write {PORT}.",
      "job.yaml:4:64 envs.D: holds {HOST:a}, but only {PORT} and {PORTS} take a name: write {HOST}.",
      "job.yaml:4:79 envs.E: holds {PORT:a:9999}, but a span is 1 to 1024 ports.",
      'job.yaml:8:19 prefill.files["a.yaml"]: holds {PORTS}, but it is a run of ports with a name: write {PORTS:name:span}.',
      'job.yaml:8:19 prefill.files["a.yaml"]: holds {#PORTS:b:0}, but a span is 1 to 1024 ports.',
      'job.yaml:8:19 prefill.files["a.yaml"]: holds {IDEX}, which is no placeholder. Did you mean {INDEX}?',
    ],
  },
  {
    name: "names that no variable has",
    text: job({ 4: "envs: {1A: x, A-B: y}" }),
    messages: [
      "job.yaml:4:8 envs.1A: is no name of a variable: use letters, digits and underscores, not starting with a digit.",
      "job.yaml:4:15 envs.A-B: is no name of a variable: use letters, digits and underscores, not starting with a digit.",
    ],
  },
  {
    name: "references to nothing",
    text: job({ 4: "envs: {A: 'env:', B: 'file:secret'}" }),
    messages: [
      "job.yaml:4:11 envs.A: refers to a variable, but names none: write env:NAME.",
      "job.yaml:4:22 envs.B: refers to a file without an absolute path: write file:/PATH.",
    ],
  },
];
