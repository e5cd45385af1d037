/** Three replicas with their router, as the clients and the disturbance see them. */
import type { IncomingHttpHeaders } from "node:http";
import type { Target } from "../client/stream.ts";

export interface Fleet extends AsyncDisposable {
  readonly target: Target;
  /** The replica that answered, in the router's words. */
  readonly servedBy: (headers: IncomingHttpHeaders) => string | null;
  /** Replicas that can answer, as far as the fleet knows. */
  numReady(): number;
  /** Kills a ready replica, which starts again without a further call. @param turn counts the kills */
  kill(turn: number): Promise<void>;
  /** Restarts all replicas in turn, as an upgrade does. @returns their number */
  roll(): Promise<number>;
  /** Resolves when the killed replicas have started again. */
  settle(): Promise<void>;
}
