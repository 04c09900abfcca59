import { describe, expect, test } from "vitest";
import { enginePorts, renderEngine, unknownTarget } from "../../src/render/engine.ts";
import { makeSpec } from "../support/spec.ts";

describe("a rank's command", () => {
  const leader = {
    host: "10.0.0.1",
    ports: { http: 20_001, gang_master: 20_002, gang_rpc: 20_003, side_channel: 20_004 },
  };
  const rankOf = (spec: ReturnType<typeof makeSpec>, rank: number, ranks: number) =>
    renderEngine(spec, {
      replica: { role: "prefill", index: 0 },
      generation: 2,
      host: `10.0.0.${rank + 1}`,
      ports: rank === 0 ? leader.ports : { http: 21_001, side_channel: 21_004 },
      kvIp: "10.0.0.1",
      gang: { rank, ranks, leader },
    });
  /** The words between the model and the user's parameters. */
  const placed = (spec: ReturnType<typeof makeSpec>, rank: number, ranks: number): string => {
    const { argv } = rankOf(spec, rank, ranks);
    return argv.slice(3, argv.indexOf("--served-model-name")).join(" ");
  };
  const withDataParallel = (size: number) =>
    makeSpec({ prefill: { params: { served_model_name: "sim", data_parallel_size: size } } });

  test("spans nodes with the mp executor: rank 0 alone has HTTP, all meet at its port and bear one engine id", () => {
    const spec = makeSpec({
      prefill: { params: { served_model_name: "sim", tensor_parallel_size: 12 } },
    });
    expect([0, 1].map((rank) => rankOf(spec, rank, 2))).toMatchInlineSnapshot(`
      [
        {
          "argv": [
            "pdjob-sim-engine",
            "serve",
            "sim/tiny",
            "--host",
            "10.0.0.1",
            "--port",
            "20001",
            "--nnodes",
            "2",
            "--node-rank",
            "0",
            "--master-addr",
            "10.0.0.1",
            "--master-port",
            "20002",
            "--served-model-name",
            "sim",
            "--tensor-parallel-size",
            "12",
            "--kv-transfer-config",
            "{"kv_connector":"NixlConnector","kv_role":"kv_producer","engine_id":"demo-prefill-0-g2"}",
          ],
          "emptied": [],
          "env": {
            "VLLM_HOST_IP": "10.0.0.1",
            "VLLM_NIXL_SIDE_CHANNEL_HOST": "10.0.0.1",
            "VLLM_NIXL_SIDE_CHANNEL_PORT": "20004",
          },
          "files": [],
        },
        {
          "argv": [
            "pdjob-sim-engine",
            "serve",
            "sim/tiny",
            "--headless",
            "--nnodes",
            "2",
            "--node-rank",
            "1",
            "--master-addr",
            "10.0.0.1",
            "--master-port",
            "20002",
            "--served-model-name",
            "sim",
            "--tensor-parallel-size",
            "12",
            "--kv-transfer-config",
            "{"kv_connector":"NixlConnector","kv_role":"kv_producer","engine_id":"demo-prefill-0-g2"}",
          ],
          "emptied": [],
          "env": {
            "VLLM_HOST_IP": "10.0.0.2",
            "VLLM_NIXL_SIDE_CHANNEL_HOST": "10.0.0.2",
            "VLLM_NIXL_SIDE_CHANNEL_PORT": "21004",
          },
          "files": [],
        },
      ]
    `);
  });

  test.each([
    [
      4,
      2,
      [
        "--host 10.0.0.1 --port 20001 --data-parallel-size-local 2 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 20003",
        "--headless --data-parallel-size-local 2 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 20003 --data-parallel-start-rank 2",
      ],
    ],
    [
      3,
      3,
      [
        "--host 10.0.0.1 --port 20001 --data-parallel-size-local 1 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 20003",
        "--headless --data-parallel-size-local 1 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 20003 --data-parallel-start-rank 1",
        "--headless --data-parallel-size-local 1 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 20003 --data-parallel-start-rank 2",
      ],
    ],
    [
      2,
      4,
      [0, 1, 2, 3].map((rank) =>
        [
          rank === 0 ? "--host 10.0.0.1 --port 20001" : "--headless",
          `--nnodes 4 --node-rank ${rank} --master-addr 10.0.0.1 --master-port 20002`,
          "--data-parallel-size-local 1 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 20003",
          rank === 0 ? "" : `--data-parallel-start-rank ${rank < 2 ? 0 : 1}`,
        ]
          .join(" ")
          .trim(),
      ),
    ],
  ])("spreads data_parallel_size %i over %i nodes", (size, ranks, expected) => {
    const spec = withDataParallel(size);
    expect(expected.map((_, rank) => placed(spec, rank, ranks))).toEqual(expected);
    for (const rank of expected.keys())
      expect(rankOf(spec, rank, ranks).argv.join(" ")).toContain(`--data-parallel-size ${size} `);
  });

  test("on one node has its data_parallel_size and nothing else", () => {
    const { argv } = renderEngine(
      withDataParallel(4),
      unknownTarget(makeSpec(), { role: "prefill", index: 0 }),
    );
    expect(argv.filter((word) => word.startsWith("--data-parallel"))).toEqual([
      "--data-parallel-size",
    ]);
  });

  test("leaves the user's engine id, address and number of API servers as far as vLLM lets it", () => {
    const spec = makeSpec({
      prefill: {
        envs: { VLLM_HOST_IP: "192.168.0.9" },
        extraArgs: ["--api-server-count=4"],
        kvTransfer: { kv_connector: "NixlConnector", engine_id: "{ROLE}-{INDEX}-{GENERATION}" },
      },
    });
    const ranks = [0, 1].map((rank) => rankOf(spec, rank, 2));
    expect(ranks.map(({ env }) => env["VLLM_HOST_IP"])).toEqual(["192.168.0.9", "192.168.0.9"]);
    expect(ranks.map(({ argv }) => argv.join(" ").includes('"engine_id":"prefill-0-2"'))).toEqual([
      true,
      true,
    ]);
    expect(ranks.map(({ argv }) => argv.slice(-3))).toEqual([
      expect.arrayContaining(["--api-server-count=4"]),
      ["--api-server-count=4", "--api-server-count", "0"],
    ]);
  });

  test("reserves the meeting ports with rank 0 only", () => {
    const spec = withDataParallel(2);
    const names = (rank: number, ranks: number) =>
      enginePorts(spec, "prefill", undefined, { rank, ranks }).map(({ name }) => name);
    expect(names(0, 4)).toEqual(["http", "side_channel", "gang_master", "gang_rpc"]);
    expect(names(0, 2)).toEqual(["http", "side_channel", "gang_rpc"]);
    expect(names(1, 4)).toEqual(["http", "side_channel"]);
    expect(enginePorts(makeSpec(), "prefill", undefined, { rank: 0, ranks: 2 }).at(-1)?.name).toBe(
      "gang_master",
    );
  });

  test("looks for Mooncake's bootstrap server at rank 0", () => {
    const kvTransfer = { kv_connector: "MooncakeConnector", kv_role: "kv_producer" };
    const spec = makeSpec({ prefill: { kvTransfer } });
    const ranks = [0, 1].map((rank) =>
      renderEngine(
        spec,
        unknownTarget(spec, { role: "prefill", index: 0 }, { gang: { rank, ranks: 2 } }),
      ),
    );
    expect(ranks.map(({ env }) => env["VLLM_MOONCAKE_BOOTSTRAP_PORT"])).toEqual([
      "<prefill-0.bootstrap>",
      "<prefill-0.bootstrap>",
    ]);
    expect(ranks.map(({ env }) => env["VLLM_HOST_IP"])).toEqual([
      "<prefill-0.host>",
      "<prefill-0-r1.host>",
    ]);
  });
});
