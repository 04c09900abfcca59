import type { ParamValue, PortRequest, RoleSpec } from "../domain/spec.ts";
import type { Role } from "../domain/role.ts";
import { isList } from "./placeholders.ts";

/** What a connector needs of each replica: a port, and the environment that tells the engine about it. */
interface ConnectorNeeds {
  readonly port: PortRequest;
  /** Values hold placeholders. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * NIXL: the side channel's address is bound and handed to the decode side, so it must be the node's own; one listener
 * per data-parallel rank now, one per rank and tensor-parallel worker in older vLLM: DP × TP ports are right for both.
 * Mooncake: a bootstrap server on the prefill side only. Defaults of both collide as soon as two replicas share a node.
 */
export function connectorNeeds(role: Role, spec: RoleSpec): readonly ConnectorNeeds[] {
  const names = connectorNames(spec.kvTransfer);
  const needs: ConnectorNeeds[] = [];
  if (names.some((name) => /^Nixl(Pull|Push)?Connector$/.test(name))) {
    const span = sizeOf(spec, "data_parallel_size") * sizeOf(spec, "tensor_parallel_size");
    needs.push({
      port: { name: "side_channel", span },
      env: {
        VLLM_NIXL_SIDE_CHANNEL_HOST: "{HOST}",
        VLLM_NIXL_SIDE_CHANNEL_PORT: "{PORT:side_channel}",
      },
    });
  }
  if (role === "prefill" && names.includes("MooncakeConnector")) {
    needs.push({
      port: { name: "bootstrap", span: 1 },
      env: { VLLM_MOONCAKE_BOOTSTRAP_PORT: "{PORT:bootstrap}" },
    });
  }
  // A user who set the environment chose the ports too: nothing is reserved or injected then.
  return needs.filter(
    ({ env }) => !Object.keys(env).some((name) => name.endsWith("_PORT") && name in spec.envs),
  );
}

/** The connector and, for MultiConnector, its children at any depth. */
function connectorNames(value: ParamValue): readonly string[] {
  if (value === null || typeof value !== "object") return [];
  if (isList(value)) return value.flatMap(connectorNames);
  return Object.entries(value).flatMap(([key, item]) =>
    key === "kv_connector" && typeof item === "string" ? [item] : connectorNames(item),
  );
}

function sizeOf({ params }: RoleSpec, name: string): number {
  const value = params[name] ?? params[name.replaceAll("_", "-")];
  return typeof value === "number" && value > 0 ? value : 1;
}
