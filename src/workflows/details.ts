import type { Failure } from "../domain/errors.ts";
import type { JobStatus } from "../domain/status.ts";

/** Events in the block; the whole block must stay far below the server's 20 kB. */
const eventsShown = 12;
const noteLength = 160;
const replicasShown = 40;
const actionsShown = 20;
/** Characters of the log of what is down. */
const tailLength = 2_000;

/** The markdown block that the Web UI shows on the job's page. */
export function renderDetails({
  job,
  phase,
  reason,
  proxy,
  replicas,
  events,
  inFlight,
  failure,
}: JobStatus): string {
  const shown = replicas.slice(0, replicasShown);
  const rows = shown.map(
    ({ name, generation, phase: state, outdated, url, note }) =>
      `| ${name} | g${generation} | ${state}${outdated ? ", outdated" : ""} | ${url ?? ""} | ${cell(note)} |`,
  );
  const more =
    replicas.length > shown.length ? [`| … ${replicas.length - shown.length} more | | | | |`] : [];
  return [
    `**${job}: ${phase}** – ${cell(reason)}`,
    ...logLines([...replicas, proxy].find((one) => one.phase === "DOWN")?.failure),
    ...(failure ? ["", `Failure: ${failure.code}: ${cell(failure.message)}`] : []),
    "",
    `Proxy: ${proxy.phase}${proxy.url ? ` at ${proxy.url}` : ""}${proxy.builtin ? " (built-in)" : " (external command)"}`,
    "",
    "| replica | generation | state | address | note |",
    "|---|---|---|---|---|",
    ...rows,
    ...more,
    "",
    `In flight: ${listed(inFlight)}`,
    "",
    ...events
      .slice(-eventsShown)
      .map(({ atMs, text }) => `- ${new Date(atMs).toISOString()} ${cell(text)}`),
  ].join("\n");
}

function listed(actions: readonly string[]): string {
  const more = actions.length - actionsShown;
  const shown = actions.slice(0, actionsShown).join(", ") || "nothing";
  return more > 0 ? `${shown}, … ${more} more` : shown;
}

/** The last lines of its log, as a block of code. */
function logLines(failure: Failure | undefined): readonly string[] {
  const [, ...lines] = failure?.message.split("\n") ?? [];
  const tail = lines.join("\n").slice(-tailLength);
  return tail ? ["", "```", tail.replaceAll("```", "'''"), "```"] : [];
}

const cell = (text: string | undefined): string => {
  const line = (text ?? "").replaceAll(/[\n|]+/g, " ");
  return line.length > noteLength ? `${line.slice(0, noteLength)}…` : line;
};
