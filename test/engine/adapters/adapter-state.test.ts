/**
 * The whole table of an adapter's states: every state meets every event. Beside the table, laws over random histories:
 * an adapter holds a row or a reason exactly where its state says so, is released once for every time it was held, and
 * no sequence waits for a load that nobody ordered.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AdapterEvent,
  type AdapterOrder,
  type AdapterState,
  nextState,
} from "../../../src/engine/adapters/adapter-state.ts";

const EVENTS: readonly AdapterEvent[] = [
  "asked",
  "expected",
  "loaded",
  "load-failed",
  "load-ahead-failed",
  "evicted",
  "dropped",
];

/** Of each state, by event: the next state and the orders; "-": nothing changes. */
const TABLE: Record<AdapterState, readonly string[]> = {
  // asked, expected, loaded, load-failed, ahead-failed, evicted, dropped
  absent: ["loading load", "loading load", "spare keep", "-", "absent release", "-", "-"],
  loading: ["-", "-", "waiting set-aside", "failed set-aside", "-", "-", "abandoned"],
  abandoned: ["loading load", "loading load", "absent release", "absent release", "-", "-", "-"],
  waiting: ["ready count-miss keep", "-", "-", "-", "-", "absent release", "absent release"],
  spare: ["ready count-miss", "-", "-", "-", "-", "absent release", "absent release"],
  ready: ["ready count-hit", "-", "-", "-", "-", "absent release", "absent release"],
  failed: ["absent count-miss release", "-", "-", "-", "-", "absent release", "absent release"],
};

const cases = Object.entries(TABLE).flatMap(([state, row]) =>
  EVENTS.map((event, i) => ({ state: state as AdapterState, event, wanted: row[i] === "-" ? state : row[i] })),
);

describe("an adapter", () => {
  it.each(cases)("that is $state and is $event becomes $wanted", ({ state, event, wanted }) => {
    const { state: next, orders } = nextState(state, event);
    expect([next, ...orders].join(" ")).toBe(wanted);
  });

  it("is held where its state says so, and released as often as it was held", () => {
    const holding: readonly AdapterState[] = ["waiting", "spare", "ready", "failed"];
    const changesOf: Partial<Record<AdapterOrder, number>> = { "set-aside": 1, keep: 1, release: -1 };
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...EVENTS)), (history) => {
        let state: AdapterState = "absent";
        let isHeld = false;
        for (const event of history) {
          const { state: next, orders } = nextState(state, event);
          for (const order of orders) isHeld = order in changesOf ? (changesOf[order] ?? 0) > 0 : isHeld;
          expect(isHeld, `${state} ${event}`).toBe(holding.includes(next));
          if (next === "loading" && state !== "loading") expect(orders).toContain("load");
          state = next;
        }
        if (holding.includes(state))
          expect(nextState(state, "dropped")).toEqual({ state: "absent", orders: ["release"] });
      }),
    );
  });
});
