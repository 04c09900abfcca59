import { createServer } from "node:http";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findTemporal } from "../../src/dev/temporal-cli.ts";
import type { JobSpec } from "../../src/domain/spec.ts";
import { eventually } from "../support/eventually.ts";
import { leftOf, rigSpec, startRig, untilPhase } from "../support/rig.ts";
import type { Rig } from "../support/rig.ts";
import type { makeSpec } from "../support/spec.ts";

let rig: Rig;
beforeAll(async () => void (rig = await startRig()));
afterAll(async () => rig.stop());

const single = { prefill: { replicas: 1 }, decode: { replicas: 1 } } as const;

/** Starts a job that cannot succeed; answers with its reason once everything of it is released. `held` is the test's own. */
async function failureOf(
  name: string,
  overrides: Parameters<typeof makeSpec>[0],
  held: readonly string[] = [],
): Promise<{ reason: string; spec: JobSpec }> {
  const spec = await rigSpec(rig, name, { ...single, ...overrides });
  await rig.client.start(spec);
  const reason = await rig.client.result(name).then(
    () => "it succeeded",
    (error: Error) => error.message,
  );
  expect(await leftOf(rig, spec)).toEqual(held);
  expect((await rig.client.status(name)).phase).toBe("FAILED");
  return { reason, spec };
}

describe("a job that cannot start ends FAILED, releases everything and says why:", () => {
  test("an engine is not healthy within the timeout", async () => {
    const { reason } = await failureOf("slow", {
      timeoutS: 20,
      decode: { replicas: 1, envs: { PDJOB_SIM_BOOT_MS: "60000" } },
    });
    expect(reason).toMatch(
      /^decode-0 g1 was not healthy on http:\/\/127\.[\d.]+:\d+\/health within the job's timeout of 20 s\. Increase `timeout` in the config if the model needs longer to load; otherwise read its log\. Its last lines:\npdjob SIMULATED engine/,
    );
  });

  test("an engine's process ends while it boots", async () => {
    const envs = { PDJOB_SIM_BOOT_FAILURE: "torch.OutOfMemoryError: CUDA out of memory" };
    const { reason } = await failureOf("oom", { prefill: { replicas: 1, envs } });
    expect(reason).toContain("The engine of prefill-0 g1 exited with code 1. Its last lines:");
    expect(reason).toContain("torch.OutOfMemoryError: CUDA out of memory");
  });

  test("vLLM refuses a flag", async () => {
    const { reason } = await failureOf("flag", {
      decode: { replicas: 1, params: { no_such_flag: 1 } },
    });
    expect(reason).toContain("The engine of decode-0 g1 exited with code 2.");
    expect(reason).toContain("unrecognized arguments: --no-such-flag");
  });

  test("the engine's command does not exist", async () => {
    const { reason } = await failureOf("nocommand", {
      engineCommand: ["vllm-that-is-not-there", "serve"],
    });
    expect(reason).toMatch(
      /^The engine of nocommand-(prefill|decode)-0-g1 cannot be started on 127[\d.]+: vllm-that-is-not-there: No such file or directory\. Check `engine\.command`/,
    );
  });

  test("no node has the GPUs", async () => {
    const { reason } = await failureOf("huge", {
      numGpus: 64,
      prefill: { replicas: 1, numGpus: 32 },
    });
    expect(reason).toMatch(
      /^No placement group for prefill-0 g1\. It needs 32 GPUs and 0 CPUs on one node, and no node has that many at all/,
    );
  });

  test("other jobs hold the GPUs", async () => {
    const holder = await rigSpec(rig, "holder", {
      prefill: { replicas: 1, numGpus: 8 },
      decode: { replicas: 1, numGpus: 6 },
    });
    await rig.client.start(holder);
    await untilPhase(rig.client, "holder", "READY");
    const { reason } = await failureOf("starved", {
      timeoutS: 4,
      prefill: { replicas: 1, numGpus: 4 },
    });
    expect(reason).toContain(
      "No placement group for prefill-0 g1 within the job's timeout of 4 s. It needs 4 GPUs and 0 CPUs on one node, which others hold at the moment",
    );
    await rig.client.stop("holder");
    await rig.client.result("holder");
  });

  test("a secret is missing on the worker", async () => {
    const { reason } = await failureOf("secret", {
      prefill: { replicas: 1, envs: { HF_TOKEN: "env:PDJOB_TEST_NOT_SET" } },
    });
    expect(reason).toBe(
      "envs.HF_TOKEN refers to env:PDJOB_TEST_NOT_SET, which is not set in the worker's environment. Set it there and restart the worker.",
    );
  });

  test("the proxy's command does not exist", async () => {
    const { reason } = await failureOf("noproxy", {
      scheduler: { port: 27_991, membership: "restart", command: ["no-such-proxy"] },
    });
    expect(reason).toMatch(
      /^The proxy cannot be started on the head node 127[\d.]+: no-such-proxy: No such file or directory\. Check `scheduler\.command`/,
    );
  });

  test("the proxy's process ends at once", async () => {
    const command = ["python3", "-c", "raise SystemExit('proxy: bad --prefiller-hosts')"];
    const { reason } = await failureOf("badproxy", {
      scheduler: { port: 27_992, membership: "restart", command },
    });
    expect(reason).toBe(
      "The proxy exited with code 1. Its last lines:\nproxy: bad --prefiller-hosts",
    );
  });

  test.each([{ membership: "builtin" }, { membership: "none", command: ["any-proxy"] }] as const)(
    "the proxy's port is taken, before anything is reserved: $membership",
    async (proxy) => {
      const server = createServer().listen(27_993, "0.0.0.0");
      const scheduler = { port: 27_993, ...proxy };
      const { reason } = await failureOf("port", { scheduler }, ["port 127.0.0.1:27993"]);
      server.close();
      expect(reason).toMatch(
        /^The proxy cannot be started on the head node 127[\d.]+: port 27993 cannot be taken \(Address already in use\)\. Free it, or choose another `scheduler\.port`\.$/,
      );
      const { events } = await rig.client.status("port");
      expect(events.filter(({ text }) => text.startsWith("reservePlacementGroup"))).toEqual([]);
    },
  );
});

describe("a job that held every GPU leaves nothing, and the next start has them at once, after", () => {
  const whole = {
    prefill: { replicas: 2, numGpus: 4 },
    decode: { replicas: 2, numGpus: 4 },
  } as const;

  /** Starts it as far as `reached` says, ends it, and waits until nothing is left. */
  async function endedBy(
    end: (name: string) => Promise<unknown>,
    reached: (name: string) => Promise<unknown>,
    overrides: Parameters<typeof makeSpec>[0] = {},
  ): Promise<void> {
    const spec = await rigSpec(rig, "whole", { ...whole, ...overrides });
    await rig.client.start(spec);
    await reached("whole");
    const startedMs = Date.now();
    await end("whole");
    await eventually("nothing is left", async () => (await leftOf(rig, spec)).length === 0, 30_000);
    process.stdout.write(`released ${((Date.now() - startedMs) / 1_000).toFixed(1)} s later\n`);
    await rig.client.result("whole").catch(() => undefined); // Of some ends it tells the reason by failing.
  }

  const ready = (name: string) => untilPhase(rig.client, name, "READY");
  const booting = (name: string) =>
    eventually("its engines boot", async () => {
      const { replicas } = await rig.agent.call("list", { job: name });
      return replicas.filter(({ state }) => state === "starting").length === 4;
    });
  const envs = { PDJOB_SIM_BOOT_MS: "60000" };
  const slow = { prefill: { ...whole.prefill, envs }, decode: { ...whole.decode, envs } };

  const stop = (name: string) => rig.client.stop(name);
  const cancel = async (name: string) => {
    const { path } = await findTemporal();
    const words = ["--address", rig.stack.temporalAddress, "workflow", "cancel", "-w"];
    await execa(path, [...words, `pdjob-${name}`]);
  };

  test("stop", () => endedBy(stop, ready));
  test("a cancellation", () => endedBy(cancel, ready));
  test("stop while it boots", () => endedBy(stop, booting, slow));
  test("a cancellation while it boots", () => endedBy(cancel, booting, slow));
  test("a start that failed", () =>
    endedBy(
      () => Promise.resolve(),
      (name) => untilPhase(rig.client, name, "FAILED"),
      { decode: { ...whole.decode, envs: { PDJOB_SIM_BOOT_FAILURE: "out of memory" } } },
    ));
});
