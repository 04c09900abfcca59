import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { renderEngine } from "../../src/render/engine.ts";
import { makeSpec } from "../support/spec.ts";
import { askVllm, setUpReal } from "./real.ts";

const dir = mkdtempSync(join(tmpdir(), "pdjob-ranks-"));
const leader = {
  host: "10.0.0.1",
  ports: { http: 20_001, gang_master: 20_002, gang_rpc: 20_003, side_channel: 20_004 },
};
let model: string;
/** One run for all, since importing vLLM is most of it. */
let understood: Readonly<Record<keyof typeof gangs, Configurations>>;

beforeAll(async () => {
  model = await setUpReal(dir);
  understood = await understand();
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const gangs = {
  oneEngine: { tensor: 4, data: 1, nodes: 2 },
  wholeRanks: { tensor: 2, data: 4, nodes: 2 },
  spanningRanks: { tensor: 4, data: 2, nodes: 4 },
} as const satisfies Readonly<Record<string, Sizes>>;

type Configurations = readonly Readonly<Record<string, unknown>>[];

interface Sizes {
  readonly tensor: number;
  readonly data: number;
  readonly nodes: number;
}

/** The command line of each rank, without the program. */
function commandsOf({ tensor, data, nodes }: Sizes): readonly (readonly string[])[] {
  const spec = makeSpec({
    engineCommand: [],
    prefill: {
      model,
      params: {
        tensor_parallel_size: tensor,
        data_parallel_size: data,
        max_model_len: 512,
        dtype: "float32",
      },
    },
  });
  return Array.from(
    { length: nodes },
    (_, rank) =>
      renderEngine(spec, {
        replica: { role: "prefill", index: 0 },
        generation: 3,
        ...leader,
        kvIp: leader.host,
        gang: { rank, ranks: nodes, leader },
      }).argv,
  );
}

/** What vLLM makes of them. */
async function understand(): Promise<typeof understood> {
  const { oneEngine, wholeRanks, spanningRanks } = gangs;
  const commands = [oneEngine, wholeRanks, spanningRanks].flatMap(commandsOf);
  const answers: Configurations = await askVllm("ranks.py", commands);
  return {
    oneEngine: answers.slice(0, 2),
    wholeRanks: answers.slice(2, 4),
    spanningRanks: answers.slice(4),
  };
}

const always = {
  data_parallel_hybrid_lb: false,
  data_parallel_external_lb: false,
  distributed_executor_backend: "mp",
  engine_id: "demo-prefill-0-g3",
};
const spanning = { master_addr: "10.0.0.1", master_port: 20_002 };
const balanced = { data_parallel_master_ip: "10.0.0.1", data_parallel_rpc_port: 20_003 };

test("real vLLM takes the ranks of one engine on two nodes for just that", () => {
  expect(understood.oneEngine).toMatchObject(
    [0, 1].map((rank) => ({
      ...always,
      ...spanning,
      nnodes: 2,
      node_rank: rank,
      node_rank_within_dp: rank,
      local_world_size: 2,
    })),
  );
});

test("and data-parallel ranks on two nodes, two on each, balanced by the first", () => {
  expect(understood.wholeRanks).toMatchObject(
    [0, 1].map((rank) => ({
      ...always,
      ...balanced,
      nnodes: 1,
      data_parallel_size: 4,
      data_parallel_size_local: 2,
      data_parallel_rank: rank * 2,
      local_world_size: 2,
    })),
  );
});

test("and data-parallel ranks that span two nodes each", () => {
  expect(understood.spanningRanks).toMatchObject(
    [0, 1, 2, 3].map((rank) => ({
      ...always,
      ...spanning,
      ...balanced,
      nnodes: 4,
      node_rank: rank,
      nnodes_within_dp: 2,
      node_rank_within_dp: rank % 2,
      data_parallel_size_local: 1,
      data_parallel_rank: Math.floor(rank / 2),
      local_world_size: 2,
    })),
  );
});
