import { Exit } from "./exit.ts";

const portMax = 65_535;
/** Longer than any change of a job may take by its config; a timer of Node's ends at once past 24 days. */
const waitMaxS = 14 * 24 * 60 * 60;

export const positive =
  (flag: string) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value > 0) return value;
    throw new Exit(2, `${flag} ${text}: expected a whole number above 0.`);
  };

export const portNumber =
  (flag: string) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value > 0 && value <= portMax) return value;
    throw new Exit(2, `${flag} ${text}: expected a port, from 1 to ${portMax}.`);
  };

export function secondsOfWait(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value <= waitMaxS) return value;
  throw new Exit(2, `--timeout ${text}: expected seconds, from 1 to ${waitMaxS}.`);
}
