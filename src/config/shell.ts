/** The words of a command line, or what keeps it from being one. */
export type SplitCommand =
  | { readonly ok: true; readonly words: readonly string[] }
  | { readonly ok: false; readonly message: string };

/** What a backslash escapes inside double quotes; before anything else it stands for itself. */
const escapedInDouble = '"\\$`\n';

/**
 * Splits as a POSIX shell splits words: blanks separate, '…' is literal, "…" knows \" \\ \$ \`, a backslash keeps the
 * next character, backslash and line end vanish. Nothing is expanded and no operator is known: no shell ever runs it.
 */
export function splitCommand(text: string): SplitCommand {
  const words: string[] = [];
  let word: string | undefined;
  let at = 0;
  while (at < text.length) {
    const char = text[at] ?? "";
    if (/[ \t\r\n]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
      at += 1;
      continue;
    }
    const piece = readPiece(text, at);
    if (piece === undefined) return { ok: false, message: unbalanced(char, at) };
    if (piece.text !== undefined) word = (word ?? "") + piece.text;
    at = piece.end;
  }
  if (word !== undefined) words.push(word);
  return { ok: true, words };
}

/** One quoted run, escape or character. `text` is absent for a joined line, which makes no word by itself. */
interface Piece {
  readonly text?: string;
  readonly end: number;
}

function readPiece(text: string, at: number): Piece | undefined {
  const char = text[at] ?? "";
  if (char === "'") {
    const end = text.indexOf("'", at + 1);
    return end < 0 ? undefined : { text: text.slice(at + 1, end), end: end + 1 };
  }
  if (char === '"') return readDouble(text, at);
  if (char !== "\\") return { text: char, end: at + 1 };
  if (at + 1 >= text.length) return undefined;
  return text[at + 1] === "\n" ? { end: at + 2 } : { text: text[at + 1] ?? "", end: at + 2 };
}

function readDouble(text: string, start: number): Piece | undefined {
  const kept: string[] = [];
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at] ?? "";
    if (char === '"') return { text: kept.join(""), end: at + 1 };
    const next = text[at + 1];
    if (char !== "\\" || next === undefined || !escapedInDouble.includes(next)) {
      kept.push(char);
      continue;
    }
    if (next !== "\n") kept.push(next);
    at += 1;
  }
  return undefined;
}

function unbalanced(char: string, at: number): string {
  if (char === "\\")
    return "ends in a lone backslash: remove it, or double it to mean a backslash.";
  return `opens a ${char === "'" ? "single" : "double"} quote at character ${at + 1} that is never closed: close it, or put a backslash before it to mean the character.`;
}
