import { Exit } from "./exit.ts";

const portMax = 65_535;

export function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Exit(2, `${text}: expected a whole number above 0.`);
}

export function portNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0 && value <= portMax) return value;
  throw new Exit(2, `${text}: expected a port, from 1 to ${portMax}.`);
}
