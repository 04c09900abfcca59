import type { ActionKind } from "../../src/domain/action.ts";
import type { ErrorCode } from "../../src/domain/errors.ts";

/*
 * What people wrote of docs/from-vllm-pdjob.md: each thing that `vllm pdjob` has, in its own words, and what is here in
 * its place. test/config/seed-guide.test.ts holds these rows to what really exists.
 */

export interface CommandRow {
  readonly seed: string;
  /** Commands of ours; the first word after `pdjob-client` is a verb, and flags are flags of it. */
  readonly here: readonly string[];
  readonly note: string;
}

export const commands: readonly CommandRow[] = [
  {
    seed: "`ray start --head`, `ray start --address=…`",
    here: ["pdjob-worker --ray-address HOST:PORT"],
    note: "The same Ray cluster. One worker on a machine of it carries out the jobs; `pdjob-client dev` starts all of it on one machine, for a try.",
  },
  {
    seed: "`vllm pdjob --config=config.yaml`",
    here: ["pdjob-client start config.yaml"],
    note: "Follows until READY or FAILED, and then returns. Ctrl-C stops following and leaves the job alone.",
  },
  {
    seed: "`--disable-log-to-driver`",
    here: ["pdjob-client start config.yaml --no-follow-engine-logs"],
    note: "Engine logs are shown by default here too, each line with its replica's name, until READY.",
  },
  {
    seed: "(stop: end the process)",
    here: ["pdjob-client stop JOB"],
    note: "Requests in flight end first; everything is released. Closing the terminal stops nothing.",
  },
  {
    seed: "(nothing)",
    here: [
      "pdjob-client validate config.yaml",
      "pdjob-client plan config.yaml",
      "pdjob-client status JOB",
      "pdjob-client scale JOB decode=3",
    ],
    note: "Every problem with its line; every command and step before anything is started; how the job stands; another number of replicas.",
  },
];

export interface FieldRow {
  readonly seed: string;
  readonly type: string;
  readonly says: string;
  /** Path in our schema; `prefill` stands for both roles. */
  readonly here: string;
  readonly note: string;
}

const same = "Nothing.";

export const fields: readonly FieldRow[] = [
  {
    seed: "timeout",
    type: "int",
    says: "Timeout in seconds for service startup",
    here: "timeout",
    note: "It also bounds the start of each replica later on.",
  },
  {
    seed: "num_gpus",
    type: "int",
    says: "Total number of GPUs in the cluster",
    here: "num_gpus",
    note: "What the job may use in all, also after scaling.",
  },
  {
    seed: "gpus_per_worker",
    type: "int",
    says: "GPUs per vLLM worker",
    here: "gpus_per_worker",
    note: same,
  },
  {
    seed: "working_dir",
    type: "str",
    says: "Working directory for Ray",
    here: "working_dir",
    note: "A folder on the nodes, created if missing, with logs below it. `vllm pdjob` also uploads it through Ray when it exists where you are: write `upload: FOLDER` for that. Nothing is uploaded unasked.",
  },
  {
    seed: "envs",
    type: "dict",
    says: "Global environment variables",
    here: "envs",
    note: "Given to engines and proxy. A secret is written as `env:NAME` or `file:/PATH`.",
  },
  {
    seed: "scheduler.port",
    type: "int",
    says: "Proxy server port",
    here: "scheduler.port",
    note: "It must be free on the head node: the job fails with `ProxyNotStarted` otherwise.",
  },
  {
    seed: "scheduler.command",
    type: "str",
    says: "Command to start the proxy server (required)",
    here: "scheduler.command",
    note: "Not required: without it the built-in proxy runs, which is told of changed replicas live and drops no request. A command is run again when replicas change.",
  },
  {
    seed: "general.params",
    type: "dict",
    says: "(parameters of both roles, used in the examples)",
    here: "general.params",
    note: "A role's own value wins, as before.",
  },
  {
    seed: "prefill.envs, decode.envs",
    type: "dict",
    says: "Environment variables for this role",
    here: "prefill.envs",
    note: "Over `general.envs`, which is ours, and that over the global `envs`.",
  },
  {
    seed: "prefill.num_gpus, decode.num_gpus",
    type: "int",
    says: "GPUs required per replica",
    here: "prefill.num_gpus",
    note: "0 is allowed, for engines on CPU.",
  },
  {
    seed: "prefill.replicas, decode.replicas",
    type: "int",
    says: "Number of replicas",
    here: "prefill.replicas",
    note: "The number to begin with; `pdjob-client scale` changes it while the job runs.",
  },
  {
    seed: "prefill.params, decode.params",
    type: "dict",
    says: "vLLM serve parameters",
    here: "prefill.params",
    note: "`false` becomes `--no-x`, an empty value leaves the flag out. Flags that pdjob must own are refused with the reason.",
  },
  {
    seed: "params._extra_params",
    type: "str",
    says: "Additional CLI arguments",
    here: "prefill.params._extra_params",
    note: "Both are used, general's first, as before.",
  },
  {
    seed: "params.model",
    type: "str",
    says: "(used in the examples)",
    here: "prefill.params.model",
    note: "Both roles must name the same one.",
  },
  {
    seed: "params.host, params.port",
    type: "str",
    says: "(used in the examples)",
    here: "prefill.params.host",
    note: "Always set by pdjob: the node's own address, and a free port of it.",
  },
  {
    seed: "params.kv_transfer_config",
    type: "str",
    says: "(JSON text, used in the examples)",
    here: "prefill.params.kv_transfer_config",
    note: "A mapping is understood as well. Side channels and other ports that a connector needs are set for each replica.",
  },
];

export interface PlaceholderRow {
  readonly seed: string;
  readonly where: string;
  readonly here: readonly string[];
  readonly note: string;
}

const inCommand = "`scheduler.command`";
const inParams = "`params`, `kv_transfer_config`";

export const placeholders: readonly PlaceholderRow[] = [
  { seed: "{PORT}", where: inCommand, here: ["{PORT}"], note: same },
  ...["PREFILL", "DECODE"].flatMap((role) =>
    ["HOST", "PORT", "URL"].map((what): PlaceholderRow => ({
      seed: `$${role}_${what}_N`,
      where: inCommand,
      here: [`$${role}_${what}_N`, `$${role}_${what}S`],
      note: "A number above `replicas` is an error; the plural names all replicas, however many.",
    })),
  ),
  {
    seed: "{HOST}",
    where: inParams,
    here: ["{HOST}"],
    note: "Also in `envs`, like all of these.",
  },
  { seed: "{PORT}", where: inParams, here: ["{PORT}"], note: "More ports: `{PORT:name}`." },
  { seed: "{KV_IP}", where: inParams, here: ["{KV_IP}"], note: "Address of prefill 0, as before." },
  {
    seed: "{NODE_NAME}",
    where: inParams,
    here: ["{NODE_NAME}"],
    note: "The engine's actor, such as `demo-prefill-0-g1`.",
  },
];

export const connectors: readonly { readonly seed: string; readonly note: string }[] = [
  { seed: "NixlConnector", note: "" },
  { seed: "P2pNcclConnector", note: "" },
  { seed: "MultiConnector", note: "" },
  { seed: "SharedStorageConnector", note: "Renamed; either name is understood." },
  { seed: "LMCacheConnectorV1", note: "" },
  { seed: "LMCacheMPConnector", note: "" },
  { seed: "OffloadingConnector", note: "A cache: KV does not move by it." },
  { seed: "DecodeBenchConnector", note: "A measurement: KV does not move by it." },
];

export interface StepRow {
  readonly seed: string;
  readonly here: readonly (ActionKind | "validate")[];
  readonly note: string;
}

export const steps: readonly StepRow[] = [
  {
    seed: "Parse YAML configuration",
    here: ["validate"],
    note: "By `start`, before anything else: all problems at once, with line and column.",
  },
  { seed: "Merge general params with role-specific params", here: ["validate"], note: same },
  {
    seed: "Extract KV connector type",
    here: ["validate"],
    note: "Capitals do not matter; both roles must name the same.",
  },
  {
    seed: "Initialize Ray connection",
    here: [],
    note: "The worker's; it is kept, and made anew when it breaks.",
  },
  {
    seed: "Select job type based on KV connector",
    here: [],
    note: "There is one kind of job. What a connector needs is in [connectors.md](connectors.md).",
  },
  { seed: "Create job instance", here: [], note: "The workflow `pdjob-NAME` in Temporal." },
  {
    seed: "(upload of the working directory)",
    here: ["uploadFiles"],
    note: "Only with `upload`.",
  },
  {
    seed: "Create placement groups for GPU allocation",
    here: ["reservePlacementGroup"],
    note: "One for each replica. What can never fit is said at once.",
  },
  { seed: "Start prefill service actors", here: ["startPrefill"], note: "Side by side." },
  {
    seed: "Get KV IP from first prefill service",
    here: ["readKvIp"],
    note: "Again when prefill 0 moves.",
  },
  {
    seed: "Start decode service actors with KV IP",
    here: ["startDecode"],
    note: same,
  },
  {
    seed: "Wait for all services to be healthy",
    here: ["waitHealthy"],
    note: "An engine that ends is noticed at once, with its last lines.",
  },
  {
    seed: "Check `/health` endpoint for each service",
    here: ["waitHealthy"],
    note: "For as long as the job lives.",
  },
  { seed: "Create ProxyServer actor on head node", here: ["runProxy"], note: same },
  {
    seed: "Replace placeholders in command with actual service URLs",
    here: ["renderProxy"],
    note: "A placeholder that names nothing is an error, never left in the command.",
  },
  {
    seed: "Execute proxy server command",
    here: ["runProxy"],
    note: "Run without a shell. It is up when its port answers; when it ends it is started again.",
  },
];

export const examples: readonly { readonly file: string; readonly text: string }[] = [
  { file: "quick-start.yaml", text: "the quick start, its elisions filled in" },
  {
    file: "as-printed.yaml",
    text: "the same as it was printed: `validate` points at each `...` that is no JSON",
  },
  { file: "toy-proxy.yaml", text: "two replicas of each role behind `toy_proxy_server.py`" },
  {
    file: "cargo-proxy.yaml",
    text: "two replicas of each role behind a proxy that `cargo run` starts",
  },
];

export interface TroubleRow {
  readonly seed: string;
  readonly codes: readonly ErrorCode[];
  readonly says: string;
  readonly todo: string;
}

export const troubles: readonly TroubleRow[] = [
  {
    seed: "Unrecognized kv_connector",
    codes: ["SpecInvalid"],
    says: "`validate`, `plan` and `start` name the line and the nearest known connector",
    todo: "Correct the name, or give `kv_connector_module_path` for one of your own.",
  },
  {
    seed: "Service health check timeout",
    codes: [
      "EngineHealthTimeout",
      "EngineExited",
      "EngineNotStarted",
      "PlacementInfeasible",
      "PlacementTimeout",
      "DeployTimeout",
    ],
    says: "which replica, on which node, the engine's last lines and the command that shows all of them; or which GPUs are missing and who holds them",
    todo: "Raise `timeout` if the model needs longer; read `pdjob-client logs JOB prefill-0`; lower `replicas` or add nodes.",
  },
  {
    seed: "Proxy server fails to start",
    codes: ["ProxyNotStarted", "ProxyExited", "ProxyTimeout"],
    says: "what could not be executed, or its exit code and last lines, or the port that did not answer",
    todo: "Check `scheduler.command` with `pdjob-client plan`, and its path on the head node: it runs in `working_dir`, or in the files of `upload`.",
  },
];

export const debugging: readonly { readonly seed: string; readonly here: string }[] = [
  {
    seed: "`ray logs`",
    here: "`pdjob-client logs JOB prefill-0`, also `--previous` and after the job was stopped",
  },
  {
    seed: "Ray dashboard",
    here: "The same, and Temporal's Web UI: every step with its reason, the job's standing, its events",
  },
  {
    seed: "verbose logging, `2>&1 | tee pdjob.log`",
    here: "`pdjob-client start job.yaml 2>&1 | tee pdjob.log`; the history stays in Temporal anyway",
  },
];
