import type { Role } from "../../src/domain/role.ts";
import type { Victim } from "./job.ts";
import { blockSize } from "./prompts.ts";

export interface Connector {
  readonly name: string;
  readonly what: string;
  /** Of both roles; `kv_role` is added. */
  readonly kv: Readonly<Record<string, unknown>>;
  /** Of a prompt that is new to it, the tokens that a decode engine need not compute. */
  readonly handedOver: (promptTokens: number) => number;
  readonly by: "nixl" | "store";
  readonly hasFiles: boolean;
  readonly prefills: number;
  /** Which process of an engine of which role is killed: each takes a boot. */
  readonly kills: readonly (readonly [Role, Victim])[];
}

const nixl = { kv_connector: "NixlConnector", kv_buffer_device: "cpu" };

/** Each is deployed, asked and stopped on real vLLM; MultiConnector heals as its parts do. */
export const connectors: readonly Connector[] = [
  {
    name: "nixl",
    what: "NixlConnector",
    kv: nixl,
    handedOver: (promptTokens) => promptTokens,
    by: "nixl",
    hasFiles: false,
    // Two prefill engines are tried with the next connector: each takes a boot.
    prefills: 1,
    kills: [
      ["prefill", "API"],
      ["decode", "API"],
    ],
  },
  {
    name: "store",
    // The connector's name of old, as in configurations of `vllm pdjob`: this vLLM has it as ExampleConnector.
    what: "SharedStorageConnector",
    kv: { kv_connector: "SharedStorageConnector" },
    // Whole blocks, and never the last two tokens: so the connector looks for a prompt.
    handedOver: (promptTokens) => Math.floor((promptTokens - 2) / blockSize) * blockSize,
    by: "store",
    hasFiles: true,
    prefills: 2,
    kills: [["decode", "VLLM::EngineCore"]],
  },
  {
    name: "multi",
    what: "MultiConnector of both",
    kv: {
      kv_connector: "MultiConnector",
      kv_connector_extra_config: {
        connectors: [
          { ...nixl, kv_role: "kv_both" },
          { kv_connector: "ExampleConnector", kv_role: "kv_both" },
        ],
      },
    },
    handedOver: (promptTokens) => promptTokens,
    by: "nixl",
    hasFiles: true,
    prefills: 1,
    kills: [],
  },
];
