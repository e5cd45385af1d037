/**
 * The states of an adapter in an engine process, as a pure state machine. An event leads to the next state and to
 * orders. absent → loading → waiting or spare → ready → absent (evicted or dropped); or loading → failed → absent. It
 * knows no rows, threads or sizes. `ready-adapters.ts` keeps the rows and carries the orders out.
 */

/** An adapter without an entry is absent. */
export type AdapterState =
  | "absent"
  /** A load is ordered. Only the loader thread sees when the load begins. */
  | "loading"
  /** Its content was dropped before the load ended. */
  | "abandoned"
  /** Loaded for a sequence that has not returned for it. It is set aside, so that it cannot be evicted by size. */
  | "waiting"
  /** Loaded because the server expected a sequence, and not used yet. It is kept as long as it fits. */
  | "spare"
  /** Kept, and used at least once. */
  | "ready"
  /** It cannot be loaded. The reason is set aside for the sequence that wanted it. */
  | "failed";

export type AdapterEvent =
  /** A sequence needs it now. */
  | "asked"
  /** A sequence will need it soon. */
  | "expected"
  /** Its row has arrived. */
  | "loaded"
  /** A load that this process ordered has failed. */
  | "load-failed"
  /** A load that the server ordered ahead has failed. */
  | "load-ahead-failed"
  /** Its place was needed for another adapter. */
  | "evicted"
  /** Its content has left the store. */
  | "dropped";

export type AdapterOrder =
  /** Add its generation to the loader's queue. */
  | "load"
  /** Hold the row, or the reason of the failure, for the sequence that wanted it. */
  | "set-aside"
  /** Keep the row for as long as it fits. */
  | "keep"
  | "count-hit"
  | "count-miss"
  /** Release the row or the reason, and report that the adapter is no longer here. */
  | "release";

export interface Transition {
  readonly state: AdapterState;
  readonly orders: readonly AdapterOrder[];
}

const to = (state: AdapterState, ...orders: AdapterOrder[]): Transition => ({ state, orders });

/** Transitions. An event that is not named for a state changes nothing there. */
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

/** Returns the next state, and the orders that follow from an event. */
export function nextState(state: AdapterState, event: AdapterEvent): Transition {
  return TRANSITIONS[state][event] ?? to(state);
}
