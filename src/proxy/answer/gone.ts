/**
 * Whether a request is over before its answer is: its client left, or the proxy stops. An AbortController would say the
 * same, and cost about as much as everything else that is kept of a request.
 */
export class Gone {
  #reason: Error | undefined;
  readonly #listeners = new Set<() => void>();

  /** Undefined while it goes on. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** Only the first reason counts. */
  end(reason: Error): void {
    if (this.#reason) return;
    this.#reason = reason;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  onEnd(listener: () => void): void {
    this.#listeners.add(listener);
  }

  off(listener: () => void): void {
    this.#listeners.delete(listener);
  }
}
