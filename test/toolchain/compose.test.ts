import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { buildPrograms, runProgram } from "../support/program.ts";

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly volumes?: readonly string[];
  readonly [key: string]: unknown;
}

const root = fileURLToPath(new URL("../../", import.meta.url));
const text = readFileSync(`${root}docker-compose.yml`, "utf8");
const document = parseDocument(text, { uniqueKeys: true });
const {
  services,
  volumes,
}: {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
} = document.toJS();
const all = Object.values(services);

beforeAll(buildPrograms, 90_000);

test("docker-compose.yml is YAML without a fault", () => {
  expect([...document.errors, ...document.warnings]).toEqual([]);
  expect(Object.keys(services)).toEqual(["temporal", "ray-head", "worker"]);
});

test("its services and volumes are those that others refer to", () => {
  const shared = all.flatMap((service) => [
    service["network_mode"],
    service["ipc"],
    service["pid"],
  ]);
  const named = shared.flatMap((one) => /^service:(.+)$/.exec(String(one ?? ""))?.[1] ?? []);
  const awaited = all.flatMap((service) => Object.keys(service.depends_on ?? {}));
  expect(named).toHaveLength(3);
  expect([...named, ...awaited].filter((name) => !(name in services))).toEqual([]);
  const mounted = all.flatMap((service) => (service.volumes ?? []).map((one) => one.split(":")[0]));
  expect(new Set(mounted)).toEqual(new Set(Object.keys(volumes)));
});

test("every image that is not pulled is built here", () => {
  const built = all.flatMap(({ build, image }) => (build ? [image] : []));
  const pulled = all.flatMap(({ image = "" }) => (built.includes(image) ? [] : [image]));
  expect(pulled).toEqual([expect.stringMatching(/^temporalio\/temporal:\d+\.\d+\.\d+$/)]);
});

test("its worker is started with flags that the worker has", async () => {
  const [program, ...words] = services["worker"]?.command ?? [];
  const { stdout } = await runProgram("pdjob-worker", ["--help"]);
  expect(program).toBe("pdjob-worker");
  const flags = words.filter((word) => word.startsWith("--"));
  expect(flags.length).toBeGreaterThan(0);
  expect(flags.filter((flag) => !stdout.includes(`  ${flag} `))).toEqual([]);
});

test("the job that it names is there", () => {
  const [, file = ""] = /pdjob-client start (\S+)/.exec(text) ?? [];
  expect(readFileSync(`${root}${file}`, "utf8")).toContain("pdjob-sim-engine");
});
