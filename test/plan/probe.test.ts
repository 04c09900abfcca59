import { describe, expect, test } from "vitest";
import type { Action } from "../../src/domain/action.ts";
import type { ErrorCode } from "../../src/domain/errors.ts";
import {
  judgeVersion,
  probesOf,
  readVersion,
  sideChannelProblems,
  versionVerdict,
} from "../../src/plan/probe.ts";
import { rememberFailure } from "../../src/workflows/remember-failure.ts";
import { fakeCluster } from "../support/cluster.ts";
import { makeSpec } from "../support/spec.ts";

const kindsOf = (actions: readonly Action[]): readonly string[] => actions.map(({ kind }) => kind);

describe("the engines' version is asked for", () => {
  test("before anything is reserved, and nothing happens meanwhile", () => {
    const cluster = fakeCluster(makeSpec());
    const first = cluster.turn();
    expect(first.actions).toEqual([
      {
        kind: "probeEngine",
        isProxyNew: true,
        reason: "what is rendered depends on the version of pdjob-sim-engine",
      },
    ]);
    cluster.state.inFlight = [{ key: "probeEngine engine", kind: "probeEngine", target: "engine" }];
    expect(cluster.turn().actions).toEqual([]);
  });

  test("once: it goes into every start, and what the user says only where nobody could tell", () => {
    const versions = (
      told: string | undefined,
      declared: string | undefined,
    ): readonly unknown[] => {
      const cluster = fakeCluster(
        makeSpec(declared === undefined ? {} : { engineVersion: declared }),
      );
      const starts: unknown[] = [];
      const { run } = cluster;
      for (let turn = 0; turn < 12; turn++) {
        for (const action of cluster.turn().actions) {
          if (action.kind === "startPrefill" || action.kind === "startDecode")
            starts.push(action.engineVersion);
          run(action);
          if (action.kind === "probeEngine") {
            const engine = told === undefined ? { notes: [] } : { version: told, notes: [] };
            cluster.state.memory = { ...cluster.state.memory, engine };
          }
        }
      }
      expect(cluster.state.log.filter((key) => key.startsWith("probe"))).toHaveLength(1);
      return starts;
    };
    expect(versions("0.32.0", undefined)).toEqual(Array(4).fill("0.32.0"));
    expect(versions("0.32.0", "0.20")).toEqual(Array(4).fill("0.32.0"));
    expect(versions(undefined, "0.20")).toEqual(Array(4).fill("0.20"));
    expect(versions(undefined, undefined)).toEqual(Array(4).fill(undefined));
  });

  test("not of a job that has begun without it", () => {
    const cluster = fakeCluster(makeSpec());
    cluster.settle();
    const { engine: _, ...memory } = cluster.state.memory;
    cluster.state.memory = memory;
    cluster.setState("demo-decode-0-g1", "exited");
    cluster.state.log = [];
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.log.filter((key) => key.startsWith("probe"))).toEqual([]);
  });

  const failWith = (code: ErrorCode) => {
    const cluster = fakeCluster(makeSpec());
    const [probe] = cluster.turn().actions;
    if (!probe) throw new Error("nothing to do");
    const failure = { code, message: "P2pNcclConnector is not in vLLM 0.32" };
    cluster.state.memory = rememberFailure(cluster.state.memory, probe, failure, 0);
    return { cluster, failure };
  };

  test("and when it cannot run the job, the job fails with nothing reserved", () => {
    const { cluster, failure } = failWith("SpecInvalid");
    expect(cluster.turn()).toMatchObject({ actions: [], failure });
    expect(cluster.state.memory.generations).toEqual({});
  });

  test("and when the cluster could not be asked, it is asked again and the failure forgotten", () => {
    const { cluster } = failWith("RayUnreachable");
    expect(kindsOf(cluster.turn().actions)).toEqual(["probeEngine"]);
    expect(cluster.settle().view.phase).toBe("READY");
    expect(cluster.state.memory.failures).toEqual({});
  });
});

const node = (ip: string, gpus: number, alive = true) => ({
  ip,
  alive,
  total: { GPU: gpus, CPU: 4 },
  available: { GPU: 0, CPU: 0 },
});

describe("what is asked", () => {
  const nodes = [node("head", 0), node("a", 8), node("b", 8, false), node("c", 2)];
  const asked = (overrides: Parameters<typeof makeSpec>[0]) =>
    probesOf(makeSpec(overrides), nodes).map(({ node: { ip }, argv, env }) => [
      ip,
      argv.join(" "),
      env,
    ]);

  test("each node that could hold a replica, in the engines' environment, without what is not known yet", () => {
    const envs = { A: "1", TOKEN: "env:TOKEN", PORT: "{PORT:x}", N: "{#INDEX}" };
    const engineCommand = ["nice", "vllm", "serve"];
    const overrides = { engineCommand, prefill: { envs }, decode: { envs, numGpus: 8 } };
    expect(asked(overrides)).toEqual([
      ["a", "nice vllm --version", { A: "1", TOKEN: "env:TOKEN" }],
      ["c", "nice vllm --version", { A: "1", TOKEN: "env:TOKEN" }],
    ]);
  });

  test("each role when their environments differ", () => {
    expect(
      asked({ prefill: { envs: { PATH: "/a" } }, decode: { envs: { PATH: "/b" }, numGpus: 8 } }),
    ).toEqual([
      ["a", "pdjob-sim-engine --version", { PATH: "/a" }],
      ["c", "pdjob-sim-engine --version", { PATH: "/a" }],
      ["a", "pdjob-sim-engine --version", { PATH: "/b" }],
    ]);
  });

  test("each node that could hold a part of a replica that spans nodes", () => {
    const two = [node("a", 8), node("b", 8), node("c", 2)];
    expect(
      probesOf(makeSpec({ prefill: { numGpus: 12 }, decode: { numGpus: 12 } }), two),
    ).toMatchObject([{ node: { ip: "a" } }, { node: { ip: "b" } }]);
  });

  test("no more than eight nodes", () => {
    const many = Array.from({ length: 40 }, (_, at) => node(`n${at}`, 8));
    expect(probesOf(makeSpec(), many)).toHaveLength(8);
    const spec = makeSpec({ prefill: { envs: { A: "1" } } });
    expect(probesOf(spec, many)).toHaveLength(8);
  });

  test.each([[["bash", "run.sh"]], [["vllm", "serve", "--uvloop"]], [["serve"]]])(
    "nothing of %j, which might begin to serve",
    (engineCommand) => expect(asked({ engineCommand })).toEqual([]),
  );
});

const told = (output: string, code: number | null = 0, nodeIp = "10.0.0.1") => ({
  nodeIp,
  code,
  output,
});

test.each([
  ["0.32.0\n", 0, "0.32.0"],
  ["Triton is installed, but 3.5.0 is old.\nWARNING 0.1 x\n0.32.0+cpu\n", 0, "0.32.0+cpu"],
  ["vllm 0.11.0", 0, "0.11.0"],
  ["0.32.0\nbye\n", 0, "0.32.0"],
  ["0.32.0\n", 1, undefined],
  ["vllm: error: unrecognized arguments: --version\n", 0, undefined],
  ["", 0, undefined],
])("of %j with exit code %d the version is %s", (output, code, version) =>
  expect(readVersion(told(output, code))).toBe(version),
);

describe("the version that counts", () => {
  test.each<[string, Parameters<typeof judgeVersion>[1], string | undefined, readonly string[]]>([
    ["the one that all tell", [told("0.32.0"), told("0.32.0", 0, "b")], "0.32.0", []],
    [
      "the oldest, with a note",
      [told("0.32.0"), told("0.9.2", 0, "b")],
      "0.9.2",
      [
        "The nodes have different versions of vLLM (b: 0.9.2, 10.0.0.1: 0.32.0): prefill and decode of different versions refuse each other's KV. Install the same on all.",
      ],
    ],
    ["that of those that can tell", [told("", 1), told("0.32.0", 0, "b")], "0.32.0", []],
    [
      "unknown, with the reason",
      [{ ...told("", null), error: "No such file or directory" }],
      undefined,
      [
        "The engine's version could not be read (10.0.0.1: No such file or directory): vLLM 0.32 is assumed; give engine.version if it is another.",
      ],
    ],
    [
      "unknown when the command fails",
      [told("Traceback", 1)],
      undefined,
      [
        "The engine's version could not be read (10.0.0.1: exit code 1): vLLM 0.32 is assumed; give engine.version if it is another.",
      ],
    ],
    [
      "unknown when there is nobody to ask",
      [],
      undefined,
      [
        "The engine's version could not be read (no node that could hold a replica is there): vLLM 0.32 is assumed; give engine.version if it is another.",
      ],
    ],
  ])("is %s", (_, readings, version, notes) =>
    expect(judgeVersion(makeSpec(), readings)).toEqual({
      ...(version === undefined ? {} : { version }),
      notes,
    }),
  );

  test("is assumed for a command that is not asked, and the user can say it", () => {
    const engineCommand = ["bash", "run.sh"];
    expect(judgeVersion(makeSpec({ engineCommand }), []).notes).toEqual([
      "The engine's command (bash run.sh) is not asked for its version, since it does not end in serve: vLLM 0.32 is assumed; give engine.version if it is another.",
    ]);
    expect(judgeVersion(makeSpec({ engineCommand, engineVersion: "0.20" }), [])).toEqual({
      notes: [],
    });
  });

  test.each([
    ["0.32", []],
    ["0.32.0", []],
    ["0.23", ["engine.version says 0.23, but the engines are vLLM 0.32.0+cpu, which counts."]],
  ])("is the engines' own, whatever engine.version says (%s)", (engineVersion, notes) =>
    expect(judgeVersion(makeSpec({ engineVersion }), [told("0.32.0+cpu")])).toEqual({
      version: "0.32.0+cpu",
      notes,
    }),
  );
});

describe("a version's verdict on a job", () => {
  const spec = (kv_connector: string, more: Parameters<typeof makeSpec>[0] = {}) => {
    const role = { kvTransfer: { kv_connector, kv_role: "kv_both" } };
    return makeSpec({ prefill: role, decode: role, ...more });
  };
  const external = { scheduler: { port: 1, membership: "restart", command: ["p"] } } as const;
  const at = (role: string) => `${role}.params.kv_transfer_config.kv_connector`;

  test("is nothing for a connector that it has", () => {
    expect(versionVerdict(spec("NixlConnector"), "0.32.0")).toEqual({ errors: [], warnings: [] });
  });

  test("is an error for one that is gone, with what to use", () => {
    const gone =
      "P2pNcclConnector is not in vLLM 0.24.0: 0.24 removed it. Use NixlConnector, or engines older than vLLM 0.24.";
    expect(versionVerdict(spec("P2pNcclConnector", external), "0.24.0")).toEqual({
      errors: [`${at("prefill")}: ${gone}`, `${at("decode")}: ${gone}`],
      warnings: [],
    });
    expect(versionVerdict(spec("P2pNcclConnector", external), "0.23.1").errors).toEqual([]);
  });

  test("says what was assumed when nobody could tell", () => {
    const { errors } = versionVerdict(spec("P2pNcclConnector", external), undefined);
    expect(errors.at(-1)).toBe(
      "(vLLM 0.32 is assumed: give engine.version if the engines have another.)",
    );
    const declared = { ...external, engineVersion: "0.23" };
    expect(versionVerdict(spec("P2pNcclConnector", declared), undefined).errors).toEqual([]);
  });

  test("is a warning for one that is called otherwise", () => {
    expect(versionVerdict(spec("SharedStorageConnector"), "0.32.0")).toEqual({
      errors: [],
      warnings: ["prefill", "decode"].map(
        (role) =>
          `${at(role)}: SharedStorageConnector is called ExampleConnector in vLLM 0.32.0: engines get the name that they know.`,
      ),
    });
  });

  test("is an error when the built-in proxy cannot serve it in that version", () => {
    expect(versionVerdict(spec("MooncakeConnector"), "0.15.1").errors).toEqual([]);
    expect(versionVerdict(spec("MooncakeConnector"), "0.16.0").errors).toEqual([
      "scheduler.command is missing: MooncakeConnector wants both engines asked at once, with ids that the proxy makes up, which the built-in proxy does not do. Give the command of a proxy that does (mooncake_connector_proxy.py, or vllm-router --kv-connector mooncake), or use NixlConnector.",
    ]);
    expect(versionVerdict(spec("MooncakeConnector", external), "0.16.0").errors).toEqual([]);
  });

  test("is an error for roles that do not fit each other in that version", () => {
    const sizes = (size: number) => ({ params: { tensor_parallel_size: size }, numGpus: size });
    const kvTransfer = { kv_connector: "MooncakeConnector", kv_role: "kv_both" };
    const uneven = makeSpec({
      ...external,
      prefill: { kvTransfer, ...sizes(1) },
      decode: { kvTransfer, ...sizes(2) },
    });
    expect(versionVerdict(uneven, "0.16.0").errors).toEqual([]);
    expect(versionVerdict(uneven, "0.15.1").errors).toEqual([
      "decode.params.tensor_parallel_size: is 2, but prefill has 1: MooncakeConnector needs the same in both roles.",
    ]);
  });
});

describe("a side channel on localhost", () => {
  const envs = { VLLM_NIXL_SIDE_CHANNEL_HOST: "localhost" };
  const problems = (...nodes: readonly ReturnType<typeof node>[]) =>
    sideChannelProblems(makeSpec({ prefill: { envs } }), nodes);

  test("is an error where more than one node could hold a replica", () => {
    expect(problems(node("10.0.0.1", 8), node("10.0.0.2", 8))).toEqual([
      "prefill.envs.VLLM_NIXL_SIDE_CHANNEL_HOST: is localhost, and 2 nodes could hold a replica: on another node decode finds nobody there. Leave it out, and each replica gets its own node's address.",
    ]);
  });

  test("is none on one node, beside a head without GPUs, or where all nodes are this machine", () => {
    expect(problems(node("10.0.0.1", 8))).toEqual([]);
    expect(problems(node("10.0.0.1", 8), node("10.0.0.2", 0))).toEqual([]);
    expect(problems(node("10.0.0.1", 8), node("10.0.0.2", 8, false))).toEqual([]);
    expect(problems(node("127.0.0.2", 8), node("127.0.0.3", 8))).toEqual([]);
  });
});
