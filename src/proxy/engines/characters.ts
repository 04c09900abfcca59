/** Bytes by which HTTP/1.1 is read. */
export const tab = 0x09;
export const lineFeed = 0x0a;
export const carriageReturn = 0x0d;
export const space = 0x20;
const del = 0x7f;

/** May it stand in a line? The rest are control characters. */
export const isText = (byte: number): boolean => (byte >= space && byte !== del) || byte === tab;
