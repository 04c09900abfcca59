import { describe, expect, test } from "vitest";
import { connectorTable, nameIn } from "../../src/domain/connectors/table.ts";
import { isIn, parseVersion } from "../../src/domain/connectors/version.ts";
import { roles } from "../../src/domain/role.ts";
import type { Role } from "../../src/domain/role.ts";
import type { JobSpec, KvTransferConfig, RoleSpec } from "../../src/domain/spec.ts";
import { asksForProxyHost, enginePorts, renderEngine } from "../../src/render/engine.ts";
import { makeSpec } from "../support/spec.ts";

const sizes = { data_parallel_size: 2, tensor_parallel_size: 4, pipeline_parallel_size: 1 };
const kvRole = { prefill: "kv_producer", decode: "kv_consumer" } as const;

const specOf = (kv: KvTransferConfig, more: Partial<RoleSpec> = {}): JobSpec => {
  const role = (name: Role): Partial<RoleSpec> => ({
    params: sizes,
    kvTransfer: { ...kv, kv_role: kvRole[name] },
    ...more,
  });
  return makeSpec({ prefill: role("prefill"), decode: role("decode") });
};

/** Replica 0 of a role in its second generation, with ports counted from 21000 in the order in which they are asked for. */
function renderOf(spec: JobSpec, role: Role, text: string | undefined, generation = 2) {
  const version = text === undefined ? undefined : parseVersion(text);
  let next = 21_000;
  const ports = Object.fromEntries(
    enginePorts(spec, role, version).map(({ name, span }) => {
      next += 100;
      return [name, { first: next, span }] as const;
    }),
  );
  const { argv, env, files, emptied } = renderEngine(spec, {
    replica: { role, index: 0 },
    generation,
    host: "10.0.0.7",
    ports: Object.fromEntries(Object.entries(ports).map(([name, { first }]) => [name, first])),
    kvIp: "10.0.0.5",
    proxyHost: "10.0.0.9",
    ...(version ? { version } : {}),
  });
  return { ports, env, files, emptied, kv: argv[argv.indexOf("--kv-transfer-config") + 1] };
}

/** One line a fact, so that the snapshot reads as a table. */
function linesOf({ ports, env, files, kv }: ReturnType<typeof renderOf>): readonly string[] {
  return [
    ...Object.entries(ports)
      .filter(([name]) => name !== "http")
      .map(([name, { first, span }]) => `port ${name} ${first} × ${span}`),
    ...Object.entries(env).map(([name, value]) => `env ${name}=${value}`),
    `kv ${kv}`,
    ...files.flatMap(({ path, text }) => [
      `file ${path}`,
      ...text
        .trimEnd()
        .split("\n")
        .map((line) => `  ${line}`),
    ]),
  ];
}

/** The oldest release with a connector, and each release in which something about it changed. */
const edges = connectorTable.flatMap((connector) => {
  const changes = [
    connector.since ?? "0.10",
    connector.formerly?.until,
    ...connector.needs.flatMap(({ since, until }) => [since, until]),
  ].filter((one) => one !== undefined);
  const present = [...new Set(changes)].filter((text) => isIn(connector, parseVersion(text)));
  return present.flatMap((version) => roles.map((role) => [connector, version, role] as const));
});

describe("what a replica is given", () => {
  test.each(
    edges.map(
      ([connector, version, role]) =>
        [nameIn(connector, parseVersion(version)), version, role] as const,
    ),
  )("%s, vLLM %s, %s", async (name, version, role) => {
    const settings = { MOONCAKE_MASTER: "10.0.0.3:50051" };
    const spec = specOf({ kv_connector: name }, name.includes("Store") ? { envs: settings } : {});
    expect(linesOf(renderOf(spec, role, version)).join("\n")).toMatchSnapshot();
  });
});

describe("the sizes that ports are counted by", () => {
  const sideChannels = (more: Partial<RoleSpec>): number | undefined => {
    const { ports } = renderOf(specOf({ kv_connector: "NixlConnector" }, more), "decode", "0.32");
    return ports["side_channel"]?.span;
  };

  test.each([
    ["params", { params: sizes }, 8],
    ["params spelt with dashes", { params: { "tensor-parallel-size": 4 } }, 4],
    ["_extra_params", { params: {}, extraArgs: ["--tensor-parallel-size", "4", "-dp=2"] }, 8],
    ["both, of which the last on the command line wins", { extraArgs: ["-tp", "2"] }, 4],
    ["neither", { params: {} }, 1],
  ])("may stand in %s", (_, more, span) => {
    expect(sideChannels(more)).toBe(span);
  });
});

describe("what the user has set", () => {
  test("stays, key by key, and ports that nobody asks for any more are not taken", () => {
    const spec = specOf(
      {
        kv_connector: "MoRIIOConnector",
        kv_connector_extra_config: { handshake_port: 6301, proxy_ip: "proxy.example", mine: 1 },
      },
      { envs: { VLLM_HOST_IP: "192.168.0.1" } },
    );
    const { ports, env, kv } = renderOf(spec, "decode", undefined);
    expect(Object.keys(ports)).toEqual(["http", "notify"]);
    expect(env).toEqual({ VLLM_HOST_IP: "192.168.0.1" });
    expect(JSON.parse(kv ?? "")["kv_connector_extra_config"]).toEqual({
      host_ip: "10.0.0.7",
      http_port: "21100",
      handshake_port: 6301,
      notify_port: "21200",
      proxy_ip: "proxy.example",
      mine: 1,
    });
    expect(asksForProxyHost(spec, "decode", undefined)).toBe(false);
  });

  test("a file that the user names is not written over", () => {
    const own = { LMCACHE_CONFIG_FILE: "/etc/lmcache.yaml" };
    const { env, files } = renderOf(
      specOf({ kv_connector: "LMCacheConnectorV1" }, { envs: own }),
      "prefill",
      "0.32",
    );
    expect(files).toEqual([]);
    expect(env["LMCACHE_CONFIG_FILE"]).toBe("/etc/lmcache.yaml");
  });

  test("files of the user's are written with their placeholders filled, and take the place of ours of that name", () => {
    const files = {
      "lmcache.yaml": "host: {HOST}\nports: [{PORTS:mine:2}]\n",
      "b.json": '{"a":"{ROLE}"}',
    };
    const rendered = renderOf(
      specOf({ kv_connector: "LMCacheConnectorV1" }, { files }),
      "decode",
      "0.32",
    );
    expect(rendered.files).toEqual([
      {
        path: ".pdjob/files/demo-decode-0-g2/lmcache.yaml",
        text: "host: 10.0.0.7\nports: [21300,21301]\n",
      },
      { path: ".pdjob/files/demo-decode-0-g2/b.json", text: '{"a":"decode"}' },
    ]);
    expect(rendered.env["LMCACHE_CONFIG_FILE"]).toBe(
      "/tmp/pdjob-demo/.pdjob/files/demo-decode-0-g2/lmcache.yaml",
    );
  });

  test("settings of a rendered file are fit to stand in its quotes", () => {
    const envs = {
      MOONCAKE_MASTER: 'a"b\\c',
      MOONCAKE_METADATA_SERVER: "redis://:p$$w$&@h",
      MOONCAKE_PROTOCOL: "tcp",
    };
    const { files } = renderOf(
      specOf({ kv_connector: "MooncakeStoreConnector" }, { envs }),
      "decode",
      "0.32",
    );
    expect(JSON.parse(files[0]?.text ?? "")).toMatchObject({
      master_server_address: 'a"b\\c',
      metadata_server: "redis://:p$$w$&@h",
      protocol: "tcp",
      global_segment_size: "4GB",
    });
  });

  test("an engine_id stays, and NixlPushConnector gets one for prefill alone, above MultiConnector's children", () => {
    const idOf = (kv: KvTransferConfig, role: Role): unknown =>
      JSON.parse(renderOf(specOf(kv), role, "0.32").kv ?? "")["engine_id"];
    const push = { kv_connector: "NixlPushConnector", kv_role: "kv_both" };
    const multi = {
      kv_connector: "MultiConnector",
      kv_connector_extra_config: { connectors: [push] },
    };
    expect(idOf(push, "prefill")).toBe("demo-prefill-0-g2");
    expect(idOf(push, "decode")).toBeUndefined();
    expect(idOf({ ...push, engine_id: "p-{GENERATION}" }, "prefill")).toBe("p-2");
    expect(idOf(multi, "prefill")).toBe("demo-prefill-0-g2");
    expect(renderOf(specOf(multi), "prefill", "0.32").kv).toBe(
      '{"engine_id":"demo-prefill-0-g2","kv_connector":"MultiConnector","kv_connector_extra_config":{"connectors":[{"kv_connector":"NixlPushConnector","kv_role":"kv_both"}]},"kv_role":"kv_producer"}',
    );
  });
});

describe("MultiConnector", () => {
  const multi = (...children: readonly KvTransferConfig[]): KvTransferConfig => ({
    kv_connector: "MultiConnector",
    kv_connector_extra_config: { connectors: children },
  });

  test("needs what all of its connectors need, each in its own place", () => {
    const kv = multi(
      { kv_connector: "NixlConnector", kv_role: "kv_both" },
      { kv_connector: "SharedStorageConnector", kv_role: "kv_both" },
      { kv_connector: "Mine", kv_connector_module_path: "mine", kv_port: "{#PORT:mine}" },
    );
    const { ports, env, kv: text } = renderOf(specOf(kv), "decode", "0.32");
    expect(
      Object.fromEntries(Object.entries(ports).map(([name, { span }]) => [name, span])),
    ).toEqual({
      http: 1,
      side_channel: 8,
      mine: 1,
    });
    expect(Object.keys(env)).toEqual([
      "VLLM_NIXL_SIDE_CHANNEL_HOST",
      "VLLM_NIXL_SIDE_CHANNEL_PORT",
    ]);
    expect(JSON.parse(text ?? "")["kv_connector_extra_config"]["connectors"]).toEqual([
      { kv_connector: "NixlConnector", kv_role: "kv_both" },
      {
        kv_connector: "ExampleConnector",
        kv_role: "kv_both",
        kv_connector_extra_config: {
          shared_storage_path: expect.stringMatching(
            /^\/tmp\/pdjob-demo\/\.pdjob\/kv\/demo\/\w{16}$/,
          ),
        },
      },
      { kv_connector: "Mine", kv_connector_module_path: "mine", kv_port: 21_200 },
    ]);
  });

  test("makes LMCacheConnectorV1 a cache: its hand-over is configured only where it is the one that hands over", () => {
    const beside = multi({ kv_connector: "NixlConnector" }, { kv_connector: "LMCacheConnectorV1" });
    const alone = multi(
      { kv_connector: "OffloadingConnector" },
      { kv_connector: "LMCacheConnectorV1" },
    );
    expect(renderOf(specOf(beside), "decode", "0.32").files).toEqual([]);
    expect(renderOf(specOf(beside), "decode", "0.32").env["PYTHONHASHSEED"]).toBe("0");
    expect(renderOf(specOf(alone), "decode", "0.32").files).toHaveLength(1);
  });
});

describe("by version", () => {
  test.each([
    ["0.12", "SharedStorageConnector"],
    ["0.13", "ExampleConnector"],
    [undefined, "ExampleConnector"],
  ])("the engines of %s read %s, whichever name was written", (version, name) => {
    for (const written of ["SharedStorageConnector", "ExampleConnector"]) {
      const { kv } = renderOf(specOf({ kv_connector: written }), "prefill", version);
      expect(JSON.parse(kv ?? "")["kv_connector"]).toBe(name);
    }
  });

  test("keys that nothing reads any more are left out where the engine would refuse them", () => {
    const kv = {
      kv_connector: "NixlConnector",
      kv_ip: "{KV_IP}",
      kv_rank: 0,
      kv_port: 1,
      kv_load_failure_policy: "fail",
    };
    const keysIn = (version: string | undefined) =>
      Object.keys(JSON.parse(renderOf(specOf(kv), "prefill", version).kv ?? ""));
    const kept = ["kv_connector", "kv_port", "kv_load_failure_policy", "kv_role"];
    expect(keysIn("0.31")).toEqual(["kv_connector", "kv_ip", "kv_rank", ...kept.slice(1)]);
    expect(keysIn("0.32")).toEqual(kept);
    expect(keysIn(undefined)).toEqual(kept);
  });
});

describe("a store's folder", () => {
  const example = { kv_connector: "ExampleConnector" };

  test("is emptied by the first engine of a job, once", () => {
    const emptied = (role: Role, generation: number) =>
      renderOf(specOf(example), role, "0.32", generation).emptied;
    expect(emptied("prefill", 1)).toEqual([".pdjob/kv/demo"]);
    expect(emptied("prefill", 2)).toEqual([]);
    expect(emptied("decode", 1)).toEqual([]);
  });

  test("of the user's own is left alone", () => {
    const own = { ...example, kv_connector_extra_config: { shared_storage_path: "/mnt/kv" } };
    expect(renderOf(specOf(own), "prefill", "0.32", 1).emptied).toEqual([]);
  });
});

test("a connector that is not vLLM's own passes through as it is", () => {
  const kv = {
    kv_connector: "P2pNcclConnector",
    kv_connector_module_path: "my.connectors",
    kv_ip: "{KV_IP}",
    kv_connector_extra_config: { port: "{#PORT:kv:4}" },
  };
  const { kv: text, env, files } = renderOf(specOf(kv), "prefill", "0.32");
  expect(JSON.parse(text ?? "")).toEqual({
    ...kv,
    kv_ip: "10.0.0.5",
    kv_connector_extra_config: { port: 21_200 },
    kv_role: "kv_producer",
  });
  expect([env, files]).toEqual([{}, []]);
});
