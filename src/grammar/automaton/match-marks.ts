/** Finds the first of several marks in a stream of bytes, as a table of edges. Method: Aho and Corasick's automaton. */

export interface MarkNode {
  /** Edges for every byte; node 0 is the start. */
  readonly edges: readonly { readonly first: number; readonly last: number; readonly target: number }[];
  /** Index of the mark that ends here; of several, the longest. */
  readonly found: number | null;
}

interface Draft {
  readonly next: Map<number, number>;
  found: number | null;
  fallback: number;
}

/** @param marks their bytes; empty ones are never found */
export function matchMarks(marks: readonly (readonly number[])[]): { readonly nodes: readonly MarkNode[] } {
  const drafts = trieOf(marks);
  const table: number[][] = [];
  // In the order of their depth, so that the table of a fallback exists before it is needed.
  for (const at of breadthFirst(drafts)) {
    const draft = drafts[at]!; // one of them
    const ofFallback = at === 0 ? null : table[draft.fallback]!;
    table[at] = Array.from({ length: 256 }, (_, byte) => draft.next.get(byte) ?? ofFallback?.[byte] ?? 0);
    for (const [byte, child] of draft.next) {
      const target = drafts[child]!;
      target.fallback = ofFallback?.[byte] ?? 0;
      target.found ??= drafts[target.fallback]!.found;
    }
  }
  return { nodes: drafts.map(({ found }, at) => ({ found, edges: rangesOf(table[at]!) })) };
}

function trieOf(marks: readonly (readonly number[])[]): Draft[] {
  const drafts: Draft[] = [{ next: new Map(), found: null, fallback: 0 }];
  for (const [index, mark] of marks.entries()) {
    let at = 0;
    for (const byte of mark) {
      let child = drafts[at]!.next.get(byte);
      if (child === undefined) {
        child = drafts.push({ next: new Map(), found: null, fallback: 0 }) - 1;
        drafts[at]!.next.set(byte, child);
      }
      at = child;
    }
    if (at !== 0) drafts[at]!.found ??= index;
  }
  return drafts;
}

function breadthFirst(drafts: readonly Draft[]): number[] {
  const order = [0];
  for (const at of order) order.push(...drafts[at]!.next.values());
  return order;
}

function rangesOf(targets: readonly number[]): MarkNode["edges"] {
  const edges: { first: number; last: number; target: number }[] = [];
  for (const [byte, target] of targets.entries()) {
    const before = edges.at(-1);
    if (before?.target === target) before.last = byte;
    else edges.push({ first: byte, last: byte, target });
  }
  return edges;
}
