import type { ObservedNode, ObservedPlacementGroup } from "../../../src/domain/observed.ts";
import type { Strategy } from "../../../src/domain/spec.ts";
import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";

/** Ray's own latencies, and how long it takes to declare a node dead whose raylet was killed or does not answer. */
const placementMs = [3, 80] as const;
const deadAfterMs = { down: 15_000, silent: 65_000 } as const;
/** What becomes of the processes of an actor that Ray ended: its guard needs a moment. */
const guardMs = [20, 350] as const;

export interface Node {
  readonly id: string;
  readonly ip: string;
  readonly gpus: number;
  readonly isHead: boolean;
  /** `silent`: cut off, while everything on it goes on running. `down`: nothing on it runs. */
  state: "up" | "silent" | "down";
  /** Ray has noticed, or it never belonged to this session. */
  isDead: boolean;
}

export interface Group {
  readonly name: string;
  readonly bundles: readonly Readonly<Record<string, number>>[];
  readonly strategy: Strategy;
  state: ObservedPlacementGroup["state"];
  /** One a bundle, once placed. */
  nodes: readonly Node[];
}

export interface ActorProcess {
  /** Calls a method: its answer, a promise of it, or undefined when the process is gone. */
  call(method: string, args: readonly unknown[]): unknown;
  /** The actor's process is gone, for whatever reason: what it owned goes with it. */
  end(why: string): void;
}

export interface Actor {
  readonly name: string;
  readonly node: Node;
  readonly group?: string;
  readonly process: ActorProcess;
  /** Present in one that its node has not heard of yet: what it becomes once the node does. */
  readonly begin?: () => Actor;
}

/** Ray's tables. All changes are synchronous; who calls them takes the time. */
export function createRay(clock: Clock, random: Random, nodes: readonly Node[], touch: () => void) {
  let session = 1;
  let isReachable = true;
  const groups = new Map<string, Group>();
  const actors = new Map<string, Actor>();
  /** Actors that Ray has forgotten while their node was silent: they end soon after it comes back. */
  const zombies = new Set<Actor>();

  const gpusOf = (bundle: Readonly<Record<string, number>>): number => bundle["GPU"] ?? 0;

  function freeGpus(node: Node): number {
    let free = node.gpus;
    for (const { bundles, nodes: places } of groups.values())
      for (const [index, place] of places.entries())
        if (place === node) free -= gpusOf(bundles[index]!);
    return free;
  }

  /** All bundles of a group or none, first come first served. */
  function place(group: Group): void {
    if (groups.get(group.name) !== group || group.state === "CREATED") return;
    const places = placesFor(group, freeGpus);
    if (!places) return;
    group.nodes = places;
    group.state = "CREATED";
    touch();
  }

  function placesFor(
    { bundles, strategy }: Group,
    gpusOn: (node: Node) => number,
  ): readonly Node[] | undefined {
    const free = new Map(nodes.filter(isUsable).map((node) => [node, gpusOn(node)]));
    const places: Node[] = [];
    for (const bundle of bundles) {
      const fitting = [...free.keys()].filter((node) => free.get(node)! >= gpusOf(bundle));
      const unused = fitting.filter((node) => !places.includes(node));
      const packed = places.length === 0 ? fitting : fitting.filter((node) => node === places[0]);
      const choice =
        strategy === "STRICT_PACK"
          ? packed
          : strategy === "STRICT_SPREAD"
            ? unused
            : [...unused, ...fitting];
      const node = choice[0];
      if (!node) return undefined;
      places.push(node);
      free.set(node, free.get(node)! - gpusOf(bundle));
    }
    return places;
  }

  const placeSoon = (): void => {
    clock.after(random.between(...placementMs), () => {
      for (const group of groups.values()) place(group);
    });
  };

  function schedulingState(group: Group): string | undefined {
    if (group.state === "CREATED") return undefined;
    return placesFor(group, ({ gpus }) => gpus) ? "NO_RESOURCES" : "INFEASIBLE";
  }

  /** `ray.kill`: the name is free at once; the process ends as soon as the kill reaches it. */
  function kill(name: string, why: string): void {
    const actor = actors.get(name);
    if (!actor) return;
    actors.delete(name);
    touch();
    if (actor.node.state === "silent") zombies.add(actor);
    else if (actor.node.state === "up")
      clock.after(random.between(...guardMs), () => actor.process.end(why));
  }

  function removeGroup(name: string): boolean {
    if (!groups.delete(name)) return false;
    touch();
    for (const actor of actors.values()) if (actor.group === name) kill(actor.name, "SIGKILL");
    placeSoon();
    return true;
  }

  function declareDead(node: Node): void {
    node.isDead = true;
    touch();
    for (const actor of actors.values()) if (actor.node === node) kill(actor.name, "SIGKILL");
    for (const group of groups.values()) {
      if (!group.nodes.includes(node)) continue;
      group.state = "RESCHEDULING";
      group.nodes = [];
    }
    placeSoon();
  }

  function lose(node: Node, how: "silent" | "down"): void {
    if (node.state !== "up") return;
    node.state = how;
    touch();
    if (how === "down")
      for (const actor of actors.values()) if (actor.node === node) actor.process.end("SIGKILL");
    const forgotten = session;
    clock.after(deadAfterMs[how], () => {
      if (node.state !== "up" && forgotten === session) declareDead(node);
    });
  }

  /** Processes of a node that was declared dead, or that were killed meanwhile, do not survive its return. */
  function returns(node: Node): void {
    if (node.state === "up") return;
    const wasDown = node.state === "down";
    // A machine that restarts sooner than Ray notices its death is a death all the same.
    if (wasDown && !node.isDead) declareDead(node);
    node.state = "up";
    node.isDead = false;
    touch();
    for (const actor of zombies) {
      if (actor.node !== node) continue;
      clock.after(random.between(...guardMs), () => {
        zombies.delete(actor);
        actor.process.end("SIGKILL");
      });
    }
    for (const { name, node: place, begin } of actors.values())
      if (place === node && begin) actors.set(name, begin());
    placeSoon();
  }

  /** The head dies and comes back without its tables; what ran lives on for a while, known to nobody. */
  function restartEmpty(downForMs: number, orphansLiveMs: () => number): void {
    session += 1;
    setReachable(false);
    const orphans = [...actors.values(), ...zombies];
    groups.clear();
    actors.clear();
    zombies.clear();
    for (const node of nodes) node.isDead = true;
    for (const { node, process } of orphans)
      clock.after(node.isHead ? random.between(...guardMs) : orphansLiveMs(), () =>
        process.end("SIGKILL"),
      );
    clock.after(downForMs, () => {
      setReachable(true);
      for (const node of nodes)
        clock.after(node.isHead ? 0 : random.between(500, 5_000), () => {
          if (node.state === "up") node.isDead = false;
          touch();
          placeSoon();
        });
    });
  }

  function setReachable(next: boolean): void {
    isReachable = next;
    touch();
  }

  return {
    nodes,
    groups,
    actors,
    session: () => `session-${session}`,
    isReachable: () => isReachable,
    setReachable,
    head: () => nodes.find(({ isHead }) => isHead)!,
    schedulingState,
    resources: (node: Node): ObservedNode => ({
      ip: node.ip,
      alive: !node.isDead,
      total: { GPU: node.gpus, CPU: 64 },
      available: { GPU: freeGpus(node), CPU: 64 },
    }),
    addGroup(group: Group): void {
      groups.set(group.name, group);
      touch();
      placeSoon();
    },
    removeGroup,
    addActor(actor: Actor): void {
      actors.set(actor.name, actor);
      touch();
    },
    kill,
    /** Was an actor of that name on that node killed when the node could not hear it, and has not ended yet? */
    isKilledUnheard: (name: string, node: Node): boolean =>
      [...zombies].some((actor) => actor.name === name && actor.node === node),
    lose,
    returns,
    restartEmpty,
  };
}

export type Ray = ReturnType<typeof createRay>;

const isUsable = ({ state, isDead }: Node): boolean => state === "up" && !isDead;
