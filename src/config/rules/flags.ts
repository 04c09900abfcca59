import { paramOf } from "../../domain/engine-flags.ts";
import { paramsOf, sections } from "../merge.ts";
import { nodeAt, scalarsBelow } from "../node.ts";
import { problem, problemAtKey, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { splitCommand } from "../shell.ts";

const spanning = "pdjob sets it when a replica spans nodes";
const ranks = "pdjob runs all ranks of a replica as one engine";
const plainHttp = "pdjob's probes and proxy speak plain HTTP with the engine's host and port";

/** Flags of vLLM that only work when one place decides on them, and why that place is pdjob. */
const ownedFlags: Readonly<Record<string, string>> = {
  data_parallel_address: ranks,
  data_parallel_external_lb: ranks,
  data_parallel_hybrid_lb: ranks,
  data_parallel_multi_port_external_lb: ranks,
  data_parallel_rank: ranks,
  data_parallel_rpc_port: spanning,
  data_parallel_size_local: spanning,
  data_parallel_start_rank: ranks,
  grpc: plainHttp,
  headless: spanning,
  master_addr: spanning,
  master_port: spanning,
  nnodes: spanning,
  node_rank: spanning,
  ssl_certfile: plainHttp,
  ssl_keyfile: plainHttp,
  uds: plainHttp,
};

/** In `_extra_params` these would win over, or clash with, what pdjob writes from `params`. */
const ownedInExtra: Readonly<Record<string, string>> = {
  ...ownedFlags,
  host: "pdjob sets it to the address of the engine's node",
  kv_transfer_config: "pdjob writes it from params.kv_transfer_config",
  model: "pdjob writes it from params.model",
  port: "pdjob sets it to a free port of the engine's node",
};

/** Ray inside an engine would reserve its GPUs a second time. */
const rayInside = "would have Ray reserve the engine's GPUs a second time: remove it.";

const flagName = /^[A-Za-z][A-Za-z0-9_.]*\+?$/;

export function paramsAreFlags(reading: Reading): readonly Problem[] {
  return sections.flatMap((section) =>
    Object.entries(paramsOf(reading, section)).flatMap(([key, value]) => {
      const path = [section, "params", key];
      if (key === "_extra_params") return [];
      if (!flagName.test(key)) {
        return [
          problemAtKey(
            path,
            "is no flag of vllm serve: write its name without dashes in front, such as max_model_len.",
          ),
        ];
      }
      const reason = ownedReason(key, ownedFlags);
      if (reason !== undefined)
        return [problemAtKey(path, `is not yours to set: ${reason}. Remove it.`)];
      if (key.startsWith("kv_transfer_config."))
        return [problemAtKey(path, "is a part of kv_transfer_config: write it in there.")];
      return isRayExecutor(key, value) ? [problem(path, rayInside)] : [];
    }),
  );
}

export function extraParamsAreArguments(reading: Reading): readonly Problem[] {
  return sections.flatMap((section) => {
    const path = [section, "params", "_extra_params"];
    const text = paramsOf(reading, section)["_extra_params"];
    if (typeof text !== "string") return [];
    const split = splitCommand(text);
    return split.ok ? ownedArguments(path, split.words) : [problem(path, split.message)];
  });
}

function ownedArguments(path: Path, words: readonly string[]): readonly Problem[] {
  return words.flatMap((word, at) => {
    const [flag = "", given] = word.split("=", 2);
    const key = paramOf(word);
    if (key === undefined) return [];
    const reason = ownedReason(key, ownedInExtra);
    if (reason !== undefined) {
      return [problem(path, `holds ${flag}, which is not yours to set: ${reason}. Remove it.`)];
    }
    return isRayExecutor(key, given ?? words[at + 1])
      ? [problem(path, `holds ${flag} ray, which ${rayInside}`)]
      : [];
  });
}

/** YAML 1.1 read these as true and false; since 1.2 they are text, and vLLM would get them as such. */
export function booleansAreWritten({ root }: Reading): readonly Problem[] {
  return sections.flatMap((section) => {
    const node = nodeAt(root, [section, "params"]);
    if (node === undefined) return [];
    return [...scalarsBelow(node, [section, "params"])].flatMap(({ path, plainText }) => {
      const meaning = /^(?:(yes|on)|no|off)$/i.exec(plainText ?? "");
      if (!meaning) return [];
      return [
        warning(
          path,
          `is the text "${meaning[0]}": write ${meaning[1] === undefined ? "false" : "true"}, or put it in quotes if you mean the text.`,
        ),
      ];
    });
  });
}

/** `--no-headless` decides about headless too, and `--kv-transfer-config.kv_role` about a part of the whole. */
function ownedReason(key: string, owned: Readonly<Record<string, string>>): string | undefined {
  return [key, key.replace(/^no_/, ""), key.split(".", 1)[0] ?? ""]
    .filter((one) => Object.hasOwn(owned, one))
    .map((one) => owned[one])
    .at(0);
}

const isRayExecutor = (key: string, value: unknown): boolean =>
  (key === "distributed_executor_backend" || key === "data_parallel_backend") && value === "ray";
