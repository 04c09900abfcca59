import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { parse } from "yaml";
import { z } from "zod";
import { actionKey } from "../domain/action.ts";
import { incarnationName, replicaName } from "../domain/names.ts";
import { roles } from "../domain/role.ts";
import type { ReplicaId } from "../domain/role.ts";
import type { JobSpec } from "../domain/spec.ts";
import { replicaBundles } from "../plan/placement.ts";
import { rehearse } from "../plan/rehearse.ts";
import { renderEngine, unknownTarget } from "../render/engine.ts";
import type { EngineCommand, EngineTarget } from "../render/engine.ts";
import { renderProxy } from "../render/proxy.ts";
import { requireSpec } from "./config-file.ts";
import { Exit } from "./exit.ts";
import { columns, print, printJson, shellLine } from "./output.ts";

const endpointsFile = z.record(
  z.string(),
  z.strictObject({
    host: z.string().min(1),
    port: z.number().int().min(1).max(65_535),
    /** Ports other than `http`, by name. */
    ports: z.record(z.string(), z.number().int()).optional(),
    generation: z.number().int().min(1).optional(),
  }),
);

type Endpoints = z.output<typeof endpointsFile>;

/** What `start` would do: bundles, the very commands, the steps. Needs no server and changes nothing. */
export function planOf(spec: JobSpec, endpoints: Endpoints = {}) {
  const ids = roles.flatMap((role) =>
    Array.from({ length: spec.roles[role].replicas }, (_, index): ReplicaId => ({ role, index })),
  );
  const targets = ids.map((id) => targetOf(spec, id, endpoints));
  const members = targets.map(({ replica, generation, host, ports }) => ({
    name: incarnationName(spec.name, replica, generation),
    role: replica.role,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${ports["http"]}`,
  }));
  const { builtin, argv } = renderProxy(spec, members);
  return {
    job: spec.name,
    replicas: targets.map((target) => ({
      name: replicaName(target.replica),
      ...target.replica,
      bundles: replicaBundles(spec, target.replica.role),
      ...renderEngine(spec, target),
    })),
    proxy: { builtin, argv },
    steps: rehearse(spec).map((action) => ({ step: actionKey(action), reason: action.reason })),
  };
}

function targetOf(spec: JobSpec, replica: ReplicaId, endpoints: Endpoints): EngineTarget {
  const given = endpoints[replicaName(replica)];
  const generation = given?.generation ?? 1;
  const unknown = unknownTarget(spec, replica, { generation });
  const kvIp = endpoints["prefill-0"]?.host ?? unknown.kvIp;
  if (!given) return { ...unknown, kvIp };
  return {
    ...unknown,
    host: given.host,
    ports: { ...unknown.ports, ...given.ports, http: given.port },
    kvIp,
  };
}

export function addPlan(program: Command): void {
  program
    .command("plan")
    .description("show what `start` would do: bundles, every command, the steps; no server needed")
    .argument("<config>", "YAML file, or - for standard input")
    .option("--json", "print {job, replicas, proxy, steps} as JSON")
    .option("--endpoints <file>", "JSON or YAML: replica name → {host, port, ports?}")
    .addHelpText(
      "after",
      '\nExamples:\n  pdjob-client plan job.yaml\n  echo \'{"prefill-0":{"host":"10.0.0.7","port":8100}}\' > at.json && pdjob-client plan job.yaml --endpoints at.json --json',
    )
    .action((file: string, flags: { json?: boolean; endpoints?: string }) => {
      const spec = requireSpec(file);
      const plan = planOf(
        spec,
        flags.endpoints === undefined ? {} : readEndpoints(flags.endpoints, spec),
      );
      if (flags.json) return printJson(plan);
      printPlan(plan);
    });
}

export function readEndpoints(file: string, spec: JobSpec): Endpoints {
  let value: unknown;
  try {
    value = parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Exit(2, `${file}: cannot be read as JSON or YAML: ${(error as Error).message}`);
  }
  const parsed = endpointsFile.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${file}: ${path.join(".")}: ${message}`,
    );
    throw new Exit(
      2,
      `${problems.join("\n")}\nExpected: {"prefill-0": {"host": "10.0.0.7", "port": 8100, "ports": {"side_channel": 5600}}, …}`,
    );
  }
  const unknown = Object.keys(parsed.data).find(
    (name) => !roles.some((role) => isReplicaOf(name, role, spec)),
  );
  if (unknown !== undefined)
    throw new Exit(2, `${file}: ${unknown} is no replica of job ${spec.name}.`);
  return parsed.data;
}

function isReplicaOf(name: string, role: (typeof roles)[number], spec: JobSpec): boolean {
  return Array.from({ length: spec.roles[role].replicas }, (_, index) =>
    replicaName({ role, index }),
  ).includes(name);
}

/** Files are few and short, and hold what is looked for when an engine does not find its peer. */
function printFiles({ files, emptied }: EngineCommand): void {
  for (const folder of emptied) print(`  empties ${folder}`);
  for (const { path, text } of files) {
    print(`  writes ${path}:`);
    for (const line of text.trimEnd().split("\n")) print(`    ${line}`);
  }
}

function printPlan({ job, replicas, proxy, steps }: ReturnType<typeof planOf>): void {
  print(`job ${job}`);
  for (const { name, bundles, argv, env, files, emptied } of replicas) {
    const reserved = bundles
      .map((bundle) =>
        Object.entries(bundle)
          .map(([kind, count]) => `${count} ${kind}`)
          .join(" + "),
      )
      .join(", ");
    print(`\n${name}: reserves ${reserved}`);
    for (const [key, value] of Object.entries(env)) print(`  ${key}=${shellLine([value])}`);
    printFiles({ argv, env, files, emptied });
    print(`  ${shellLine(argv)}`);
  }
  print(
    `\nproxy (${proxy.builtin ? "built-in" : "external"})\n  ${shellLine(proxy.argv)}\n\nsteps`,
  );
  print(columns(steps.map(({ step, reason }, index) => [`  ${index + 1}.`, step, reason])));
}
