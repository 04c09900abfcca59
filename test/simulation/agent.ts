import { PdjobError } from "../../src/domain/errors.ts";
import type { Verb, VerbResult } from "../../src/ray/contract.ts";
import { callTimeoutMs, readVerbs } from "../../src/ray/timeouts.ts";
import type { CallOptions, VerbArgs } from "../../src/ray/verbs.ts";
import type { Cluster } from "./cluster/cluster.ts";
import { createRayClient } from "./cluster/client.ts";
import { verbs } from "./cluster/verbs.ts";
import { currentAttempt } from "./temporal/activity.ts";

const pipeMs = [1, 10] as const;
/** A new agent imports Ray and joins the cluster. */
const respawnMs = [800, 2_500] as const;

/** Where a crash can fall: before a request arrives, before each thing it does in Ray, after its answer was made. */
export type Boundary = (what: string) => void;

/** The agent of one worker: src/ray/channel.ts and the Python process behind it. */
export function createAgent(cluster: Cluster, boundary: Boundary) {
  const { clock, random } = cluster;
  let process = spawn(0);

  function spawn(delayMs: number) {
    let isDead = false;
    const failures = new Set<() => void>();
    const made = {
      starting: undefined as Promise<void> | undefined,
      failures,
      isDead: () => isDead,
      end: () => {
        isDead = true;
        for (const fail of failures) fail();
      },
    };
    if (delayMs > 0)
      made.starting = clock.sleep(delayMs).then(() => {
        made.starting = undefined;
      });
    return made;
  }

  async function perform<V extends Verb>(
    verb: V,
    args: VerbArgs[V],
    mine: typeof process,
  ): Promise<VerbResult<V>> {
    if (mine.starting) await mine.starting;
    // Dying in a verb that changes nothing is like dying before it.
    if (readVerbs.has(verb)) {
      const isWatch = verb === "list" && !("nodes" in args);
      // A watch decides nothing, so nothing comes of what changes while it looks.
      const setup = { isDead: mine.isDead, boundary: () => undefined, verb, atOnce: isWatch };
      return verbs[verb](createRayClient(cluster, setup), args);
    }
    const ray = createRayClient(cluster, { isDead: mine.isDead, boundary, verb });
    await ray.reach(`${verb} asked`);
    const answer = await verbs[verb](ray, args);
    await ray.reach(`${verb} answered`);
    return answer;
  }

  function call<V extends Verb>(
    verb: V,
    args: VerbArgs[V],
    { timeoutMs = callTimeoutMs(verb, args), signal }: CallOptions = {},
  ): Promise<VerbResult<V>> {
    const attempt = currentAttempt();
    const { worker } = attempt;
    if (!worker.isAlive()) return new Promise<never>(() => undefined);
    if (process.isDead()) process = spawn(random.between(...respawnMs));
    const mine = process;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void, delayMs: number): void => {
        if (!mine.failures.delete(fail)) return;
        timer.cancel();
        signal?.removeEventListener("abort", onAbort);
        const arrive = (): void => worker.goOn(attempt, settle);
        if (delayMs > 0) worker.after(delayMs, arrive);
        else arrive();
      };
      const unreachable = (how: string) =>
        new PdjobError("AgentUnreachable", `The Ray agent ${how} (${verb}).`);
      const fail = (): void => finish(() => reject(unreachable("died")), 1);
      const leave = (): void => finish(() => reject(signal?.reason as Error), 0);
      const onAbort = (): void => void (readVerbs.has(verb) && leave());
      const timer = worker.after(timeoutMs, () =>
        finish(() => reject(unreachable("did not answer")), 0),
      );
      // A look has taken its time in Ray: its way back is no more of an event.
      const latencyMs = (): number => (readVerbs.has(verb) ? 0 : random.between(...pipeMs));
      mine.failures.add(fail);
      if (signal?.aborted) return leave();
      signal?.addEventListener("abort", onAbort, { once: true });
      perform(verb, args, mine).then(
        (answer) =>
          finish(
            () => (signal?.aborted ? reject(signal.reason as Error) : resolve(answer)),
            latencyMs(),
          ),
        (error: Error) => finish(() => reject(error), latencyMs()),
      );
    });
  }

  return { call, close: async () => undefined, kill: () => process.end() };
}

export type Agent = ReturnType<typeof createAgent>;
