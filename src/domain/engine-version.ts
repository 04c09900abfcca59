/** What the engines' own command told of their vLLM, on the nodes, before anything was reserved. */
export interface EngineVersion {
  /** `0.32.0`; absent when no node could tell. */
  readonly version?: string;
  /** What an operator should know of it, each a sentence. */
  readonly notes: readonly string[];
}
