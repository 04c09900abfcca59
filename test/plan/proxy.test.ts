import { describe, expect, test } from "vitest";
import type { ObservedProxy } from "../../src/domain/observed.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const external = (command: readonly string[] = ["proxy", "$PREFILL_URLS", "$DECODE_URLS"]) =>
  makeSpec({ scheduler: { port: 8021, membership: "restart", command } });

/** Longer than any back-off, shorter than the budget's window. */
const backoffMs = 60_000;

type Cluster = ReturnType<typeof fakeCluster>;

function changeProxy({ state }: Cluster, change: Partial<ObservedProxy>): void {
  const proxies = state.observed.proxies.map((proxy) => ({ ...proxy, ...change }));
  state.observed = { ...state.observed, proxies };
}

const died = (tail: string): Partial<ObservedProxy> => ({
  state: "exited",
  exit: { code: 7, signal: null, atMs: 0 },
  logTail: tail,
});

/** Kills each new proxy until the job gives it up. */
function exhaust(cluster: Cluster): void {
  for (let times = 0; times <= cluster.spec.restart.restartsMax; times++) {
    changeProxy(cluster, died("Traceback\nKeyError: 'prefill'"));
    cluster.settle(backoffMs);
  }
}

describe("a proxy that keeps ending", () => {
  test("is run anew as often as the budget says, and not once less", () => {
    const cluster = fakeCluster(external());
    cluster.settle();
    cluster.state.log.length = 0;
    exhaust(cluster);
    expect(cluster.state.log.filter((key) => key.startsWith("runProxy"))).toEqual([
      "runProxy proxy g2",
      "runProxy proxy g3",
      "runProxy proxy g4",
    ]);
  });

  test("leaves the job DEGRADED with the proxy's last lines, and a time to look again", () => {
    const cluster = fakeCluster(external());
    cluster.settle();
    exhaust(cluster);
    const { view, wakeAtMs } = cluster.turn();
    const sentence =
      "proxy was replaced 3 times within 600 s and is left down: The proxy exited with code 7.";
    expect(view).toMatchObject({ phase: "DEGRADED", reason: sentence });
    expect(view.proxy).toMatchObject({
      phase: "DOWN",
      note: sentence,
      failure: {
        code: "ProxyExited",
        message: "The proxy exited with code 7. Its last lines:\nTraceback\nKeyError: 'prefill'",
      },
    });
    expect(wakeAtMs).toBe((cluster.state.memory.restarts["proxy"]?.[0] ?? 0) + 600_000);
  });

  test("is tried again when its oldest replacement leaves the window", () => {
    const cluster = fakeCluster(external());
    cluster.settle();
    exhaust(cluster);
    cluster.state.nowMs = cluster.turn().wakeAtMs ?? 0;
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.observed.proxies[0]?.name).toBe("demo-proxy-g5");
  });

  test("is tried once more when its members change, and then no more", () => {
    const cluster = fakeCluster(external());
    cluster.settle();
    exhaust(cluster);
    cluster.state.desired = { replicas: { prefill: 2, decode: 1 } };
    expect(cluster.settle().view.phase).toBe("READY");
    changeProxy(cluster, died("again"));
    expect(cluster.settle(backoffMs).view.phase).toBe("DEGRADED");
    expect(cluster.state.observed.proxies).toEqual([]);
  });
});

describe("a proxy that ended while a replica is down", () => {
  const whileDown = (command?: readonly string[]) => {
    const cluster = fakeCluster(external(command));
    cluster.settle();
    cluster.setState("demo-decode-1-g1", "exited");
    changeProxy(cluster, died("gone"));
    cluster.turn().actions.forEach(cluster.run);
    return cluster.turn().actions.map(({ kind }) => kind);
  };

  test("serves with the replicas that are left", () => {
    expect(whileDown()).toContain("renderProxy");
  });

  test("waits when its command names the one that is down", () => {
    expect(whileDown(["proxy", "$PREFILL_URL_1", "$DECODE_URL_2"])).not.toContain("renderProxy");
  });
});
