import { configuredConnectors } from "../domain/connectors/children.ts";
import { handOverOf, nameIn } from "../domain/connectors/table.ts";
import type { Version } from "../domain/connectors/version.ts";
import type { JobSpec } from "../domain/spec.ts";

/** What an operator has to know of one connector of a job before it is started. */
export interface ConnectorAdvice {
  readonly name: string;
  /** The way in which it hands KV over; null when it does not, or is not vLLM's own. */
  readonly handOver: string | null;
  /** What must be there first, and is not started by pdjob. */
  readonly before: readonly string[];
  readonly order: string;
}

/** The job's connector and, for MultiConnector, its children. */
export const connectorAdvice = (
  { roles: { prefill } }: JobSpec,
  version: Version | undefined,
): readonly ConnectorAdvice[] =>
  configuredConnectors(prefill.kvTransfer).map(({ known, config }) =>
    known
      ? {
          name: nameIn(known, version),
          handOver: handOverOf(known, version) ?? null,
          before: known.before,
          order: known.order,
        }
      : {
          name: config.kv_connector,
          handOver: null,
          before: [],
          order: "as its own documentation says",
        },
  );
