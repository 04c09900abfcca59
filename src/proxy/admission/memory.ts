/** What request bodies take of memory together, from the first byte that is here to the end of their requests. */
export interface BodyMemory {
  /** For one request. */
  open(): BodyShare;
  /** Bytes of all that are open. */
  held(): number;
}

export interface BodyShare {
  /** False when so many bytes more have no room; then none are counted. */
  reserve(bytes: number): boolean;
  /** The request is over, and its body goes. */
  close(): void;
}

/** Many bodies that are allowed each by itself would end the process, and every stream with it. */
export function createBodyMemory(bytesMax: number): BodyMemory {
  let held = 0;
  return {
    held: () => held,
    open() {
      let mine = 0;
      return {
        reserve(bytes) {
          if (held + bytes > bytesMax) return false;
          held += bytes;
          mine += bytes;
          return true;
        },
        close() {
          held -= mine;
          mine = 0;
        },
      };
    },
  };
}
