import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Member } from "../../src/domain/observed.ts";
import type { ParamValue } from "../../src/domain/spec.ts";
import { enginePorts, renderEngine, unknownTarget } from "../../src/render/engine.ts";
import type { EngineTarget } from "../../src/render/engine.ts";
import { renderProxy } from "../../src/render/proxy.ts";
import { makeSpec } from "../support/spec.ts";

const target: EngineTarget = {
  replica: { role: "prefill", index: 1 } as const,
  generation: 3,
  host: "10.0.0.7",
  ports: { http: 20_100, side_channel: 20_200 },
  kvIp: "10.0.0.5",
  proxyHost: "10.0.0.9",
};

const members: readonly Member[] = [
  ...Array.from({ length: 12 }, (_, index) => ({
    name: `demo-prefill-${index}-g1`,
    role: "prefill" as const,
    url: `http://10.0.0.${index + 1}:2000${index}`,
  })),
  { name: "demo-decode-0-g1", role: "decode", url: "http://[fd00::7]:30000" },
];

describe("an engine's command", () => {
  test("is the seed's: model, address, params in order, KV config, extra arguments", () => {
    const spec = makeSpec({
      engineCommand: ["vllm", "serve"],
      prefill: {
        params: {
          served_model_name: "my model",
          tensor_parallel_size: 8,
          enforce_eager: true,
          "async-scheduling": false,
          disable_log_stats: false,
          revision: null,
        },
        extraArgs: ["--trust-remote-code", "--seed", "{INDEX}"],
      },
    });
    expect(renderEngine(spec, target)).toMatchInlineSnapshot(`
      {
        "argv": [
          "vllm",
          "serve",
          "sim/tiny",
          "--host",
          "10.0.0.7",
          "--port",
          "20100",
          "--served-model-name",
          "my model",
          "--tensor-parallel-size",
          "8",
          "--enforce-eager",
          "--no-async-scheduling",
          "--kv-transfer-config",
          "{"kv_connector":"NixlConnector","kv_role":"kv_producer"}",
          "--trust-remote-code",
          "--seed",
          "1",
        ],
        "emptied": [],
        "env": {
          "VLLM_NIXL_SIDE_CHANNEL_HOST": "10.0.0.7",
          "VLLM_NIXL_SIDE_CHANNEL_PORT": "20200",
        },
        "files": [],
      }
    `);
  });

  test.each<[string, ParamValue, readonly string[]]>([
    ["lists repeat values", ["a", 1, { b: 2 }], ["--x-y", "a", "1", '{"b":2}']],
    ["mappings are one JSON", { a: { b: [1, "é"] } }, ["--x-y", '{"a":{"b":[1,"é"]}}']],
    ["quotes and spaces stay one word", `it's "a" $HOME`, ["--x-y", `it's "a" $HOME`]],
    ["negative numbers stay as they are", -1, ["--x-y", "-1"]],
    [
      "placeholders are filled in nested values",
      { at: ["{HOST}:{PORT}"] },
      ["--x-y", '{"at":["10.0.0.7:20100"]}'],
    ],
    ["JSON braces are no placeholders", '{"port":1,"HOST":2}', ["--x-y", '{"port":1,"HOST":2}']],
    [
      "a template of somebody else is left alone",
      "{{PORT}} {{PORT:x}}",
      ["--x-y", "{{PORT}} {{PORT:x}}"],
    ],
  ])("%s", (_name, value, words) => {
    const { argv } = renderEngine(makeSpec({ prefill: { params: { x_y: value } } }), target);
    expect(argv.slice(7, 7 + words.length)).toEqual(words);
  });

  test("fills every placeholder, in env and KV config too", () => {
    const spec = makeSpec({
      prefill: {
        envs: {
          A: "{HOST} {PORT} {KV_IP} {NODE_NAME} {ROLE} {INDEX} {GENERATION} {WORK_DIR} {PORT:side_channel}",
          B: "{JOB} {FILES} {PROXY_HOST} {#INDEX} {PORTS:side_channel:3}",
        },
        kvTransfer: {
          kv_connector: "NixlConnector",
          kv_ip: "{KV_IP}",
          kv_connector_extra_config: {
            port: "{PORT:side_channel:2}",
            number: ["{#PORT:side_channel:2}"],
          },
        },
      },
    });
    const { argv, env } = renderEngine(spec, { ...target, version: [0, 31] });
    expect(env["A"]).toBe(
      "10.0.0.7 20100 10.0.0.5 demo-prefill-1-g3 prefill 1 3 /tmp/pdjob-demo 20200",
    );
    expect(env["B"]).toBe(
      "demo /tmp/pdjob-demo/.pdjob/files/demo-prefill-1-g3 10.0.0.9 1 20200,20201,20202",
    );
    expect(argv.at(-1)).toBe(
      '{"kv_connector":"NixlConnector","kv_ip":"10.0.0.5","kv_connector_extra_config":{"port":"20200","number":[20200]}}',
    );
  });

  test("reserves a side channel for every data-parallel and tensor-parallel rank, also below MultiConnector", () => {
    const kvTransfer = {
      kv_connector: "MultiConnector",
      kv_connector_extra_config: { connectors: [{ kv_connector: "NixlConnector" }] },
    };
    const spec = makeSpec({
      decode: { kvTransfer, params: { data_parallel_size: 4, tensor_parallel_size: 2 } },
    });
    expect(enginePorts(spec, "decode", undefined)).toEqual([
      { name: "http", span: 1 },
      { name: "side_channel", span: 8 },
    ]);
  });

  test("leaves the side channel's port alone when the user set it, and takes none", () => {
    const spec = makeSpec({ prefill: { envs: { VLLM_NIXL_SIDE_CHANNEL_PORT: "5600" } } });
    expect(enginePorts(spec, "prefill", undefined)).toEqual([{ name: "http", span: 1 }]);
    expect(renderEngine(spec, target).env).toEqual({
      VLLM_NIXL_SIDE_CHANNEL_HOST: "10.0.0.7",
      VLLM_NIXL_SIDE_CHANNEL_PORT: "5600",
    });
  });

  test("with unknown addresses is the real command once the addresses are put in", () => {
    const spec = makeSpec();
    const real = renderEngine(spec, target);
    const unknown = renderEngine(spec, unknownTarget(spec, target.replica, { generation: 3 }));
    const known = (text: string): string =>
      text
        .replaceAll("<prefill-1.host>", "10.0.0.7")
        .replaceAll("<prefill-1.port>", "20100")
        .replaceAll("<prefill-1.side_channel>", "20200");
    expect(unknown.argv.map(known)).toEqual(real.argv);
    expect(Object.values(unknown.env).map(known)).toEqual(Object.values(real.env));
  });

  test("never loses or splits a word, whatever a parameter holds", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        fc.pre(!/\{[A-Z_:a-z0-9-]+\}/.test(value));
        const { argv } = renderEngine(makeSpec({ prefill: { params: { x: value } } }), target);
        expect(argv[8]).toBe(value);
      }),
    );
  });
});

describe("a proxy's command", () => {
  const external = (...command: string[]) =>
    makeSpec({ scheduler: { port: 8021, membership: "restart", command } });

  test("fills hosts, ports and URLs, and _1 never eats _10", () => {
    const spec = external(
      "p",
      "--port",
      "{PORT}",
      "$PREFILL_URL_1,$PREFILL_URL_10",
      "${PREFILL_HOST_11}x",
      "--d=$DECODE_HOST_1:$DECODE_PORT_1",
    );
    expect(renderProxy(spec, members).argv).toEqual([
      "p",
      "--port",
      "8021",
      "http://10.0.0.1:20000,http://10.0.0.10:20009",
      "10.0.0.11x",
      "--d=fd00::7:30000",
    ]);
  });

  test("leaves a shell's ${PORT} to the shell", () => {
    const spec = external("sh", "-c", "PORT={PORT}; exec p --port ${PORT}");
    expect(renderProxy(spec, members).argv[2]).toBe("PORT=8021; exec p --port ${PORT}");
  });

  test("expands lists to words of their own, or joins them inside a word", () => {
    const few = [members[0], members[1], members[12]].filter((member) => member !== undefined);
    expect(
      renderProxy(
        external("p", "$PREFILL_HOSTS", "--n=${PREFILL_COUNT}", "--u=$PREFILL_PORTS"),
        few,
      ).argv,
    ).toEqual(["p", "10.0.0.1", "10.0.0.2", "--n=2", "--u=20000,20001"]);
  });

  test("repeats a word that names each replica, for flags that take one value", () => {
    const few = [members[0], members[1], members[12]].filter((member) => member !== undefined);
    const words = [
      "p",
      "--prefill=$PREFILL_URL",
      "-d${DECODE_HOST}:${DECODE_PORT}/x",
      "$PREFILL_PORT",
    ];
    expect(renderProxy(external(...words), few).argv).toEqual([
      "p",
      "--prefill=http://10.0.0.1:20000",
      "--prefill=http://10.0.0.2:20001",
      "-dfd00::7:30000/x",
      "20000",
      "20001",
    ]);
    expect(() => renderProxy(external("p", "$PREFILL_URL=$DECODE_URL"), few)).toThrow(
      "scheduler.command names each replica of both roles in $PREFILL_URL=$DECODE_URL.",
    );
  });

  test("names the engines' other ports, dashes or not", () => {
    const prefill = members.slice(0, 2).map((member, at) => ({
      ...member,
      ports: { bootstrap: 21_000 + at, "side-channel": 22_000 + at },
    }));
    const command = ["p", "$PREFILL_BOOTSTRAP_PORT_2", "$PREFILL_SIDE_CHANNEL_PORTS"];
    expect(renderProxy(external(...command), prefill).argv).toEqual([
      "p",
      "21001",
      "22000",
      "22001",
    ]);
    expect(() => renderProxy(external("p", "$PREFILL_NOTIFY_PORT_1"), prefill)).toThrow(
      "scheduler.command names $PREFILL_NOTIFY_PORT_1, but prefill engines have no port notify; they have bootstrap, side-channel.",
    );
  });

  test("refuses an index that no replica has", () => {
    expect(() => renderProxy(external("p", "$DECODE_URL_2"), members)).toThrow(
      "scheduler.command names $DECODE_URL_2, but there are 1 decode replicas to name.",
    );
  });

  test("tells the built-in one when KV goes through a store, and only then", () => {
    const wordsOf = (name: string, ...children: string[]): readonly string[] => {
      const connectors = children.map((child) => ({ kv_connector: child }));
      const extra = { kv_connector_extra_config: { connectors } };
      const kvTransfer = { kv_connector: name, ...(children.length > 0 ? extra : {}) };
      return renderProxy(makeSpec({ prefill: { kvTransfer } }), members).argv.slice(8);
    };
    expect(wordsOf("ExampleConnector")).toEqual(["--hand-over", "store"]);
    expect(wordsOf("SharedStorageConnector")).toEqual(["--hand-over", "store"]);
    expect(wordsOf("MultiConnector", "OffloadingConnector", "MooncakeStoreConnector")).toEqual([
      "--hand-over",
      "store",
    ]);
    expect(wordsOf("MultiConnector", "ExampleConnector", "NixlConnector")).toEqual([]);
    expect(wordsOf("NixlPullConnector")).toEqual([]);
    expect(wordsOf("MyConnector")).toEqual([]);
  });

  test("is the built-in one when none is given", () => {
    expect(renderProxy(makeSpec(), members)).toMatchObject({
      builtin: true,
      argv: [
        "node",
        ".pdjob/pdjob-proxy.mjs",
        "--port",
        "8021",
        "--job",
        "demo",
        "--drain-timeout",
        "5",
      ],
    });
  });
});
