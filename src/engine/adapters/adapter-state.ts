/**
 * The states of an adapter in an engine process, as a pure machine: an event comes in, the next state and orders come out.
 * absent → loading → waiting or spare → ready → absent (evicted or dropped); or loading → failed → absent.
 * It knows no rows, no threads and no sizes: `ready-adapters.ts` keeps the rows and carries the orders out.
 */

/** An adapter that is in no table is absent. */
export type AdapterState =
  | "absent"
  /** It is wanted and its load is ordered. Only the loader thread sees when the load begins. */
  | "loading"
  /** Its content was dropped before the load ended. */
  | "abandoned"
  /** Loaded for a sequence that has not come back for it. It is set aside, so that it cannot be evicted by size. */
  | "waiting"
  /** Loaded because the server expected a sequence, and not used yet. It is kept as long as it fits. */
  | "spare"
  /** Kept, and used before. */
  | "ready"
  /** It cannot be loaded. The reason is set aside for the sequence that wanted it. */
  | "failed";

export type AdapterEvent =
  /** A sequence needs it now. */
  | "asked"
  /** A sequence will need it soon. */
  | "expected"
  /** Its row has come. */
  | "loaded"
  /** A load that this process ordered has failed. */
  | "load-failed"
  /** A load that the server ordered ahead has failed. */
  | "load-ahead-failed"
  /** Its place was needed for another. */
  | "evicted"
  /** Its content is gone from the store. */
  | "dropped";

export type AdapterOrder =
  /** Put its generation into the loader's queue. */
  | "load"
  /** Hold the row, or the reason of the failure, for the sequence that wanted it. */
  | "set-aside"
  /** Keep the row for as long as it fits. */
  | "keep"
  | "count-hit"
  | "count-miss"
  /** Let go of the row or the reason, and report that the adapter is not here any more. */
  | "release";

export interface Transition {
  readonly state: AdapterState;
  readonly orders: readonly AdapterOrder[];
}

const to = (state: AdapterState, ...orders: AdapterOrder[]): Transition => ({ state, orders });

/** An event that is not named for a state changes nothing there. */
const TRANSITIONS: Record<AdapterState, Partial<Record<AdapterEvent, Transition>>> = {
  absent: {
    asked: to("loading", "load"),
    expected: to("loading", "load"),
    loaded: to("spare", "keep"),
    "load-ahead-failed": to("absent", "release"),
  },
  loading: {
    loaded: to("waiting", "set-aside"),
    "load-failed": to("failed", "set-aside"),
    dropped: to("abandoned"),
  },
  abandoned: {
    asked: to("loading", "load"),
    expected: to("loading", "load"),
    loaded: to("absent", "release"),
    "load-failed": to("absent", "release"),
  },
  waiting: {
    asked: to("ready", "count-miss", "keep"),
    evicted: to("absent", "release"),
    dropped: to("absent", "release"),
  },
  spare: {
    asked: to("ready", "count-miss"),
    evicted: to("absent", "release"),
    dropped: to("absent", "release"),
  },
  ready: {
    asked: to("ready", "count-hit"),
    evicted: to("absent", "release"),
    dropped: to("absent", "release"),
  },
  failed: {
    asked: to("absent", "count-miss", "release"),
    evicted: to("absent", "release"),
    dropped: to("absent", "release"),
  },
};

/** What an event does to an adapter. */
export function nextState(state: AdapterState, event: AdapterEvent): Transition {
  return TRANSITIONS[state][event] ?? to(state);
}
