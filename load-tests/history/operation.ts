/** One operation of a client on one register: a tenant's name, or a key. A history is a list of these. */

export type OperationKind = "put" | "delete" | "ask" | "read" | "change-key" | "use-key";

export interface Operation {
  readonly kind: OperationKind;
  /** `<tenant>/<name>`, or `key/<tenant>`. At most one write of a register runs at a time. */
  readonly register: string;
  /** Places of the request and of its answer in the one order of all requests and answers. */
  readonly start: number;
  readonly end: number;
  /**
   * done: acknowledged. refused: answered with a fault of the client's, so it has no effect. unknown: it ended in an
   * error or without an answer, and may have had its effect.
   */
  readonly outcome: "done" | "refused" | "unknown";
  /** What was written or found. null: nothing has the name. */
  readonly value: string | null;
  /** The number that the content of a put was made from. */
  readonly content?: number;
}

export const isWrite = ({ kind }: Operation): boolean => kind === "put" || kind === "delete" || kind === "change-key";
