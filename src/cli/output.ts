import { styleText } from "node:util";

/** Columns as wide as their widest cell. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export const print = (text: string): void => void process.stdout.write(`${text}\n`);
export const printJson = (value: unknown): void => print(JSON.stringify(value, null, 2));
export const warn = (text: string): void => void process.stderr.write(`${text}\n`);

/** A message without the log lines that may follow it. */
export const headline = (text: string): string =>
  (text.split("\n", 1)[0] ?? "").replace(/ Its last lines:$/, "");

/** Colour on terminals only, and never under NO_COLOR. */
export function colour(style: "red" | "green" | "yellow" | "dim" | "bold", text: string): string {
  return process.stdout.isTTY && !process.env["NO_COLOR"] ? styleText(style, text) : text;
}

/** A word list as one line that a shell would split into the same words. */
export const shellLine = (words: readonly string[]): string =>
  words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(" ");
