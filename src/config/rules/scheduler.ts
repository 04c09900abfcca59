import { problem, problemAtKey, warning } from "../problem.ts";
import type { Path, Problem } from "../problem.ts";
import type { Reading } from "../reading.ts";
import { splitCommand } from "../shell.ts";

export const commandPath: Path = ["scheduler", "command"];

export function commandsAreCommands({ draft }: Reading): readonly Problem[] {
  return [
    ...commandProblems(["engine", "command"], draft.engine?.command),
    ...commandProblems(commandPath, draft.scheduler?.command),
  ];
}

function commandProblems(path: Path, text: string | undefined): readonly Problem[] {
  if (text === undefined) return [];
  const split = splitCommand(text);
  if (!split.ok) return [problem(path, split.message)];
  if (split.words.length > 0 && split.words[0] !== "") return [];
  return [problem(path, "names no program: write a command, or leave the key out.")];
}

/** A proxy that is not told its port listens elsewhere, and nobody finds it. */
export function proxyIsToldItsPort({ draft }: Reading): readonly Problem[] {
  const { command, port } = draft.scheduler ?? {};
  if (command === undefined || port === undefined || command.trim() === "") return [];
  if (command.includes("{PORT}") || command.includes(String(port))) return [];
  return [
    warning(
      commandPath,
      `does not tell the proxy its port: add {PORT}, such as --port {PORT}, or set scheduler.port to the port it takes by itself.`,
    ),
  ];
}

/** A body that is allowed would never have room. */
export function memoryHoldsABody({ draft }: Reading): readonly Problem[] {
  const { max_body_mib: body, max_memory_mib: memory } = draft.scheduler?.limits ?? {};
  if (body === undefined || memory === undefined || memory >= body) return [];
  return [
    problem(
      ["scheduler", "limits", "max_memory_mib"],
      `is less than max_body_mib, which is ${body}: raise it, or lower max_body_mib.`,
    ),
  ];
}

/** Other people's proxies choose by themselves. */
export function builtinProxyIsMeant({ draft, isBroken }: Reading): readonly Problem[] {
  if (draft.scheduler?.command === undefined && !isBroken(commandPath)) return [];
  return (["selection", "degraded", "limits", "auth"] as const)
    .filter((key) => draft.scheduler?.[key] !== undefined)
    .map((key) =>
      problemAtKey(
        ["scheduler", key],
        "is for the built-in proxy, but scheduler.command starts another: remove one of the two.",
      ),
    );
}
