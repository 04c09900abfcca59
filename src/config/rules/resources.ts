import { roles } from "../../domain/role.ts";
import type { Role } from "../../domain/role.ts";
import { paramOf } from "../../domain/engine-flags.ts";
import { parallelSize } from "../../domain/parallelism.ts";
import { extraArgsOf, mergedParams, paramsOf, sections } from "../merge.ts";
import { problem, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { splitCommand } from "../shell.ts";

/** `gpus_per_worker` is never split over nodes, so it divides every count of GPUs. */
export function gpusAreWholeWorkers({ draft }: Reading): readonly Problem[] {
  const unit = draft.gpus_per_worker;
  if (unit === undefined) return [];
  const counts: readonly (readonly [Path, number | undefined])[] = [
    [["num_gpus"], draft.num_gpus],
    ...roles.map((role) => [[role, "num_gpus"], draft[role]?.num_gpus] as const),
  ];
  return counts.flatMap(([path, gpus]) =>
    gpus === undefined || gpus % unit === 0
      ? []
      : [
          problem(
            path,
            `is ${gpus}, which is no multiple of gpus_per_worker (${unit}): write ${nextMultiple(gpus, unit)}, or change gpus_per_worker.`,
          ),
        ],
  );
}

export function replicasFitTheJob({ draft }: Reading): readonly Problem[] {
  const demands = roles.map((role) => ({ role, ...draft[role] }));
  let demand = 0;
  for (const { num_gpus: gpus, replicas } of demands) {
    if (gpus === undefined || replicas === undefined) return [];
    demand += gpus * replicas;
  }
  if (draft.num_gpus === undefined || demand <= draft.num_gpus) return [];
  const terms = demands
    .map(({ role, num_gpus: gpus, replicas }) => `${replicas} ${role} × ${gpus}`)
    .join(" + ");
  return [
    problem(
      ["num_gpus"],
      `is ${draft.num_gpus}, but ${terms} = ${demand} GPUs are asked for: raise it, or lower replicas or num_gpus of a role.`,
    ),
  ];
}

/** Ray has no placement group that reserves nothing. */
export function cpuEnginesReserveCpus({ draft }: Reading): readonly Problem[] {
  const role = roles.find((one) => draft[one]?.num_gpus === 0);
  if (role === undefined || draft.num_cpus !== 0) return [];
  return [
    problem(
      ["num_cpus"],
      `is 0, but replicas of ${role} have no GPUs, so they would reserve nothing at all: write at least 1, or leave num_cpus out.`,
    ),
  ];
}

/** vLLM takes one GPU for each rank, and finds out only at its start when there are fewer. */
export function ranksHaveGpus(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) => {
    const gpus = reading.draft[role]?.num_gpus ?? 0;
    const sizes = sizesOf(reading, role);
    const ranks = sizes.reduce((product, { size }) => product * size, 1);
    if (gpus === 0 || ranks <= gpus) return [];
    const product = sizes.map(({ key, size }) => `${key} ${size}`).join(" × ");
    return [
      warning(
        [role, "num_gpus"],
        `is ${gpus}, but ${product} needs ${ranks} GPUs a replica: raise num_gpus to ${ranks}, or lower the sizes.`,
      ),
    ];
  });
}

const sizeKeys = ["data_parallel_size", "pipeline_parallel_size", "tensor_parallel_size"] as const;

function sizesOf(
  reading: Reading,
  role: Role,
): readonly { readonly key: string; readonly size: number }[] {
  const told = { params: mergedParams(reading, role), extraArgs: extraArgsOf(reading, role) };
  return sizeKeys.flatMap((key) => {
    const size = parallelSize(told, key);
    return size > 1 ? [{ key, size }] : [];
  });
}

/** vLLM divides by them; one that asks for nothing, or less, ends the engine at its start. */
export function sizesAreCounts(reading: Reading): readonly Problem[] {
  return sections.flatMap((section) => {
    const params = paramsOf(reading, section);
    const own = sizeKeys.flatMap((key) => {
      const problemOf = badSize(params[key]);
      return problemOf ? [problem([section, "params", key], problemOf)] : [];
    });
    return [...own, ...sizesInExtra([section, "params", "_extra_params"], params)];
  });
}

function sizesInExtra(
  path: Path,
  { _extra_params: text }: Readonly<Record<string, unknown>>,
): readonly Problem[] {
  const split = typeof text === "string" ? splitCommand(text) : undefined;
  if (!split?.ok) return [];
  return split.words.flatMap((word, at) => {
    const [flag = "", given] = word.split("=", 2);
    const isSize = sizeKeys.some((key) => key === paramOf(word));
    const problemOf = isSize ? badSize(given ?? split.words[at + 1]) : undefined;
    return problemOf ? [problem(path, `holds ${flag}, which ${problemOf}`)] : [];
  });
}

/** Numbers alone: what is no number is for vLLM to judge. */
function badSize(value: unknown): string | undefined {
  const isNumber = typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value);
  const size = isNumber ? Number(value) : value;
  if (typeof size !== "number" || (Number.isInteger(size) && size >= 1)) return undefined;
  return `is ${size}: write a whole number from 1.`;
}

const nextMultiple = (count: number, unit: number): number => Math.ceil(count / unit) * unit;
