/** The part of the statistics that only a step itself knows, and its values where no step has run. */
import type { StepStats } from "./protocol.ts";

export type StepFacts = Pick<
  StepStats,
  | "phase"
  | "seconds"
  | "rows"
  | "distinctAdapters"
  | "promptTokens"
  | "numDrafted"
  | "numAccepted"
  | "draftSource"
  | "draftSeconds"
>;

export const IDLE_FACTS: StepFacts = {
  phase: "idle",
  seconds: 0,
  rows: 0,
  distinctAdapters: 0,
  promptTokens: 0,
  numDrafted: 0,
  numAccepted: 0,
  draftSource: "text",
  draftSeconds: 0,
};
