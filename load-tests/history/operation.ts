/** One operation of a client on one register: a tenant's name, an alias, or a key. A history is a list of these. */

export const OPERATION_KINDS = [
  "put",
  "rollback",
  "delete",
  "change-alias",
  "ask",
  "read",
  "use-key",
  "change-key",
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

/** Between the generations of an alias. */
export const VALUES = "|";

export interface Operation {
  readonly kind: OperationKind;
  /** `<tenant>/<name>` of an adapter or alias, or `key/<tenant>`. At most one write of a register runs at a time. */
  readonly register: string;
  /** Places of the request and of its answer in the one order of all requests and answers. */
  readonly start: number;
  readonly end: number;
  /**
   * done: acknowledged. refused: answered with a fault of the client's, so it has no effect. unknown: it ended in an
   * error or without an answer, and may have had its effect.
   */
  readonly outcome: "done" | "refused" | "unknown";
  /** The generation that was written or found, or those of an alias. null: nothing has the name. */
  readonly value: string | null;
  /** The number that the written content was made from. */
  readonly content?: number;
}

const WRITES: readonly OperationKind[] = ["put", "rollback", "delete", "change-alias", "change-key"];

export const isWrite = ({ kind }: Pick<Operation, "kind">): boolean => WRITES.includes(kind);
