import { z } from "zod";
import { canaryStages } from "../domain/canary.ts";
import { roles } from "../domain/role.ts";

/** Wire types of docs/agent-protocol.md. Parsed on arrival: the agent is another program, of maybe another version. */
const endpoint = z.object({ host: z.string(), ports: z.record(z.string(), z.number()) });
const processExit = z.object({
  code: z.number().nullable(),
  signal: z.string().nullable(),
  atMs: z.number(),
});
const engineState = z.enum(["idle", "starting", "healthy", "unhealthy", "exited", "lost"]);

const bundle = z.object({ GPU: z.number().optional(), CPU: z.number().optional() });

export const observedPlacementGroup = z.object({
  name: z.string(),
  state: z.enum(["PENDING", "CREATED", "RESCHEDULING"]),
  schedulingState: z.string().optional(),
  nodeIps: z.array(z.string()),
  bundles: z.array(bundle).optional(),
});

export const observedReplica = z.object({
  name: z.string(),
  role: z.enum(roles),
  index: z.number().int(),
  generation: z.number().int(),
  rank: z.number().int().positive().optional(),
  state: engineState,
  endpoint: endpoint.optional(),
  nodeId: z.string().optional(),
  pid: z.number().optional(),
  startedAtMs: z.number().optional(),
  specHash: z.string().optional(),
  revision: z.string().optional(),
  kvRevision: z.string().optional(),
  exit: processExit.optional(),
  stalledS: z.number().optional(),
  logTail: z.string().optional(),
});

/** Nobody asks it over HTTP. */
const observedFollower = observedReplica
  .omit({ stalledS: true })
  .extend({ rank: z.number().int().positive() });

const member = z.object({
  name: z.string(),
  role: z.enum(roles),
  url: z.string(),
  ports: z.record(z.string(), z.union([z.number(), z.string()])).optional(),
  pairings: z.array(z.number().int()).optional(),
});

export const observedProxy = z.object({
  name: z.string(),
  generation: z.number().int(),
  state: engineState,
  host: z.string().optional(),
  port: z.number().optional(),
  pid: z.number().optional(),
  specHash: z.string().optional(),
  membership: z.object({ generation: z.number().int(), members: z.array(member) }).optional(),
  run: z.number().int().positive().optional(),
  leaving: z.number().optional(),
  inFlight: z.record(z.string(), z.number()).optional(),
  exit: processExit.optional(),
  logTail: z.string().optional(),
});

const hello = z.object({
  protocol: z.literal(1),
  rayVersion: z.string(),
  pythonVersion: z.string(),
  session: z.string(),
  nodeIp: z.string(),
});

const resources = z.object({ GPU: z.number().default(0), CPU: z.number().default(0) });

const node = z.object({
  id: z.string(),
  ip: z.string(),
  alive: z.boolean(),
  isHead: z.boolean(),
  total: resources,
  available: resources,
});

const absentReplica = z.object({ name: z.string(), state: z.literal("absent") });

const logPiece = z.object({
  text: z.string(),
  offset: z.number(),
  size: z.number(),
  host: z.string(),
  path: z.string().optional(),
});

/** What of a folder is uploaded. */
export const folderSurvey = z.object({
  files: z.number(),
  bytes: z.number(),
  leftOut: z.array(z.string()),
  secrets: z.array(z.string()),
});

/** Result of each verb. Its arguments are `VerbArgs` of verbs.ts. */
export const verbResults = {
  ping: hello,
  nodes: z.object({ nodes: z.array(node) }),
  probeEngine: z.object({
    code: z.number().nullable(),
    output: z.string(),
    error: z.string().optional(),
  }),
  ensurePlacementGroup: observedPlacementGroup,
  removePlacementGroup: z.object({ removed: z.boolean() }),
  ensureReplica: observedReplica,
  startEngine: observedReplica,
  replicaStatus: z.union([observedReplica, absentReplica]),
  canary: z.object({
    passed: z.boolean(),
    note: z.string().optional(),
    stage: z.enum(canaryStages).optional(),
    how: z.enum(["wrong", "failed", "late"]).optional(),
    message: z.string().optional(),
  }),
  stopReplica: z.object({ stopped: z.boolean() }),
  ensureProxy: observedProxy,
  engineLoad: z.object({ name: z.string(), requests: z.number().int().nullable() }),
  setMembership: z.object({ acknowledged: z.number().int() }),
  retireProxy: z.object({ retired: z.boolean() }),
  stopProxy: z.object({ stopped: z.boolean() }),
  list: z.object({
    session: z.string(),
    placementGroups: z.array(observedPlacementGroup),
    replicas: z.array(observedReplica.omit({ rank: true })),
    proxies: z.array(observedProxy),
    followers: z.array(observedFollower).optional(),
    nodes: z.array(node).optional(),
    groupsOfOthers: z.array(resources.extend({ name: z.string() })).optional(),
  }),
  jobs: z.object({
    jobs: z.array(
      z.object({
        job: z.string(),
        replicas: z.number(),
        placementGroups: z.number(),
        proxies: z.number(),
      }),
    ),
  }),
  logs: logPiece,
  logFile: logPiece,
  checkHead: z.object({
    ip: z.string(),
    nodeProblem: z.string().optional(),
    portProblem: z.string().optional(),
  }),
  upload: folderSurvey
    .extend({ uploaded: z.boolean(), packedBytes: z.number() })
    .partial()
    .extend({ package: z.string() }),
  sweep: z.object({
    removed: z.array(
      z.object({ kind: z.enum(["actor", "placementGroup", "kvFolder"]), name: z.string() }),
    ),
    /** Addresses of nodes that did not say in time what KV they hold. Absent = none. */
    silentNodes: z.array(z.string()).optional(),
  }),
} as const;

export type Verb = keyof typeof verbResults;
export type VerbResult<V extends Verb> = z.output<(typeof verbResults)[V]>;

export const agentError = z.object({
  class: z.enum(["retryable", "fatal", "clusterChanged"]),
  code: z.string(),
  message: z.string(),
});

export const greeting = z.union([z.object({ hello }), z.object({ fatal: agentError })]);

export const answer = z.union([
  z.object({ id: z.number().nullable(), ok: z.literal(true), result: z.unknown() }),
  z.object({ id: z.number().nullable(), ok: z.literal(false), error: agentError }),
]);
