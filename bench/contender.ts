/** What the contenders are given. Two engines for each role. */
export interface World {
  /** Of the repository. */
  readonly root: string;
  /** For configurations, sockets and logs of this run. */
  readonly dir: string;
  readonly prefillPorts: readonly number[];
  readonly decodePorts: readonly number[];
  /** Decode engines that no contender is told of: one for each change of members. */
  readonly sparePorts: readonly number[];
}

export interface Running {
  readonly port: number;
  /** Its first process; those that this one started belong to it. Absent = there is nothing between. */
  readonly pid?: number;
  readonly version: string;
  stop(): Promise<void>;
}

export interface Contender {
  readonly name: string;
  /** How many requests it makes of one. */
  readonly hops: 0 | 1 | 2;
  /** Is what it runs compiled as it runs? Then it is let do so before it is measured. */
  readonly warmsUp: boolean;
  /** Answers with why it cannot take part when what it needs is not installed. */
  start(world: World): Promise<Running | string>;
}
