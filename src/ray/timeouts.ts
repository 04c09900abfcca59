import type { Verb } from "./contract.ts";
import type { VerbArgs } from "./verbs.ts";

/*
 * How long the agent may need for each verb at worst, by its own limits: only a longer silence means that it hangs.
 * The limits are those of agent/pdjob_agent; a test holds these copies to them.
 */
export const agentLimits = {
  /** Grace of leftovers and of followers. */
  SHORT_GRACE_S: 5,
  /** Beyond the grace: SIGKILL and reaping. */
  STOP_MARGIN_S: 15,
  /** Until a killed actor's name is free, or a removed group gone. */
  GONE_TIMEOUT_S: 15,
  /** Of the guard of an actor that was killed, to end its engine. */
  GUARD_END_S: 3,
  /** A new actor's first answer. */
  FIRST_ANSWER_TIMEOUT_S: 25,
  PROXY_WAIT_S: 5,
  /** Of an older proxy's actor, for its listening socket. */
  HAND_ON_TIMEOUT_S: 15,
  /** Of a log whose actor is gone. */
  READ_TIMEOUT_S: 20,
  /** Of the KV that a job left in files. */
  CLEAR_TIMEOUT_S: 60,
  /** All requests that tell an external proxy of its members. */
  TELLING_TIMEOUT_S: 40,
  /** Beyond what a canary itself may take. */
  CANARY_MARGIN_S: 5,
  /** Of the head node, for what a proxy needs there. */
  LOOK_TIMEOUT_S: 20,
  /** A task's process, which runs what is asked of a node, and its first question. */
  WORKER_START_S: 40,
} as const;

/** Ray's own calls, a busy machine, the way here and back. */
const marginS = 20;

/** Short verbs that change nothing: nobody needs to hear their answers once they are not wanted any more. */
export const readVerbs: ReadonlySet<Verb> = new Set<Verb>([
  "ping",
  "nodes",
  "replicaStatus",
  "engineLoad",
  "list",
  "jobs",
  "logs",
  "logFile",
  "checkHead",
]);

/** The answer may be dropped when its caller is gone. */
export const isDroppable = (verb: Verb): boolean =>
  readVerbs.has(verb) || verb === "probeEngine" || verb === "canary";

const {
  SHORT_GRACE_S,
  STOP_MARGIN_S,
  GONE_TIMEOUT_S,
  GUARD_END_S,
  FIRST_ANSWER_TIMEOUT_S,
  PROXY_WAIT_S,
  HAND_ON_TIMEOUT_S,
  READ_TIMEOUT_S,
  CLEAR_TIMEOUT_S,
  TELLING_TIMEOUT_S,
  CANARY_MARGIN_S,
  LOOK_TIMEOUT_S,
  WORKER_START_S,
} = agentLimits;
/** Half a gigabyte is read, packed, and sent to Ray's head node. */
const uploadS = 500;

/** After this long without an answer a call fails with AgentUnreachable. */
export function callTimeoutMs<V extends Verb>(verb: V, args: VerbArgs[V]): number {
  const graceS = "graceS" in args ? args.graceS : undefined;
  const commandS = "timeoutS" in args ? args.timeoutS : 0;
  return (commandS + worstCaseS(verb, graceS) + marginS) * 1_000;
}

function worstCaseS(verb: Verb, graceS: number = SHORT_GRACE_S): number {
  // Rank 0 of each, then the followers of all.
  const stopS = graceS + SHORT_GRACE_S + 2 * (STOP_MARGIN_S + GONE_TIMEOUT_S + GUARD_END_S);
  switch (verb) {
    case "ensurePlacementGroup":
      return stopS + GONE_TIMEOUT_S;
    case "sweep":
      return stopS + GONE_TIMEOUT_S + CLEAR_TIMEOUT_S;
    case "ensureReplica":
      return stopS + GONE_TIMEOUT_S + FIRST_ANSWER_TIMEOUT_S;
    case "ensureProxy":
      return HAND_ON_TIMEOUT_S + stopS + GONE_TIMEOUT_S + 2 * FIRST_ANSWER_TIMEOUT_S + PROXY_WAIT_S;
    case "stopReplica":
    case "stopProxy":
      return stopS;
    case "removePlacementGroup":
      return GONE_TIMEOUT_S;
    case "canary":
      return CANARY_MARGIN_S;
    case "probeEngine":
      return WORKER_START_S;
    case "startEngine":
      // Files first, if there are any.
      return 2 * FIRST_ANSWER_TIMEOUT_S;
    case "upload":
      return uploadS;
    case "logFile":
      return READ_TIMEOUT_S;
    case "retireProxy":
    case "setMembership":
      return TELLING_TIMEOUT_S;
    case "checkHead":
      return LOOK_TIMEOUT_S;
    case "ping":
    case "nodes":
    case "replicaStatus":
    case "engineLoad":
    case "list":
    case "jobs":
    case "logs":
      return 0;
  }
}
