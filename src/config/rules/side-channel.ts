import {
  isLoopback,
  isWildcard,
  sideChannelHost,
  sideChannelPort,
} from "../../domain/connectors/side-channel.ts";
import { sections } from "../merge.ts";
import { problem, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";

const leaveItOut = "leave it out, and each replica gets its own node's address.";

/** Decode is sent to that address, and a placeholder in it is the user's own affair. */
export function sideChannelsAreReachable(reading: Reading): readonly Problem[] {
  return envsOf(reading, sideChannelHost).flatMap(({ path, value }) => {
    if (isWildcard(value))
      return [problem(path, `is ${value}, to which no other engine can be sent: ${leaveItOut}`)];
    if (isLoopback(value))
      return [
        warning(
          path,
          `is ${value}, which is another place on every node: ${leaveItOut} On more than one node the job is refused.`,
        ),
      ];
    return [];
  });
}

/** Two replicas meet on a node, and a restarted one must not be taken for the one before. */
export function sideChannelsAreApart(reading: Reading): readonly Problem[] {
  return envsOf(reading, sideChannelPort)
    .filter(({ value }) => /^\d+$/.test(value))
    .map(({ path, value }) =>
      warning(
        path,
        `is ${value} for each replica and each start: two on one node cannot both have it, and a restarted engine is taken for the one before. Leave it out, and each start gets a free one.`,
      ),
    );
}

function envsOf(
  { draft }: Reading,
  name: string,
): readonly { readonly path: Path; readonly value: string }[] {
  const places = [
    { path: ["envs"], envs: draft.envs },
    ...sections.map((section) => ({ path: [section, "envs"], envs: draft[section]?.envs })),
  ];
  return places.flatMap(({ path, envs }) => {
    const value = envs?.[name];
    return value === undefined || value === null
      ? []
      : [{ path: [...path, name], value: String(value) }];
  });
}
