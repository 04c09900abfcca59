import type { Command } from "commander";
import type { Failure } from "../domain/errors.ts";
import { withClient, withConnection } from "./connection.ts";
import type { ConnectionFlags } from "./connection.ts";
import { isOver } from "./follow.ts";
import { colour, columns, headline, print, printJson } from "./output.ts";
import { standingOf, watch } from "./watch.ts";
import type { Standing } from "./watch.ts";

const eventsShown = 10;

export function addStatus(program: Command): void {
  withConnection(program.command("status"))
    .description("show how a job stands")
    .argument("<job>", "the job's name")
    .option("--json", "print the status as JSON")
    .option("--watch", "print it again whenever it changes, until the job ends")
    .addHelpText(
      "after",
      "\nExamples:\n  pdjob-client status quickstart\n  pdjob-client status quickstart --watch\n  pdjob-client status quickstart --json | jq .replicas",
    )
    .action(async (job: string, flags: ConnectionFlags & { json?: boolean; watch?: boolean }) => {
      await withClient(flags, async (client) => {
        const show = shower(flags.json ?? false);
        if (flags.watch) await watch({ client, job, show });
        else show(await standingOf(client, job));
      });
    });
}

/** Prints what differs from what was printed last. */
function shower(isJson: boolean): (standing: Standing) => void {
  let last = "";
  return (standing) => {
    const text = isJson ? JSON.stringify(standing) : renderStatus(standing);
    if (text === last) return;
    if (isJson) printJson(standing);
    else print(last === "" ? text : `\n${text}`);
    last = text;
  };
}

export function renderStatus({
  job,
  phase,
  reason,
  revision = 1,
  desired,
  ready,
  replicas,
  proxy,
  inFlight,
  events,
  failure,
  isPast,
  unattended,
}: Standing): string {
  const was = isPast ? "was " : "";
  // Of a job that has ended there is none, as of one that has not begun.
  const isGone = proxy.phase === "PENDING" && phase !== "TERMINATED" && isOver(phase);
  const rows = replicas.map((replica) => [
    replica.name,
    `g${replica.generation}`,
    `${was}${replica.phase}${replica.outdated ? ", outdated" : ""}`,
    replica.url ?? "",
    noteOf(replica),
  ]);
  const counts = (["prefill", "decode"] as const)
    .map((role) => `${ready[role]}/${desired[role]} ${role}`)
    .join(", ");
  return [
    `${colour("bold", job)}  ${phase}  ${failure ? "" : reason}`.trimEnd(),
    ...(failure ? [`failure: ${failure.code}: ${failure.message}`] : []),
    ...(unattended ? [lastLooked(unattended)] : []),
    `${was}ready: ${counts}${revision > 1 ? `  (revision ${revision})` : ""}`,
    `proxy: ${[`${was}${isGone ? "STOPPED" : proxy.phase}`, proxy.builtin ? "built-in" : "external", proxy.url ?? "", ...degradedText(proxy), proxy.note ?? ""].filter(Boolean).join("  ")}`,
    "",
    columns([["REPLICA", "GEN", "STATE", "ADDRESS", "NOTE"], ...rows]),
    ...reasonsDown([...replicas, { ...proxy, name: "proxy" }], isPast ? "was" : "is"),
    "",
    `${was}doing: ${inFlight.length > 0 ? inFlight.join(", ") : "nothing"}`,
    ...events
      .slice(-eventsShown)
      .map(({ atMs, text }) => colour("dim", `${new Date(atMs).toISOString()}  ${headline(text)}`)),
  ].join("\n");
}

/** What a drain waits for is no part of the note itself: that is told to who follows, and would change all the time. */
function noteOf({ phase, note, inFlight, nodeIps }: Standing["replicas"][number]): string {
  if (note !== undefined) return note;
  if (phase === "DRAINING" && inFlight) return `${inFlight} in flight`;
  return nodeIps ? `spans ${nodeIps.join(", ")}` : "";
}

const degradedText = ({ degraded }: Standing["proxy"]): readonly string[] =>
  degraded ? [`degraded: ${degraded}, no prefill replica serves and decode computes prompts`] : [];

/** In words for who sees READY above: it was so when somebody looked last. */
const lastLooked = ({ sinceMs, activity, message }: NonNullable<Standing["unattended"]>): string =>
  colour(
    "yellow",
    `not looked after since about ${new Date(sinceMs).toISOString().slice(0, 19)}Z: ${headline(message)} (${activity})`,
  );

/** With the last lines of its log, which follow in the message. */
const reasonsDown = (
  parts: readonly {
    readonly name: string;
    readonly phase: string;
    readonly failure?: Failure;
  }[],
  verb: "is" | "was",
): readonly string[] =>
  parts.flatMap(({ name, phase, failure }) =>
    phase === "DOWN" && failure ? ["", `${name} ${verb} DOWN: ${failure.message}`] : [],
  );
