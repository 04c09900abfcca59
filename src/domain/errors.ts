/** Every way in which pdjob can fail, and whether trying the same thing again can help. */
export const isRetryable = {
  AgentUnreachable: true,
  RayUnreachable: true,
  ClusterChanged: true,
  RankLost: false,
  PlacementPending: true,
  PlacementInfeasible: false,
  PlacementTimeout: false,
  StaleGeneration: false,
  EngineNotStarted: false,
  EngineExited: false,
  EngineHealthTimeout: false,
  CanaryFailed: false,
  ProxyNotStarted: false,
  ProxyExited: false,
  ProxyTimeout: false,
  MembershipRefused: false,
  DeployTimeout: false,
  LogNotFound: false,
  SecretMissing: false,
  AuthDenied: false,
  SpecInvalid: false,
  Internal: true,
} as const satisfies Readonly<Record<string, boolean>>;

export type ErrorCode = keyof typeof isRetryable;

/** A failure as data. `message` says what failed, on what, the numbers, and what to do. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
}

/**
 * A failure of the cluster under us, not of what the user asked for: it is healed even during a first deployment,
 * which every other failure ends.
 */
export const isClusterFault = ({ code }: Failure): boolean =>
  ["ClusterChanged", "RankLost", "RayUnreachable", "AgentUnreachable"].includes(code);

/** The one error class of adapters and activities: a code from the table above and a sentence for the operator. */
export class PdjobError extends Error {
  override readonly name = "PdjobError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(isRetryable, text);
