/**
 * Derives merges from SentencePiece pieces: every split of a piece into two other pieces, the piece with the best score
 * first. Where scores are the order of training, as in BPE models, the result encodes as the pieces do.
 */
import type { TokenKind } from "./vocabulary.ts";

/** Kinds of pieces that are never the result of a merge. */
const APART: ReadonlySet<TokenKind | undefined> = new Set<TokenKind>(["control", "unknown", "unused", "byte"]);

/** @param scores pieces of higher score merge earlier; null: pieces of lower id merge earlier */
export function mergesOfPieces(
  pieces: readonly string[],
  kinds: readonly TokenKind[],
  scores: ArrayLike<number> | null,
): readonly (readonly [string, string])[] {
  const ids = new Map<string, number>();
  for (const [id, piece] of pieces.entries()) if (!APART.has(kinds[id]) && !ids.has(piece)) ids.set(piece, id);
  const order = [...ids.values()];
  if (scores !== null) order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0)); // stable
  const merges: (readonly [string, string])[] = [];
  for (const id of order) {
    const piece = pieces[id] ?? "";
    const cuts: { left: string; right: string; leftId: number; rightId: number }[] = [];
    for (let at = 1; at < piece.length; at++) {
      const leftId = ids.get(piece.slice(0, at));
      const rightId = leftId === undefined ? undefined : ids.get(piece.slice(at));
      if (leftId !== undefined && rightId !== undefined)
        cuts.push({ left: piece.slice(0, at), right: piece.slice(at), leftId, rightId });
    }
    cuts.sort((a, b) => a.leftId - b.leftId || a.rightId - b.rightId);
    for (const { left, right } of cuts) merges.push([left, right]);
  }
  return merges;
}
