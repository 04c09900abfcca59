import { z } from "zod";
import { anything, mapping, mustBe, mustBeOneOf, text, whole } from "./expect.ts";
import * as limits from "./limits.ts";

const kvPort = mustBe(`a port from 0 to ${limits.portMax}, or "{PORT:kv}"`);

/** vLLM's KVTransferConfig: the engine refuses a key that it does not know, so nothing else may be in it. */
export const kvTransferConfig = z.strictObject(
  {
    kv_connector: text("the name of a KV connector, such as NixlConnector").describe(
      "KV connector; capitals do not matter. Both roles must name the same one.",
    ),
    kv_role: z
      .enum(
        ["kv_producer", "kv_consumer", "kv_both"],
        mustBeOneOf("kv_producer, kv_consumer or kv_both"),
      )
      .describe(
        "kv_producer in prefill, kv_consumer in decode; kv_both where the connector needs it.",
      ),
    kv_connector_extra_config: z
      .record(z.string(), z.unknown(), mapping)
      .describe("Settings of the connector itself.")
      .optional(),
    kv_connector_module_path: text("the Python module that holds the connector")
      .describe("Python module of a connector that is not in vLLM; makes any connector name legal.")
      .optional(),
    kv_buffer_device: text("a device, such as cuda or cpu")
      .describe("cuda, cpu, …: where the connector keeps its buffer.")
      .optional(),
    kv_buffer_size: z
      .number(mustBe("a number of bytes"))
      .positive(mustBe("a number of bytes above 0"))
      .describe("Bytes of that buffer.")
      .optional(),
    kv_ip: text("an address, or {KV_IP}")
      .describe("Address for connectors that use one; {KV_IP} is prefill 0's.")
      .optional(),
    kv_port: z
      .union([whole(0, limits.portMax), z.string().regex(/^(?:\d+|\{#?PORT.*\})$/, kvPort)], kvPort)
      .describe("Port for connectors that use one; {PORT:kv} takes a free one.")
      .optional(),
    kv_rank: whole(0, limits.gpusMax).describe("Rank, for connectors that use one.").optional(),
    kv_parallel_size: whole(1, limits.gpusMax)
      .describe("Number of ranks, for connectors that use it.")
      .optional(),
    engine_id: anything(
      "Identity in the KV exchange; best left out, since every start needs a new one.",
    ),
    enable_permute_local_kv: z
      .boolean(mustBe("true or false"))
      .describe("Passed on to vLLM.")
      .optional(),
    kv_load_failure_policy: z
      .enum(["fail", "recompute"], mustBeOneOf("fail or recompute"))
      .describe("fail or recompute, when KV could not be loaded.")
      .optional(),
  },
  mustBe("a mapping or a JSON object in quotes"),
);
