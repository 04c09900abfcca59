/** A generation of `prefill-0`, of one of its ranks, or of `proxy`. */
interface At {
  readonly job: string;
  readonly name: string;
  readonly generation?: number;
  readonly rank?: number | undefined;
}

// What to do about a failure is the last line of its message: where its sentence is shown alone, it is left out.

/** For what ended by itself: its own output tells why. */
export const afterExit = (at: At): string => `\nNext: ${logsOf(at)} shows all of its output.`;

/** For what is gone, or silent, with or without its node. */
export const afterLoss = (at: At): string =>
  `\nNext: pdjob-client doctor tells which nodes are alive, ${logsOf(at)} what it wrote, and pdjob-client status ${at.job} --watch how it heals.`;

const logsOf = ({ job, name, generation, rank = 0 }: At): string =>
  `pdjob-client logs ${job} ${name}${generation === undefined ? "" : ` --generation ${generation}`}${rank > 0 ? ` --rank ${rank}` : ""}`;
