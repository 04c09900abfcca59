import { cancellationSignal } from "@temporalio/activity";
import type { ActionInput } from "../domain/action.ts";
import { parseVersion } from "../domain/connectors/version.ts";
import type { Version } from "../domain/connectors/version.ts";
import { PdjobError } from "../domain/errors.ts";
import { incarnationName, rankName, replicaName } from "../domain/names.ts";
import type { Role } from "../domain/role.ts";
import { defaultHealth } from "../domain/spec.ts";
import type { Bundle, Endpoint, JobSpec, RoleSpec } from "../domain/spec.ts";
import { nameOfRank } from "../plan/condemn.ts";
import { afterLoss } from "../plan/next-step.ts";
import { replicaBundles } from "../plan/placement.ts";
import type { Agent } from "../ray/agent.ts";
import type { VerbResult } from "../ray/contract.ts";
import { asksForProxyHost, enginePorts, renderEngine } from "../render/engine.ts";
import { renderStallRequest } from "../render/canary.ts";
import { uploadedFiles } from "./files.ts";
import { fingerprint } from "./fingerprint.ts";
import { resolveSecrets } from "./secrets.ts";

export const healthPath = "/health";

/** How the engine is asked from then on whether it serves. */
async function probeOf(spec: JobSpec, role: Role, version?: Version) {
  const { stallS = defaultHealth.stallS, ...health } = spec.health ?? defaultHealth;
  const probe = { path: healthPath, ...health };
  if (stallS === 0) return probe;
  const asked = renderStallRequest(spec, role, version);
  if (asked === undefined) return { ...probe, stall: { afterS: stallS } };
  const { keys, ...ask } = asked;
  const { [role]: key } = await resolveSecrets(keys, "api_key");
  const stall = { afterS: stallS, ask: key === undefined ? ask : { ...ask, key } };
  return { ...probe, stall };
}

type StartInput = ActionInput<"startPrefill"> | ActionInput<"startDecode">;
type Actor = VerbResult<"ensureReplica">;

/**
 * Starts a replica: an actor in each bundle, then the engine's processes in each. The actors choose ports on their
 * nodes; the commands are rendered for them and handed over in a second call. Rank 0 comes last, so whoever finds it
 * running knows that all ranks were, and doing this again after a crash goes on where it ended.
 */
export async function startRanks(agent: Agent, input: StartInput): Promise<Endpoint> {
  const { spec, action } = input;
  const bundles = action.bundles ?? replicaBundles(spec, action.replica.role);
  const files = await uploadedFiles(agent, spec, action);
  const actors = await Promise.all(
    bundles.map((bundle, rank) => ensureRank(agent, input, { ...bundle, ...files, rank })),
  );
  const leader = endpointOf(actors[0], input, 0);
  const running = actors.filter(({ state }) => state !== "idle").length;
  if (actors[0]?.state !== "idle" && running < bundles.length) throw rankLost(spec, action);
  for (const [rank, actor] of [...actors.entries()].toReversed()) {
    const place = bundles.length > 1 ? { gang: { rank, ranks: bundles.length, leader } } : {};
    await startRank(agent, input, { rank, ...endpointOf(actor, input, rank), ...place });
  }
  return leader;
}

interface RankPlace extends Endpoint {
  readonly rank: number;
  readonly gang?: { readonly rank: number; readonly ranks: number; readonly leader: Endpoint };
}

async function ensureRank(
  agent: Agent,
  { spec, action }: StartInput,
  {
    rank,
    GPU = 0,
    CPU = 0,
    ...files
  }: { readonly rank: number; readonly package?: string } & Bundle,
): Promise<Actor> {
  const { replica, generation, bundles = [] } = action;
  const gang = bundles.length > 1 ? { rank, ranks: bundles.length } : undefined;
  return agent.call(
    "ensureReplica",
    {
      name: rankName(spec.name, replica, generation, rank),
      placementGroup: incarnationName(spec.name, replica, generation),
      ...(gang ? { bundle: rank } : {}),
      gpus: GPU,
      cpus: CPU,
      ports: enginePorts(spec, replica.role, versionOf(action), gang),
      leaseS: spec.leaseS,
      graceS: spec.stopGraceS,
      ...files,
    },
    { signal: cancellationSignal() },
  );
}

async function startRank(
  agent: Agent,
  { spec, action }: StartInput,
  { rank, gang, ...endpoint }: RankPlace,
): Promise<void> {
  const { replica, generation, kvIp } = action;
  const version = versionOf(action);
  const { argv, env, files, emptied } = renderEngine(spec, {
    replica,
    generation,
    ...endpoint,
    kvIp: kvIp ?? gang?.leader.host ?? endpoint.host,
    ...(asksForProxyHost(spec, replica.role, version) ? { proxyHost: await headIp(agent) } : {}),
    ...(version ? { version } : {}),
    ...(gang ? { gang } : {}),
  });
  const call = {
    name: rankName(spec.name, replica, generation, rank),
    argv,
    env: await resolveSecrets(env),
    cwd: spec.workingDir,
    specHash: fingerprint(files.length > 0 ? { argv, env, files } : { argv, env }),
    labels: labelsOf(spec.roles[replica.role]),
    ...(rank === 0 ? { probe: await probeOf(spec, replica.role, version) } : {}),
    files,
    emptied,
  };
  await agent
    .call("startEngine", call, { signal: cancellationSignal() })
    .catch((error: unknown) => {
      // Its command names the ports of a rank 0 that is gone: another actor has taken that one's place.
      const isOther = error instanceof PdjobError && error.code === "StaleGeneration";
      throw gang && isOther ? rankLost(spec, action) : error;
    });
}

/** What the actor says of its engine from then on. */
const labelsOf = ({ revision, kvRevision }: RoleSpec) => ({
  ...(revision === undefined ? {} : { revision }),
  ...(kvRevision === undefined ? {} : { kvRevision }),
});

const versionOf = ({ engineVersion }: StartInput["action"]) =>
  engineVersion === undefined ? undefined : parseVersion(engineVersion);

/** Proxies run on the head node. */
async function headIp(agent: Agent): Promise<string> {
  const { nodes } = await agent.call("nodes", {}, { signal: cancellationSignal() });
  const head = nodes.find(({ alive, isHead }) => alive && isHead);
  if (head) return head.ip;
  throw new PdjobError("RayUnreachable", "The cluster has no head node that is alive.");
}

function endpointOf(
  actor: Actor | undefined,
  { spec, action }: StartInput,
  rank: number,
): Endpoint {
  if (actor?.endpoint) return actor.endpoint;
  const name = rankName(spec.name, action.replica, action.generation, rank);
  throw new PdjobError("RayUnreachable", `The actor of ${name} does not answer.`);
}

function rankLost(spec: JobSpec, { replica, generation }: StartInput["action"]): PdjobError {
  const name = replicaName(replica);
  const who = nameOfRank(name, { generation });
  const next = afterLoss({ job: spec.name, name, generation });
  return new PdjobError("RankLost", `${who} lost a rank while it started.${next}`);
}
