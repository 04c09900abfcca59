import type { Membership } from "../../../src/domain/observed.ts";
import type { Bug } from "./bug.ts";
import { leaseOff, lostWorker, proxyHang, proxyRestart, scaleDown, scaleUp } from "./stories.ts";

/** What the agent, the actors and the proxy may get wrong. */
export const clusterBugs: readonly Bug[] = [
  {
    name: "a lease never ends",
    caughtBy: "every job comes to rest",
    bug: () => ({ startLease: () => ({ renew: () => undefined, end: () => undefined }) }),
  },
  {
    name: "a lease is not renewed",
    caughtBy: "leases end only what nobody looks after",
    bug: ({ startLease }) => ({
      startLease: (...args) => ({ ...startLease(...args), renew: () => undefined }),
    }),
  },
  {
    name: "what runs is not told that leases are off",
    caughtBy: "leases end only what nobody looks after",
    schedule: leaseOff,
    bug: ({ verbs }) => ({
      verbs: {
        ...verbs,
        list: (ray, { leaseS = 0, ...args }) =>
          verbs.list(ray, leaseS > 0 ? { ...args, leaseS } : args),
      },
    }),
  },
  {
    name: "a second proxy runs beside the first",
    caughtBy: "one proxy for each job",
    schedule: proxyHang,
    bug: ({ createProxyActor, lookAt }) => ({
      fenceProxy: async () => [],
      // Nor does it mind that its port is taken.
      createProxyActor: (cluster, ...made) =>
        createProxyActor({ ...cluster, proxies: withoutFind(cluster.proxies) }, ...made),
      lookAt(input) {
        const { proxy, ...world } = lookAt(input);
        const hung = proxy?.state === "unhealthy";
        return { ...world, staleProxies: [], ...(proxy && !hung ? { proxy } : {}) };
      },
    }),
  },
  {
    name: "the proxy's socket is not handed on",
    caughtBy: "a proxy is stopped only when another one listens",
    schedule: proxyRestart,
    bug: ({ fence }) => ({
      async fenceProxy(ray, wanted, { graceS }) {
        await fence(ray, wanted, graceS);
        return [];
      },
    }),
  },
  {
    name: "the proxy's clients are not waited for",
    caughtBy: "a replica is drained before it is stopped",
    schedule: proxyRestart,
    bug: () => ({ untilLeft: async () => ({}) }),
  },
  {
    name: "members are told under a number that was used, and the proxy takes them",
    caughtBy: "a membership's generation never goes back",
    schedule: scaleUp,
    bug: ({ createProxyActor, stepMembership }) => ({
      createProxyActor(cluster, ...made) {
        const actor = createProxyActor(cluster, ...made);
        const forget = (): void => {
          for (const proxy of cluster.proxies) proxy.membership = { generation: 0, members: [] };
        };
        return {
          ...actor,
          process: {
            ...actor.process,
            call(method, args) {
              if (method === "set_membership") forget();
              return actor.process.call(method, args);
            },
          },
        };
      },
      stepMembership(...args) {
        const step = stepMembership(...args);
        return step && "action" in step && step.action.kind === "setMembership"
          ? { action: { ...step.action, generation: 1 } }
          : step;
      },
    }),
  },
  {
    name: "an engine outlives its actor",
    caughtBy: "one engine for each replica",
    bug: ({ createReplicaActor }) => ({
      createReplicaActor(...args) {
        const actor = createReplicaActor(...args);
        return { ...actor, process: { ...actor.process, end: () => undefined } };
      },
    }),
  },
  {
    name: "a replica is said to be stopped, and is not",
    caughtBy: "the policy does not spin",
    bug: () => ({ stopReplica: async () => ({ stopped: true }) }),
  },
  {
    name: "a port is used again",
    caughtBy: "ports are never reused",
    bug: ({ createReplicaActor }) => ({
      createReplicaActor: (cluster, ...made) =>
        createReplicaActor({ ...cluster, nextPort: () => 20_000 }, ...made),
    }),
  },
  {
    name: "a worker that Temporal has lost reserves again what was released",
    caughtBy: "every job comes to rest",
    schedule: lostWorker,
    bug: ({ verbs }) => ({
      verbs: {
        ...verbs,
        ensurePlacementGroup: (ray, args) =>
          verbs.ensurePlacementGroup(ray, { ...args, mustExist: false }),
      },
    }),
  },
  {
    name: "the proxy goes on with members that it was to forget",
    caughtBy: "a stopped replica gets no new request",
    schedule: scaleDown,
    bug: ({ createTraffic }) => ({
      createTraffic(cluster, own) {
        let most: Membership = { generation: 0, members: [] };
        return createTraffic(cluster, () => {
          const proxy = own();
          if (proxy.membership.members.length > most.members.length) most = proxy.membership;
          return { ...proxy, membership: most };
        });
      },
    }),
  },
];

/** A list in which nobody finds anything. */
const withoutFind = <T>(list: T[]): T[] =>
  new Proxy(list, {
    get: (target, key) => (key === "find" ? () => undefined : Reflect.get(target, key)),
  });
