import { execa } from "execa";
import type { ResultPromise } from "execa";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { request } from "undici";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/dev/ports.ts";
import { parseOptions } from "../../src/sim/options.ts";
import { expectedText } from "../../src/sim/text.ts";
import { eventually } from "../support/eventually.ts";
import { ownEnd } from "../support/own-end.ts";
import { isListening } from "../support/listening.ts";
import { pidOf, treeOf } from "../support/processes.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const running: ResultPromise[] = [];
beforeAll(async () => void (await execa(process.execPath, [`${root}scripts/build.mjs`])), 60_000);
afterEach(async () => {
  for (const rank of running.splice(0)) {
    kill(rank);
    await rank.catch(() => undefined);
  }
});

interface Ports {
  readonly http: number;
  readonly meeting: number;
}

const findPorts = async (): Promise<Ports> => {
  const http = await freePort(26_000 + Math.floor(Math.random() * 800));
  return { http, meeting: await freePort(http + 100) };
};

const nixl = (engineId: string): readonly string[] => {
  const config = { kv_connector: "NixlConnector", kv_role: "kv_producer", engine_id: engineId };
  return ["--kv-transfer-config", JSON.stringify(config)];
};

const words = (text: string): readonly string[] => text.split(" ").filter(Boolean);

/** `--nnodes` and its like, as one command of two on the same machine. */
const spanning = (rank: number, { http, meeting }: Ports): readonly string[] =>
  words(
    `${rank === 0 ? `--host 127.0.0.1 --port ${http}` : "--headless"} --nnodes 2 --node-rank ${rank} --master-addr 127.0.0.1 --master-port ${meeting} --tensor-parallel-size 12`,
  );

function start(flags: readonly string[], env: Record<string, string> = {}): ResultPromise {
  const argv = [`${root}bin/pdjob-sim-engine`, "serve", "sim/tiny", ...flags];
  const rank = execa(process.execPath, argv, {
    ...ownEnd,
    env: { PDJOB_SIM_BOOT_MS: "50", PDJOB_SIM_TOKEN_MS: "1", ...env },
    all: true,
  });
  running.push(rank);
  return rank;
}

/** With its engine core, which outlives its server as a real one does. */
function kill(rank: ResultPromise): void {
  for (const { pid } of treeOf(pidOf(rank))) process.kill(pid, "SIGKILL");
}

const health = async ({ http }: Ports): Promise<number> =>
  (await request(`http://127.0.0.1:${http}/health`)).statusCode;

const healthy = (ports: Ports): Promise<unknown> =>
  eventually("rank 0 is healthy", async () => (await health(ports)) === 200);

const complete = async ({ http }: Ports) =>
  (
    await request(`http://127.0.0.1:${http}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: "a b", max_tokens: 3 }),
    })
  ).body.json() as Promise<{ choices: readonly { text: string }[] }>;

const accepts = (port: number): Promise<boolean> => isListening(`127.0.0.1:${port}`);

test("rank 0 answers once every rank has come, whoever starts first, and serves alone", async () => {
  for (const order of [
    [1, 0],
    [0, 1],
  ]) {
    const ports = await findPorts();
    const [first = 0, second = 1] = order;
    void start(spanning(first, ports));
    await sleep(400);
    await expect(health(ports)).rejects.toThrow("ECONNREFUSED");
    void start(spanning(second, ports));
    await healthy(ports);
    expect((await complete(ports)).choices[0]?.text).toBe(expectedText("sim/tiny", "a b", 3));
  }
});

test("a follower has no port of its own, and SIGTERM ends it with 0", async () => {
  const ports = await findPorts();
  const follower = start([...spanning(1, ports), "--port", String(ports.http)]);
  let output = "";
  follower.all?.on("data", (text: Buffer) => void (output += text.toString()));
  await eventually("it says that it is headless", () => output.includes("rank 1, headless"));
  await sleep(200);
  expect(await accepts(ports.http)).toBe(false);
  follower.kill("SIGTERM");
  expect((await follower).exitCode).toBe(0);
});

describe("when a rank is gone,", () => {
  const gang = async (rankLoss?: string) => {
    const ports = await findPorts();
    const env: Record<string, string> =
      rankLoss === undefined ? {} : { PDJOB_SIM_RANK_LOSS: rankLoss };
    const [follower, first] = [1, 0].map((rank) => start(spanning(rank, ports), env));
    if (!follower || !first) throw new Error("two ranks were started");
    await healthy(ports);
    return { ports, follower, first };
  };
  const isThere = async (rank: ResultPromise): Promise<boolean> =>
    (await Promise.race([rank, sleep(500).then(() => "there")])) === "there";

  test("rank 0 says that it is healthy until a request fails of it, and then ends", async () => {
    const { ports, follower, first } = await gang();
    kill(follower);
    await follower;
    await sleep(100);
    expect(await health(ports)).toBe(200);
    expect(await complete(ports)).toMatchObject({ error: { code: 500 } });
    const { exitCode, all } = await first;
    // As after any death of its engine core.
    expect(exitCode).toBe(0);
    expect(all).toContain("Rank 1 does not answer any more.");
  });

  test("a follower stays, and SIGTERM ends it", async () => {
    const { follower, first } = await gang();
    kill(first);
    await first;
    expect(await isThere(follower)).toBe(true);
    follower.kill("SIGTERM");
    const { exitCode, all } = await follower;
    expect(exitCode).toBe(0);
    expect(all).toContain("Did the remote server shutdown or crash?");
  });

  test("or, when told so, rank 0 goes on saying that it is healthy and answers nobody", async () => {
    const { ports, follower, first } = await gang("hang");
    kill(follower);
    await follower;
    await sleep(100);
    const answer = complete(ports).catch(() => "cut off");
    expect(await Promise.race([answer, sleep(500).then(() => "nothing")])).toBe("nothing");
    expect([await health(ports), await isThere(first)]).toEqual([200, true]);
  });

  test("or, when told so, all end at once", async () => {
    for (const lost of ["follower", "first"] as const) {
      const ranks = await gang("exit");
      kill(ranks[lost]);
      const { all } = await ranks[lost === "first" ? "follower" : "first"];
      expect(all).toContain(lost === "first" ? "shutdown or crash?" : "Rank 1 died unexpectedly.");
    }
  });
});

test.each([
  ["another engine id", [...nixl("b")], "engine_id b instead of"],
  ["another size", ["--data-parallel-size", "2", ...nixl("a")], "DP2 on 2 nodes"],
])("a rank of %s is refused on both sides", async (_what, flags, message) => {
  const ports = await findPorts();
  const first = start([...spanning(0, ports), ...nixl("a")]);
  const other = start([...spanning(1, ports), ...flags], {
    VLLM_NIXL_SIDE_CHANNEL_PORT: String(await freePort(ports.http + 200)),
  });
  for (const { exitCode, all } of await Promise.all([first, other])) {
    expect(exitCode).toBe(1);
    expect(all).toContain(message);
  }
});

test("data-parallel ranks over two commands meet at the RPC port, each with its own side channels", async () => {
  const ports = await findPorts();
  const sides = [await freePort(ports.http + 300), await freePort(ports.http + 400)];
  const flags = (rank: number) => [
    ...words(
      `${rank === 0 ? `--host 127.0.0.1 --port ${ports.http}` : "--headless --data-parallel-start-rank 2"} --data-parallel-size 4 --data-parallel-size-local 2 --data-parallel-address 127.0.0.1 --data-parallel-rpc-port ${ports.meeting}`,
    ),
    ...nixl("a"),
  ];
  for (const rank of [0, 1])
    void start(flags(rank), {
      VLLM_NIXL_SIDE_CHANNEL_HOST: "127.0.0.1",
      VLLM_NIXL_SIDE_CHANNEL_PORT: String(sides[rank]),
    });
  await healthy(ports);
  const listening = sides.flatMap((side) => [0, 1, 2, 3].map((offset) => side + offset));
  expect(await Promise.all(listening.map(accepts))).toEqual(
    [true, true, false, false].concat([false, false, true, true]),
  );
});

describe("the command line is vLLM's:", () => {
  test.each([
    ["--nnodes 5 --node-rank 0", "`--nnodes 5` must evenly divide the total world size (12)."],
    ["--nnodes 2 --node-rank 2", "`--node-rank` must be between 0 and 1; got `--node-rank 2`."],
    ["--nnodes 2 --node-rank 1 --headless --api-server-count 2", "cannot be used with --headless"],
    ["--nnodes 2 --node-rank 1", "a node rank above 0 needs --headless"],
    ["--data-parallel-size 2 --data-parallel-size-local 3", "data_parallel_size_local (3) must be"],
    [
      "--data-parallel-size 2 --data-parallel-size-local 1 --data-parallel-start-rank 0",
      "must not use --headless in external or hybrid dp lb mode",
    ],
    ["--nnodes --node-rank 1", "argument --nnodes/-n: expected one argument"],
  ])("%s is refused", (flags, message) =>
    expect(() =>
      parseOptions(["serve", "m", "--tensor-parallel-size", "12", ...words(flags)]),
    ).toThrow(message),
  );

  test.each([
    ["", { headless: false, rank: 0, others: 0, cores: [0] }],
    ["--data-parallel-size 3", { rank: 0, others: 0, cores: [0, 1, 2] }],
    ["--nnodes 3 --node-rank 2 --headless", { headless: true, rank: 2, others: 2, cores: [] }],
    [
      "--nnodes 4 --node-rank 2 --headless --data-parallel-size 2 --data-parallel-size-local 1 --data-parallel-start-rank 1",
      { rank: 2, others: 3, cores: [1] },
    ],
    [
      "--headless --data-parallel-size 4 --data-parallel-size-local 2 --data-parallel-start-rank 2",
      { rank: 1, others: 1, cores: [2, 3] },
    ],
  ])("%s", (flags, gang) =>
    expect(
      parseOptions(["serve", "m", "--tensor-parallel-size", "12", ...words(flags)]).gang,
    ).toMatchObject(gang),
  );
});
