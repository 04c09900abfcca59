import { LineCounter, isNode, parseDocument } from "yaml";
import type { Document } from "yaml";
import { z } from "zod";
import { replicaName } from "../domain/names.ts";
import { roles } from "../domain/role.ts";
import type { JobSpec } from "../domain/spec.ts";
import { readText } from "./config-file.ts";
import { Exit } from "./exit.ts";

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

export type Endpoints = z.output<typeof endpointsFile>;

const expected =
  'Expected, as JSON or YAML: {"prefill-0": {"host": "10.0.0.7", "port": 8100, "ports": {"side_channel": 5600}}, …}';

/** Where replicas are, of a file that a person or a script wrote. Every problem with its line; exit 2 when there is one. */
export function readEndpoints(file: string, spec: JobSpec): Endpoints {
  const lines = new LineCounter();
  const document = parseDocument(readText(file, expected), { lineCounter: lines });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const syntax = document.errors.map(
    ({ pos, message }) => `${at(pos[0])}: ${message.replace(/ at line [^]*$/, "")}`,
  );
  if (syntax.length > 0) throw refusal(syntax);
  if (document.contents === null) throw refusal([`${file}: the file is empty.`]);
  const parsed = endpointsFile.safeParse(document.toJS());
  if (!parsed.success)
    throw refusal(
      parsed.error.issues.map(
        ({ path, message }) => `${at(offsetOf(document, path))}: ${pathText(path)}${message}`,
      ),
    );
  const names = namesOf(spec);
  const unknown = Object.keys(parsed.data).filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new Exit(
      2,
      `${file}: ${unknown.join(", ")} is no replica of job ${spec.name}. It has ${names.join(", ")}.`,
    );
  return parsed.data;
}

const refusal = (problems: readonly string[]): Exit =>
  new Exit(2, [...problems, expected].join("\n"));

const pathText = (path: readonly PropertyKey[]): string =>
  path.length === 0 ? "" : `${path.map(String).join(".")}: `;

/** Of the value, or of what holds it when it is missing. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let depth = path.length; depth >= 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}

const namesOf = (spec: JobSpec): readonly string[] =>
  roles.flatMap((role) =>
    Array.from({ length: spec.roles[role].replicas }, (_, index) => replicaName({ role, index })),
  );
