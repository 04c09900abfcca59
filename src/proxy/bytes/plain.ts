/*
 * The inside of a JSON string is nearly all of a long prompt. It has to be looked at byte by byte for what ends it or has
 * no place in it, and four bytes at a time are a third of the work.
 */

const quote = 0x22;
const backslash = 0x5c;
const controlMax = 0x1f;
/** A shorter string is over before a view of its bytes as words would have paid. */
const shortMax = 64;

/** Of the first quote, backslash or control character from `start` on, or the text's end. */
export function endOfPlain(bytes: Buffer, start: number): number {
  let at = start;
  const soon = Math.min(bytes.length, start + shortMax);
  while (at < soon && isPlain(bytes[at] as number)) at += 1;
  if (at < soon || at === bytes.length) return at;
  at = skipWords(bytes, at);
  while (at < bytes.length && isPlain(bytes[at] as number)) at += 1;
  return at;
}

const isPlain = (byte: number): boolean =>
  byte > controlMax && byte !== quote && byte !== backslash;

/** From the next word's beginning over all words that are plain; before it when there is something else before. */
function skipWords(bytes: Buffer, start: number): number {
  const { buffer, byteOffset, length } = bytes;
  let at = start;
  while ((byteOffset + at) % 4 !== 0) {
    if (at === length || !isPlain(bytes[at] as number)) return at;
    at += 1;
  }
  const words = new Int32Array(buffer, 0, buffer.byteLength >> 2);
  const end = (byteOffset + length) >> 2;
  let word = (byteOffset + at) >> 2;
  while (word < end && areFourPlain(words[word] as number)) word += 1;
  return word * 4 - byteOffset;
}

/**
 * None of a word's four bytes is below 0x20, a quote or a backslash. A byte's highest bit is set by the subtraction when
 * the byte was smaller, and then it was not set before (Hacker's Delight, 6-1).
 */
const areFourPlain = (word: number): boolean =>
  (((word - 0x20202020) | ((word ^ 0x22222222) - 0x01010101) | ((word ^ 0x5c5c5c5c) - 0x01010101)) &
    ~word &
    0x80808080) ===
  0;
