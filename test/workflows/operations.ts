import type { WorkflowHandle } from "@temporalio/client";
import { expect } from "vitest";
import type { JobStatus } from "../../src/domain/status.ts";
import type { JobInput } from "../../src/workflows/messages.ts";
import type { fakeCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { makeSpec } from "../support/spec.ts";

/** One replica that fails is enough to go back. */
const rollout = { surge: 0, unavailable: 1, attempts: 1 };

export interface Stage {
  readonly handle: WorkflowHandle;
  readonly cluster: ReturnType<typeof fakeCluster>;
  readonly ready: (decode: number) => Promise<JobStatus>;
}

export interface Operation {
  readonly name: string;
  readonly act: (stage: Stage) => Promise<void>;
  readonly input?: Partial<JobInput>;
  readonly spec?: Parameters<typeof makeSpec>[0];
  /** Which action fails for good, and with which code. */
  readonly fails?: {
    readonly kind: string;
    readonly code: string;
    /** Only under this one. */
    readonly generation?: number;
  };
}

/** Everything that can be asked of a job, and each way in which it ends. */
export const operations: readonly Operation[] = [
  { name: "start", act: async ({ ready }) => void (await ready(2)) },
  { name: "upload", spec: { upload: "/deploy" }, act: async ({ ready }) => void (await ready(2)) },
  {
    name: "scale",
    act: async ({ handle, ready }) => {
      await ready(2);
      await handle.signal("scaleTo", { role: "decode", replicas: 3, key: "up" });
      await ready(3);
      await handle.signal("scaleTo", { role: "decode", replicas: "three" });
      await handle.executeUpdate("scale", { args: [{ role: "decode", replicas: 1 }] });
      await ready(1);
    },
  },
  {
    name: "heal",
    act: async ({ cluster, ready }) => {
      await ready(2);
      cluster.setState("heal-decode-0-g1", "exited");
      await eventually("decode-0 is replaced", async () =>
        (await ready(2)).replicas.some(({ generation }) => generation === 2),
      );
    },
  },
  {
    name: "update",
    spec: of("a"),
    act: async ({ handle, ready }) => {
      await ready(2);
      await handle.executeUpdate("apply", {
        args: [{ spec: makeSpec({ name: "update", ...of("b") }) }],
      });
      await handle.executeUpdate("pause", { args: [{ paused: true }] });
      await handle.executeUpdate("pause", { args: [{ paused: false }] });
      await serves(handle, 2);
      await handle.executeUpdate("undo");
      await serves(handle, 3);
      await handle.executeUpdate("apply", {
        args: [{ spec: makeSpec({ name: "update", ...of("c") }) }],
      });
      await handle.executeUpdate("abort");
      await serves(handle, 5);
    },
  },
  {
    name: "rollback",
    spec: { ...of("a"), rollout },
    fails: { kind: "startDecode", code: "EngineNotStarted", generation: 2 },
    act: async ({ handle, ready }) => {
      await ready(2);
      const spec = makeSpec({ name: "rollback", ...of("b"), rollout });
      await handle.executeUpdate("apply", { args: [{ spec }] });
      await serves(handle, 3);
    },
  },
  {
    name: "restart",
    act: async ({ handle, ready }) => {
      await ready(2);
      await handle.executeUpdate("restartReplica", { args: [{ replica: "prefill-0" }] });
      await handle.executeUpdate("restartReplica", { args: [{ replica: "proxy" }] });
      await eventually("both are replaced", async () => {
        const { proxy, replicas } = await ready(2);
        return proxy.generation === 2 && replicas.some(({ generation }) => generation === 2);
      });
    },
  },
  {
    name: "continue-as-new",
    input: { historyEventsMax: 60 },
    act: async ({ handle, ready }) => {
      await ready(2);
      await handle.signal("scaleTo", { role: "decode", replicas: 3 });
      await ready(3);
    },
  },
  {
    name: "stop",
    act: async ({ handle, ready }) => {
      await ready(2);
      await handle.executeUpdate("stop");
      await handle.result();
    },
  },
  {
    name: "cancel",
    act: async ({ handle, ready }) => {
      await ready(2);
      await handle.cancel();
      await expect(handle.result()).rejects.toMatchObject({ cause: { name: "CancelledFailure" } });
    },
  },
  {
    name: "failed-start",
    fails: { kind: "startDecode", code: "EngineNotStarted" },
    act: async ({ handle }) => {
      const cause = { type: "EngineNotStarted", message: "it cannot" };
      await expect(handle.result()).rejects.toMatchObject({ cause });
    },
  },
  {
    name: "unproven",
    fails: { kind: "sendCanary", code: "CanaryFailed" },
    act: async ({ handle }) => {
      const cause = { type: "CanaryFailed", message: "it cannot" };
      await expect(handle.result()).rejects.toMatchObject({ cause });
    },
  },
  {
    name: "refused",
    fails: { kind: "probeEngine", code: "SpecInvalid" },
    act: async ({ handle }) => {
      const cause = { type: "SpecInvalid", message: "it cannot" };
      await expect(handle.result()).rejects.toMatchObject({ cause });
    },
  },
];

/** Decode engines of that revision. */
function of(revision: string): Parameters<typeof makeSpec>[0] {
  return {
    prefill: { revision: "a", kvRevision: "a" },
    decode: { revision, kvRevision: "a" },
  };
}

const serves = (handle: WorkflowHandle, revision: number): Promise<JobStatus> =>
  eventually(`revision ${revision} serves`, async () => {
    const status = await handle.query<JobStatus>("status");
    return status.phase === "READY" && status.revision === revision ? status : undefined;
  });
