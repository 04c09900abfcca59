import { z } from "zod";
import { jobNamePattern } from "../domain/names.ts";
import { versionPattern } from "../domain/connectors/version.ts";
import { replicasMax } from "../domain/scale.ts";
import { anything, mapping, mustBe, mustBeText, mustRead, seconds, text, whole } from "./expect.ts";
import * as limits from "./limits.ts";
import { budgets } from "./schema-budgets.ts";
import { kvTransferConfig } from "./schema-kv.ts";
import { scheduler } from "./schema-scheduler.ts";

/*
 * The shape of a job's file: every key, its type, bounds, default and description. Unknown keys are errors. Rules that
 * span keys are in `rules.ts`; docs/config.md and schema/pdjob.schema.json follow from this file.
 */

/** What `jobNamePattern` allows, in words. */
export const legalName = "1 to 40 lower-case letters, digits and inner dashes";

const legalVersion = 'a version of vLLM in quotes, such as "0.32"';

export const defaultEngineCommand = "vllm serve";

const envs = z
  .record(
    z.string(),
    z.union(
      [z.string(), z.number(), z.boolean()],
      mustBe("text, a number or true/false ('' for an empty value)"),
    ),
    mustBe("a mapping of variable names to values"),
  )
  .nullish();

/** Of one role: more are hardly a configuration any more. */
const filesMax = 20;
const fileName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

const files = z
  .record(
    z.string(),
    z.string(mustBe("the file's text")),
    mustBe("a mapping of file names to texts"),
  )
  .refine((texts) => Object.keys(texts).length <= filesMax, {
    error: `must be at most ${filesMax} files.`,
  })
  .refine((texts) => Object.keys(texts).every((name) => fileName.test(name)), {
    error:
      "must have file names of letters, digits, dots, dashes and underscores: there are no folders.",
  })
  .nullish();

const params = z
  .looseObject(
    {
      model: text("the name or path of a model")
        .describe("Model name or path; the same path must be valid on every node.")
        .optional(),
      kv_transfer_config: z
        .union(
          [text("a JSON object"), kvTransferConfig],
          mustBe("a JSON object in quotes, or a mapping"),
        )
        .describe("vLLM's KVTransferConfig, as JSON text or as a mapping. Needed in both roles.")
        .optional(),
      _extra_params: z
        .string(mustBe("text with further command line arguments"))
        .nullish()
        .describe(
          "Further arguments, split as a shell would; general's come first, then the role's.",
        ),
      host: anything("Accepted and ignored: engines listen on their node's address."),
      port: anything("Accepted and ignored: engines get a free port of their node."),
    },
    mustBe("a mapping of flags of vllm serve to values"),
  )
  .nullish();

const paramsDescribed = params.describe(
  "Flags of vllm serve: tensor_parallel_size: 8 becomes --tensor-parallel-size 8. general's are overridden by the role's.",
);

const role = (what: string) =>
  z
    .strictObject(
      {
        num_gpus: whole(0, limits.gpusMax).describe(
          "GPUs of one replica, a multiple of gpus_per_worker; 0 for CPU engines.",
        ),
        replicas: whole(1, replicasMax).describe("Number of replicas: engines with this role."),
        envs: envs.describe("Environment of this role's engines; wins over the global envs."),
        files: files.describe(
          "Files for this role's engines, written to the folder {FILES} before each start; placeholders are filled.",
        ),
        params: paramsDescribed,
      },
      mustBe("a mapping with num_gpus, replicas and params"),
    )
    .describe(what);

export const configFile = z
  .strictObject(
    {
      name: z
        .string(mustBeText(legalName))
        .regex(jobNamePattern, mustRead(legalName))
        .describe("Name of the job; default: the file's name.")
        .optional(),
      timeout: seconds(1, limits.timeoutMaxS)
        .default(600)
        .describe("Seconds within which the job, or later a new replica, must be healthy."),
      num_gpus: whole(0, limits.gpusMax).describe(
        "GPUs the whole job may use; its replicas must fit.",
      ),
      gpus_per_worker: whole(1, limits.gpusMax)
        .default(1)
        .describe("GPUs that are never split over nodes; divides every num_gpus."),
      num_cpus: whole(0, limits.cpusMax)
        .describe("CPUs reserved for each worker; default 0, or 1 when a role has num_gpus 0.")
        .optional(),
      working_dir: text("an absolute path, such as /tmp/pdjob")
        .regex(
          /^\//,
          mustRead(
            "an absolute path, such as /tmp/pdjob, since it is a folder of each node. To send a folder of yours there, write upload: FOLDER, and leave working_dir out or absolute",
          ),
        )
        .describe(
          "Folder of each node, created if missing, in which engines and proxy run and leave their logs. Nothing is sent there but by upload. Default /tmp/pdjob-NAME.",
        )
        .optional(),
      upload: text("a folder, such as ./deploy")
        .regex(
          /^(?!~)(?!.*:\/\/)/,
          mustRead("a folder, such as ./deploy, with its path written out"),
        )
        .describe(
          "Folder that engines and an external proxy find as their working directory on every node; relative to this file, read where the worker runs.",
        )
        .optional(),
      envs: envs.describe(
        "Environment of engines and proxy. env:NAME and file:/PATH are references to secrets, read where the worker runs.",
      ),
      engine: z
        .strictObject(
          {
            command: text("a command, as text")
              .default(defaultEngineCommand)
              .describe(
                "Command that starts an engine, split as a shell would; flags are added to it.",
              ),
            version: z
              .string(mustBe(legalVersion))
              .regex(versionPattern, mustRead(legalVersion))
              .describe(
                "The engines' vLLM, such as 0.32; asked on the nodes before anything starts, so only needed where that cannot tell.",
              )
              .optional(),
          },
          mapping,
        )
        .prefault({})
        .describe("What an engine is."),
      scheduler,
      general: z
        .strictObject(
          {
            envs: envs.describe("Environment of all engines, not of the proxy."),
            files: files.describe(
              "Files for all engines, written to the folder {FILES} before each start; placeholders are filled.",
            ),
            params: paramsDescribed,
          },
          mapping,
        )
        .nullish()
        .describe("What both roles have in common."),
      prefill: role("The engines that read prompts."),
      decode: role("The engines that generate tokens."),
      ...budgets,
      stop_grace: seconds(0, limits.stopGraceMaxS)
        .default(30)
        .describe("Seconds from SIGTERM to SIGKILL when an engine or the proxy is stopped."),
      lease: seconds(0, limits.leaseMaxS)
        .default(86_400)
        .describe(
          "Seconds without an orchestrator after which engines stop themselves; 0 = never, else at least `stop_grace` + 60.",
        ),
    },
    mapping,
  )
  .describe("A pdjob job: vLLM with prefill and decode on separate engines.");

/** A file that is valid in itself, defaults filled. */
export type ConfigFile = z.output<typeof configFile>;
