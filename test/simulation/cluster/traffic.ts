import type { Member } from "../../../src/domain/observed.ts";
import { mayPair } from "../../../src/domain/revision.ts";
import type { Role } from "../../../src/domain/role.ts";
import { roles } from "../../../src/domain/role.ts";
import type { Timer } from "../clock.ts";
import type { Cluster } from "./cluster.ts";
import { answers } from "./engine.ts";
import type { Process } from "./engine.ts";
import type { ProxyProcess } from "./proxy.ts";

/** Pairs tried for one request, as src/proxy/attempt/retry.ts says. */
const attemptsMax = 3;
/** Refused by a dead address at once; a silent one costs a connect timeout. */
const refusedMs = 5;
/** A client gives up on an engine that says nothing. */
const patienceMs = 30_000;

export interface Request {
  readonly prefillMs: number;
  readonly decodeMs: number;
}

interface Leg {
  readonly member: Member;
  readonly engine: Process | undefined;
}

interface Flight {
  readonly request: Request;
  readonly attempt: number;
  /** Who counts as busy because of it: both at first, the prefill until its KV was pulled. */
  busy: readonly Leg[];
  timer: Timer;
}

export type Traffic = ReturnType<typeof createTraffic>;

/** Requests through the built-in proxy, as far as membership and drains are concerned. */
export function createTraffic(cluster: Cluster, own: () => ProxyProcess) {
  const { clock } = cluster;
  const flights = new Set<Flight>();
  const counts = { served: 0, failed: 0 };

  const countOf = (name: string): number =>
    [...flights].filter(({ busy }) => busy.some(({ member }) => member.name === name)).length;

  const leastBusy = (role: Role): readonly Member[] =>
    own()
      .membership.members.filter((member) => member.role === role)
      .toSorted((a, b) => countOf(a.name) - countOf(b.name));

  function choose(): readonly Member[] {
    const decodes = leastBusy("decode");
    for (const prefill of leastBusy("prefill")) {
      const decode = decodes.find((one) => mayPair(prefill, one));
      if (decode) return [prefill, decode];
    }
    return [];
  }

  /** The process behind an address: whoever listens there now. */
  function engineOf({ url }: Member): Process | undefined {
    return cluster.engines.findLast(
      ({ node, port, exit }) => exit === undefined && url === `http://${node.ip}:${port}`,
    );
  }

  function send(request: Request, attempt = 1): void {
    const pair = choose();
    if (!answers(own(), clock.nowMs()) || pair.length < roles.length || attempt > attemptsMax) {
      counts.failed += 1;
      return;
    }
    const busy = pair.map((member) => ({ member, engine: engineOf(member) }));
    for (const { member } of busy) cluster.emit({ kind: "routed", process: own(), member });
    const flight: Flight = { request, attempt, busy, timer: { cancel: () => undefined } };
    flights.add(flight);
    runLeg(flight, 0, request.prefillMs, () => {
      runLeg(flight, 1, request.decodeMs, () => finish(flight, "served"));
      if (flights.has(flight)) flight.busy = busy.slice(1);
    });
  }

  function runLeg(flight: Flight, leg: 0 | 1, takesMs: number, done: () => void): void {
    const { engine } = flight.busy.at(leg === 0 ? 0 : -1) ?? {};
    if (engine && reaches(engine)) {
      flight.timer = clock.after(takesMs, done);
      return;
    }
    const isSilent = engine !== undefined && engine.exit === undefined;
    flight.timer = clock.after(isSilent ? patienceMs : refusedMs, () => {
      flights.delete(flight);
      send(flight.request, flight.attempt + 1);
    });
  }

  const reaches = (engine: Process): boolean =>
    engine.node.state === "up" && answers(engine, clock.nowMs());

  function finish(flight: Flight, how: "served" | "failed"): void {
    flight.timer.cancel();
    if (flights.delete(flight)) counts[how] += 1;
  }

  return {
    counts,
    send: (request: Request) => send(request),
    inFlight(): Record<string, number> {
      const names = new Set(
        [...flights].flatMap(({ busy }) => busy.map(({ member }) => member.name)),
      );
      return Object.fromEntries([...names].map((name) => [name, countOf(name)]));
    },
    countOf,
    count: () => flights.size,
    /** An engine ended: what it was serving fails. */
    lost(engine: Process): void {
      for (const flight of flights)
        if (flight.busy.some((leg) => leg.engine === engine)) finish(flight, "failed");
    },
    end(): void {
      for (const flight of flights) finish(flight, "failed");
    },
  };
}
