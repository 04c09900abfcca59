import type { JobSpec, RoleSpec } from "../../src/domain/spec.ts";

const role = (kvRole: string, overrides: Partial<RoleSpec>): RoleSpec => ({
  numGpus: 2,
  replicas: 2,
  envs: {},
  params: { served_model_name: "sim" },
  model: "sim/tiny",
  kvTransfer: { kv_connector: "NixlConnector", kv_role: kvRole },
  extraArgs: [],
  ...overrides,
});

/** A valid spec of 2 prefill and 2 decode replicas of 2 GPUs each on 16 GPUs; override what a test is about. */
export const makeSpec = (
  overrides: Partial<JobSpec> & {
    readonly prefill?: Partial<RoleSpec>;
    readonly decode?: Partial<RoleSpec>;
  } = {},
): JobSpec => {
  const { prefill, decode, ...rest } = overrides;
  return {
    name: "demo",
    timeoutS: 60,
    numGpus: 16,
    gpusPerWorker: 1,
    numCpus: 0,
    workingDir: "/tmp/pdjob-demo",
    envs: {},
    engineCommand: ["pdjob-sim-engine", "serve"],
    scheduler: { port: 8021, membership: "builtin" },
    roles: {
      prefill: role("kv_producer", prefill ?? {}),
      decode: role("kv_consumer", decode ?? {}),
    },
    restart: { restartsMax: 3, windowS: 600 },
    drainS: { prefill: 10, decode: 20 },
    stopGraceS: 5,
    leaseS: 0,
    ...rest,
  };
};
