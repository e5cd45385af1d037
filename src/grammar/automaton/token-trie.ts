/**
 * The tokens of a vocabulary by their bytes, as a tree in preorder. A walk can jump over a subtree. Tokens without
 * bytes are not in the tree.
 */
// Indices are bounded by the number of nodes, hence `!`.

export interface TokenTrie {
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** For each node: its byte, its depth (0 for the first byte), the node after its subtree, and its token or -1. */
  readonly bytes: Uint8Array;
  readonly depths: Uint16Array;
  readonly ends: Int32Array;
  readonly tokens: Int32Array;
  /** Another token with the same bytes, by token; -1 where there is none. */
  readonly twins: Int32Array;
  readonly maxDepth: number;
}

/**
 * The bytes of tokens by id, kept in one piece: a vocabulary of 150,000 small arrays would take 30 MB. @returns null
 * for tokens without bytes
 */
export function packTokens(tokens: readonly (Uint8Array | null)[]): (id: number) => Uint8Array | null {
  const ends = new Int32Array(tokens.length);
  let size = 0;
  for (const [id, bytes] of tokens.entries()) ends[id] = size += bytes?.length ?? 0;
  const all = new Uint8Array(size);
  for (const [id, bytes] of tokens.entries()) if (bytes !== null) all.set(bytes, ends[id]! - bytes.length);
  return (id) => {
    const start = id === 0 ? 0 : ends[id - 1];
    const end = ends[id];
    return start === undefined || end === undefined || start === end ? null : all.subarray(start, end);
  };
}

/** @param tokens bytes of each id; null or empty: the token is never allowed by a grammar */
export function buildTrie(tokens: readonly (Uint8Array | null)[]): TokenTrie {
  const ids = tokens.flatMap((bytes, id) => (bytes === null || bytes.length === 0 ? [] : [id]));
  ids.sort((a, b) => Buffer.compare(tokens[a]!, tokens[b]!) || a - b);
  const numBytes = ids.reduce((sum, id) => sum + tokens[id]!.length, 0);
  const bytes = new Uint8Array(numBytes);
  const depths = new Uint16Array(numBytes);
  const ends = new Int32Array(numBytes);
  const owners = new Int32Array(numBytes).fill(-1);
  const twins = new Int32Array(tokens.length).fill(-1);
  const path: number[] = [];
  let numNodes = 0;
  let last: Uint8Array = new Uint8Array(0);
  let maxDepth = 0;
  for (const id of ids) {
    const token = tokens[id]!;
    let shared = 0;
    while (shared < last.length && shared < token.length && last[shared] === token[shared]) shared++;
    for (const node of path.splice(shared)) ends[node] = numNodes;
    for (let depth = shared; depth < token.length; depth++) {
      bytes[numNodes] = token[depth]!;
      depths[numNodes] = depth;
      path.push(numNodes++);
    }
    const node = path.at(-1)!;
    if (owners[node] === -1) owners[node] = id;
    else {
      twins[id] = twins[owners[node]!]!;
      twins[owners[node]!] = id;
    }
    maxDepth = Math.max(maxDepth, token.length);
    last = token;
  }
  for (const node of path) ends[node] = numNodes;
  return {
    vocabSize: tokens.length,
    bytes: bytes.slice(0, numNodes),
    depths: depths.slice(0, numNodes),
    ends: ends.slice(0, numNodes),
    tokens: owners.slice(0, numNodes),
    twins,
    maxDepth,
  };
}

/**
 * The text split into the longest tokens, from its beginning on. Bytes at the end that no token matches are left out.
 */
export function longestTokens(trie: TokenTrie, text: readonly number[], maxTokens: number): number[] {
  const tokens: number[] = [];
  for (let at = 0; at < text.length && tokens.length < maxTokens;) {
    const found = longestToken(trie, text, at);
    if (found === null) break;
    tokens.push(found.id);
    at = found.end;
  }
  return tokens;
}

function longestToken(
  { bytes, ends, tokens }: TokenTrie,
  text: readonly number[],
  from: number,
): { readonly id: number; readonly end: number } | null {
  let found: { id: number; end: number } | null = null;
  let [node, end] = [0, bytes.length]; // the children of one node, from the first to the end of the last
  for (let at = from; at < text.length; at++) {
    while (node < end && bytes[node] !== text[at]) node = ends[node]!;
    if (node >= end) break;
    if (tokens[node]! >= 0) found = { id: tokens[node]!, end: at + 1 };
    end = ends[node]!;
    node++;
  }
  return found;
}
