import { describe, expect, test } from "vitest";
import type { JobSpec } from "../../src/domain/spec.ts";
import { formatIssue, parseConfig } from "../../src/config/parse.ts";
import { job } from "./job.ts";

const specOf = (text: string, file = "job.yaml", name?: string): JobSpec => {
  const parsed = parseConfig(text, { file, ...(name === undefined ? {} : { name }) });
  if (!parsed.ok) throw new Error(parsed.issues.map(formatIssue).join("\n"));
  return parsed.spec;
};

test("a small job gets all defaults", () => {
  const role = { numGpus: 1, replicas: 2, envs: {}, params: {}, model: "m", extraArgs: [] };
  expect(specOf(job())).toEqual({
    name: "job",
    timeoutS: 600,
    numGpus: 4,
    gpusPerWorker: 1,
    numCpus: 0,
    workingDir: "/tmp/pdjob-job",
    envs: {},
    engineCommand: ["vllm", "serve"],
    scheduler: { port: 8021, membership: "builtin" },
    roles: {
      prefill: { ...role, kvTransfer: { kv_connector: "NixlConnector", kv_role: "kv_producer" } },
      decode: { ...role, kvTransfer: { kv_connector: "NixlConnector", kv_role: "kv_consumer" } },
    },
    restart: { restartsMax: 5, windowS: 600 },
    rollout: { surge: 1, unavailable: 1, attempts: 2 },
    health: { intervalS: 1, timeoutS: 3, failures: 3, stallS: 30 },
    drainS: { prefill: 60, decode: 600 },
    drainQuietS: 15,
    stopGraceS: 30,
    leaseS: 86_400,
  });
});

test("numbers of params keep the digits that were written", () => {
  const { roles } = specOf(
    job({
      6: "  params: {model: m, served_model_name: 1.10, seed: 12345678901234567890, a: 1.0, b: 16, c: 0x10, d: [1.50, 2], e: 1e3}",
    }),
  );
  expect(roles.decode.params).toEqual({
    served_model_name: "1.10",
    seed: "12345678901234567890",
    a: "1.0",
    b: 16,
    c: 16,
    d: ["1.50", 2],
    e: 1000,
  });
});

test("every optional key reaches the spec", () => {
  const spec = specOf(
    job({
      2: [
        "name: mine",
        "timeout: 90",
        "gpus_per_worker: 1",
        "num_cpus: 3",
        "working_dir: /data/run",
        "engine: {command: \"python -m 'my engine' serve\"}",
        "restart: {max_restarts: 0, window: 60}",
        "rollout: {surge: 2, unavailable: 0, attempts: 3}",
        "drain: {prefill: 1, decode: 2}",
        "stop_grace: 3",
        "lease: 0",
      ].join("\n"),
      3: "scheduler: {port: 9000, command: \"proxy --port {PORT} '$PREFILL_URL_1 $DECODE_URLS'\", membership: none}",
    }),
  );
  expect(spec).toMatchObject({
    name: "mine",
    timeoutS: 90,
    numCpus: 3,
    workingDir: "/data/run",
    engineCommand: ["python", "-m", "my engine", "serve"],
    scheduler: {
      port: 9000,
      command: ["proxy", "--port", "{PORT}", "$PREFILL_URL_1 $DECODE_URLS"],
      membership: "none",
    },
    restart: { restartsMax: 0, windowS: 60 },
    rollout: { surge: 2, unavailable: 0, attempts: 3 },
    drainS: { prefill: 1, decode: 2 },
    stopGraceS: 3,
    leaseS: 0,
  });
});

test("limits of the proxy are in the spec once one of them is given", () => {
  const { scheduler } = specOf(job({ 3: "scheduler: {limits: {max_requests: 7}}" }));
  expect(scheduler.limits).toEqual({ bodyMibMax: 64, requestsMax: 7, waitingMax: 1024, waitS: 30 });
  const more = specOf(job({ 3: "scheduler: {limits: {max_memory_mib: 2048}}" }));
  expect(more.scheduler.limits).toMatchObject({ memoryMibMax: 2048 });
});

test("keys of the proxy stay references", () => {
  const { scheduler } = specOf(job({ 3: "scheduler: {auth: {inference: [env:A, file:/k]}}" }));
  expect(scheduler.auth).toEqual({ inference: ["env:A", "file:/k"], admin: [] });
});

test("a spec is plain JSON: it travels through Temporal", () => {
  const spec = specOf(job({ 6: "  params: {model: m, a: [1, {b: null}], c: 1.5, d: true}" }));
  expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
});

describe("names", () => {
  test.each([
    ["config.yaml", "config"],
    ["/a/b/My Job.v2.YML", "my-job-v2"],
    ["C:\\jobs\\Böse--Datei_.yaml", "b-se-datei"],
    ["---.yaml", "job"],
    ["-", "job"],
    [`${"a".repeat(39)}.b.yaml`, "a".repeat(39)],
    [`-${"a".repeat(50)}.yaml`, "a".repeat(40)],
  ])("the file %s makes the name %s", (file, name) => {
    expect(specOf(job(), file).name).toBe(name);
  });

  test("a name in the file wins over the file's, and one given apart over both", () => {
    const text = job({ 2: "name: inside" });
    expect(specOf(text).name).toBe("inside");
    expect(specOf(text, "job.yaml", "apart")).toMatchObject({
      name: "apart",
      workingDir: "/tmp/pdjob-apart",
    });
  });
});

describe("params", () => {
  test("general's come first and a role's value takes the place of general's", () => {
    const spec = specOf(
      job({
        6: "  params: {model: m, dtype: auto, max-model-len: 100, seed: 1}",
        10: `  params: {max_model_len: 200, extra: x, kv_transfer_config: '{"kv_connector":"NixlConnector","kv_role":"kv_producer"}'}`,
      }),
    );
    expect(Object.entries(spec.roles.prefill.params)).toEqual([
      ["dtype", "auto"],
      ["max_model_len", 200],
      ["seed", 1],
      ["extra", "x"],
    ]);
    expect(Object.entries(spec.roles.decode.params)).toEqual([
      ["dtype", "auto"],
      ["max_model_len", 100],
      ["seed", 1],
    ]);
  });

  test("null in a role takes a flag of general away from it", () => {
    const spec = specOf(
      job({
        6: "  params: {model: m, seed: 1}",
        14: `  params: {seed: null, kv_transfer_config: '{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}'}`,
      }),
    );
    expect(spec.roles.prefill.params).toEqual({ seed: 1 });
    expect(spec.roles.decode.params).toEqual({ seed: null });
  });

  test("model, host, port, kv_transfer_config and _extra_params are no params of the spec", () => {
    const spec = specOf(
      job({
        6: "  params: {model: m, host: 0.0.0.0, port: '{PORT}', _extra_params: --a 'b c'}",
        14: `  params: {_extra_params: -d, port: 7, kv-transfer-config: '{"kv_connector":"NixlConnector","kv_role":"kv_consumer"}'}`,
      }),
    );
    expect(spec.roles.decode).toMatchObject({ params: {}, model: "m" });
    expect(spec.roles.prefill.extraArgs).toEqual(["--a", "b c"]);
    expect(spec.roles.decode.extraArgs).toEqual(["--a", "b c", "-d"]);
  });

  test("a role may have its model from general or of its own, and a command of one's own needs none", () => {
    expect(specOf(job()).roles.prefill.model).toBe("m");
    const without = specOf(job({ 2: "engine: {command: my-engine}", 6: "  params: {}" }));
    expect(without.roles.prefill).not.toHaveProperty("model");
  });

  test("known placeholders and the braces of JSON and templates stay as they are", () => {
    const params =
      'a: "{HOST}:{PORT} {KV_IP} {NODE_NAME} {ROLE} {INDEX} {GENERATION} {WORK_DIR}", b: "{PORT:side-channel:8}", c: \'{"X": {"Y": 1}}\', d: "{{BOS}} {lower} {% X %}", e: {f: ["{PORT:x}"]}';
    expect(specOf(job({ 6: `  params: {model: m, ${params}}` })).roles.decode.params).toEqual({
      a: "{HOST}:{PORT} {KV_IP} {NODE_NAME} {ROLE} {INDEX} {GENERATION} {WORK_DIR}",
      b: "{PORT:side-channel:8}",
      c: '{"X": {"Y": 1}}',
      d: "{{BOS}} {lower} {% X %}",
      e: { f: ["{PORT:x}"] },
    });
  });
});

describe("envs", () => {
  test("values are text as it was written, references are passed on", () => {
    const values =
      "A: 1, B: 1.0, C: 0x10, D: true, E: '', F: no, G: env:TOKEN, H: file:/run/t, I: 007";
    expect(specOf(job({ 4: `envs: {${values}}` })).envs).toEqual({
      A: "1",
      B: "1.0",
      C: "0x10",
      D: "true",
      E: "",
      F: "no",
      G: "env:TOKEN",
      H: "file:/run/t",
      I: "007",
    });
  });

  test("a role wins over general, general over the whole job, and the proxy gets the job's alone", () => {
    const spec = specOf(
      job({
        4: "envs: {A: job, B: job, C: job}",
        5: "general:\n  envs: {B: general, C: general}",
        7: "prefill:\n  envs: {C: prefill}",
      }),
    );
    expect(spec.envs).toEqual({ A: "job", B: "job", C: "job" });
    expect(spec.roles.prefill.envs).toEqual({ A: "job", B: "general", C: "prefill" });
    expect(spec.roles.decode.envs).toEqual({ A: "job", B: "general", C: "general" });
  });
});

test("files are general's under the role's, and absent when there are none", () => {
  const spec = specOf(
    job({
      5: "general:\n  files: {a: general, b: general}",
      7: "prefill:\n  files:\n    b: |\n      host: {HOST}\n      two: 2",
    }),
  );
  expect(spec.roles.prefill.files).toEqual({ a: "general", b: "host: {HOST}\ntwo: 2\n" });
  expect(spec.roles.decode.files).toEqual({ a: "general", b: "general" });
  expect(specOf(job()).roles.decode).not.toHaveProperty("files");
});

describe("kv_transfer_config", () => {
  test("JSON text and a mapping mean the same", () => {
    const mapping =
      "{kv_connector: NixlConnector, kv_role: kv_producer, kv_connector_extra_config: {backends: [UCX]}}";
    const json =
      '{"kv_connector":"NixlConnector","kv_role":"kv_producer","kv_connector_extra_config":{"backends":["UCX"]}}';
    const kvOf = (value: string) =>
      specOf(job({ 10: `  params: {kv_transfer_config: ${value}}` })).roles.prefill.kvTransfer;
    expect(kvOf(mapping)).toEqual(JSON.parse(json));
    expect(kvOf(`'${json}'`)).toEqual(JSON.parse(json));
  });

  test("connectors are written in vLLM's spelling, whatever the capitals", () => {
    const spec = specOf(
      job({
        10: "  params: {kv_transfer_config: {kv_connector: nixlPULLconnector, kv_role: kv_both}}",
        14: "  params: {kv_transfer_config: {kv_connector: NIXLPULLCONNECTOR, kv_role: kv_both}}",
      }),
    );
    expect(spec.roles.prefill.kvTransfer.kv_connector).toBe("NixlPullConnector");
    expect(spec.roles.decode.kvTransfer.kv_connector).toBe("NixlPullConnector");
  });

  test("those below MultiConnector too, and what else they say stays", () => {
    const kv =
      "kv_connector: multiconnector, kv_role: kv_both, kv_connector_extra_config: {other: [1], connectors: [{kv_connector: lmcachempconnector, kv_role: kv_both, kv_connector_extra_config: {y: 1}}, {kv_connector: nixlconnector, kv_role: kv_both}, {kv_connector: nixlconnector, kv_role: kv_both, kv_connector_module_path: mine}]}";
    const line = `  params: {kv_transfer_config: {${kv}}}`;
    expect(specOf(job({ 10: line, 14: line })).roles.decode.kvTransfer).toEqual({
      kv_connector: "MultiConnector",
      kv_role: "kv_both",
      kv_connector_extra_config: {
        other: [1],
        connectors: [
          {
            kv_connector: "LMCacheMPConnector",
            kv_role: "kv_both",
            kv_connector_extra_config: { y: 1 },
          },
          { kv_connector: "NixlConnector", kv_role: "kv_both" },
          {
            kv_connector: "nixlconnector",
            kv_role: "kv_both",
            kv_connector_module_path: "mine",
          },
        ],
      },
    });
  });

  test("a connector from a module of one's own keeps the name it has there", () => {
    const kv = "kv_connector: nixlconnector, kv_role: kv_both, kv_connector_module_path: my.kv";
    const line = `  params: {kv_transfer_config: {${kv}}}`;
    expect(specOf(job({ 10: line, 14: line })).roles.decode.kvTransfer.kv_connector).toBe(
      "nixlconnector",
    );
  });

  test.each(["SharedStorageConnector", "ExampleConnector", "P2pNcclConnector"])(
    "%s is known, whichever vLLM has it",
    (name) => {
      const line = `  params: {kv_transfer_config: {kv_connector: ${name}, kv_role: kv_both}}`;
      const text = job({ 3: "scheduler: {command: 'proxy {PORT}'}", 10: line, 14: line });
      expect(specOf(text).roles.prefill.kvTransfer.kv_connector).toBe(name);
    },
  );
});

describe("what YAML offers", () => {
  test("a byte order mark and Windows line ends change nothing", () => {
    expect(specOf(`\ufeff${job().replaceAll("\n", "\r\n")}`)).toEqual(specOf(job()));
  });

  test("places are counted without the byte order mark, and line ends of Windows are no column", () => {
    const text = `\ufeff${job({ 1: "num_gpu: 4", 9: "  replicas: x" }).replaceAll("\n", "\r\n")}`;
    const parsed = parseConfig(text, { file: "f" });
    expect(parsed.ok ? [] : parsed.issues.map(({ line, col, path }) => [line, col, path])).toEqual([
      [1, 1, "num_gpus"],
      [1, 1, "num_gpu"],
      [9, 13, "prefill.replicas"],
    ]);
  });

  test("aliases and merge keys give the same spec as their values written out", () => {
    const merged = job({
      4: "envs: &common {A: x}",
      7: "prefill: &role\n  envs: *common",
      11: "decode:\n  <<: *role",
      12: "",
      13: "",
    });
    const plain = job({
      4: "envs: {A: x}",
      7: "prefill:\n  envs: {A: x}",
      11: "decode:\n  envs: {A: x}",
    });
    expect(specOf(merged)).toEqual(specOf(plain));
  });

  test("a mapping's own keys win over merged ones, and earlier merges over later ones", () => {
    const { envs } = specOf(
      job({ 4: "envs: {<<: [{A: first, B: first}, {B: second, C: second}], A: own}" }),
    );
    expect(envs).toEqual({ A: "own", B: "first", C: "second" });
  });

  test("empty sections are as good as none", () => {
    const text = job({ 3: "scheduler:", 4: "envs:", 5: "general:", 6: "" });
    const parsed = parseConfig(text, { file: "job.yaml" });
    expect(parsed.ok ? [] : parsed.issues.map(({ path }) => path)).toEqual([
      "prefill.params.model",
      "decode.params.model",
    ]);
  });

  test("text that YAML 1.1 would have read as true stays text", () => {
    expect(specOf(job({ 4: "envs: {A: yes, B: on}" })).envs).toEqual({ A: "yes", B: "on" });
  });
});

describe("a proxy of one's own", () => {
  test("it is restarted when replicas change, unless the file says otherwise", () => {
    const spec = specOf(job({ 3: "scheduler: {command: 'proxy {PORT}'}" }));
    expect(spec.scheduler).toEqual({
      port: 8021,
      command: ["proxy", "{PORT}"],
      membership: "restart",
    });
  });

  test("all forms of placeholders are known, up to the last replica", () => {
    const roleForms = ["PREFILL", "DECODE"].flatMap((role) => [
      ...["HOST", "PORT", "URL"].flatMap((part) => [
        `$${role}_${part}_1`,
        `\${${role}_${part}_2}`,
        `$${role}_${part}S`,
      ]),
      `$${role}_COUNT`,
    ]);
    const command = ["proxy", "{PORT}", ...roleForms];
    const parsed = parseConfig(job({ 3: `scheduler: {command: '${command.join(" ")}'}` }), {
      file: "job.yaml",
    });
    expect(parsed.ok && parsed.spec.scheduler.command).toEqual(command);
    expect(parsed.ok && parsed.warnings).toEqual([]);
  });

  test("a command that starts a shell may use the shell's variables", () => {
    const text = job({ 3: `scheduler: {command: "bash -c 'exec proxy --port {PORT} $HOME'"}` });
    expect(parseConfig(text, { file: "job.yaml" })).toMatchObject({ ok: true, warnings: [] });
  });
});

test("CPU engines reserve one CPU a worker unless the file says how many", () => {
  const cpu = { 1: "num_gpus: 0", 8: "  num_gpus: 0", 12: "  num_gpus: 0" };
  expect(specOf(job(cpu)).numCpus).toBe(1);
  expect(specOf(job({ ...cpu, 2: "num_cpus: 4" })).numCpus).toBe(4);
});
