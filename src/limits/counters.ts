/** How use is counted, wherever the counters are. Nothing here knows what a meter belongs to. */

/** The quantities that a window of one minute counts. */
export type WindowKind = "requests" | "tokens";

export const WINDOW_SECONDS = 60;

/** A demand on the window of one meter. */
export interface Demand {
  readonly id: string;
  /** At most the limit. */
  readonly points: number;
  readonly limit: number;
}

/** A meter's use after a demand. */
export interface Use {
  readonly limit: number;
  readonly remaining: number;
  /** Milliseconds until the window ends. */
  readonly msLeft: number;
}

/** Demands that were counted together. */
export interface Taken {
  /** One a demand, in order. After a refusal the last one is the refused meter's, and nothing is counted. */
  readonly uses: readonly Use[];
  readonly isRefused: boolean;
  /** Replaces the counted points by those that were really used, in windows that have not ended. */
  settle(used: number): void;
}

/** A meter, and the number of runs that it allows at the same time. */
export interface Slot {
  readonly id: string;
  readonly limit: number;
}

/** A meter that has no slot left. */
export interface Full extends Slot {
  readonly running: number;
}

export interface Counters {
  /** Counts all demands, or none of them if one does not fit into what is left of its window. */
  take(kind: WindowKind, demands: readonly Demand[]): Promise<Taken>;
  /** Takes a slot of each meter for a run, or none. @returns the meter that is full; null: the run has its slots */
  begin(run: string, slots: readonly Slot[]): Promise<Full | null>;
  /** Gives the run's slots back. */
  end(run: string): void;
}
