import { configuredConnectors, isConfig } from "../../domain/connectors/children.ts";
import type { NeededFile } from "../../domain/connectors/connector.ts";
import { isIn } from "../../domain/connectors/version.ts";
import { roles } from "../../domain/role.ts";
import type { Role } from "../../domain/role.ts";
import { readKv } from "../kv.ts";
import { sections } from "../merge.ts";
import { nodeAt } from "../node.ts";
import { problem } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import { declaredVersion } from "../reading.ts";
import type { Reading } from "../reading.ts";

/**
 * `env:NAME` as a whole value of YAML, JSON, TOML or a shell: prose may hold those letters too. Blanks of one line alone:
 * those of many, tried anew from each of them, took 11 s for 60,000 empty lines.
 */
const reference =
  /(?:^|[:=,[{(]|^[ \t]*-)[ \t]*["']?env:([A-Za-z_][A-Za-z0-9_]*)["']?[ \t]*(?=$|[,\]})#;\r])/m;

/** A text is written to a node's disk as it is: nothing reads references in it, and no secret belongs there. */
export function filesHoldNoReferences({ draft }: Reading): readonly Problem[] {
  return sections.flatMap((section) =>
    Object.entries(draft[section]?.files ?? {}).flatMap(([name, text]) => {
      const [, variable] = reference.exec(text ?? "") ?? [];
      if (variable === undefined) return [];
      const message = `holds env:${variable}, which stays as it is: references are read in envs alone, and a secret would lie on the node's disk. Set ${variable} in envs to env:${variable} and have the engine read that variable, or keep a file of your own on the nodes.`;
      return [problem([section, "files", name], message)];
    }),
  );
}

/** What pdjob writes from the user's variables into a file is no secret, and no name of one. */
export function renderedFilesHoldNoReferences(reading: Reading): readonly Problem[] {
  return roles.flatMap((role) =>
    renderedFiles(reading, role).flatMap((file) =>
      Object.keys(file.settings).flatMap((name) => {
        const path = placeOf(reading, role, name);
        if (path === undefined) return [];
        const message = `is a reference, but is written into ${file.name} on the node's disk, where it stays as it is: write the value itself if it is no secret, or set ${file.variable} to a file of your own on the nodes.`;
        return [problem(path, message)];
      }),
    ),
  );
}

function renderedFiles(reading: Reading, role: Role): readonly NeededFile[] {
  const { draft } = reading;
  const { config } = readKv(reading, role);
  if (!isConfig(config)) return [];
  const envs = { ...draft.envs, ...draft.general?.envs, ...draft[role]?.envs };
  const files = { ...draft.general?.files, ...draft[role]?.files };
  return configuredConnectors(config).flatMap(({ known }) =>
    (known?.needs ?? []).flatMap((need) => {
      const isOfRole = need.role === undefined || need.role === role;
      const { file } = need;
      const isRendered = file && !(file.variable in envs) && !(file.name in files);
      return isOfRole && isRendered && isIn(need, declaredVersion(reading)) ? [file] : [];
    }),
  );
}

/** Where the variable that counts for a role was written, if it is a reference. */
function placeOf({ root }: Reading, role: Role, name: string): Path | undefined {
  const path = [[role, "envs"], ["general", "envs"], ["envs"]]
    .map((place) => [...place, name])
    .find((one) => nodeAt(root, one) !== undefined);
  const content = path && nodeAt(root, path)?.content;
  return content?.kind === "scalar" && /^(?:env|file):/.test(String(content.value))
    ? path
    : undefined;
}
