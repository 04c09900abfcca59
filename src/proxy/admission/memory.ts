/**
 * What request bodies take of memory together, from the first byte that is here to the end of their requests. Those that are
 * made of one for its several prompts count as well.
 */
export interface BodyMemory {
  /** For one request. */
  open(): BodyShare;
  /** Bytes of all that are open. */
  held(): number;
}

export interface BodyShare {
  /** False when so many bytes more have no room; then none are counted. */
  reserve(bytes: number): boolean;
  /** What a client is told when there was none. */
  readonly noRoom: string;
  /** The request is over, and its body goes. */
  close(): void;
}

/** Many bodies that are allowed each by itself would end the process, and every stream with it. */
export function createBodyMemory(bytesMax: number): BodyMemory {
  let held = 0;
  const noRoom = `The bodies of all requests are more than ${bytesMax} bytes: ask again, or raise scheduler.limits.max_memory_mib.`;
  return {
    held: () => held,
    open() {
      let mine = 0;
      return {
        noRoom,
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
