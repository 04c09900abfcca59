import { z } from "zod";
import { configFile } from "./schema.ts";

/** The JSON Schema that editors use for completion and checks; committed as schema/pdjob.schema.json. */
export function configJsonSchema(): Readonly<Record<string, unknown>> {
  const schema = z.toJSONSchema(configFile, { target: "draft-07", io: "input" });
  return { ...schema, title: "pdjob job" };
}
