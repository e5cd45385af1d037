/**
 * Checks a specification as the engine's thread will compile it, but without a vocabulary. The server can therefore
 * refuse a bad grammar at once.
 */
import { buildNetwork } from "./automaton/network.ts";
import type { GrammarSpec } from "./grammar-spec.ts";
import { readGrammar } from "./read-grammar.ts";

/** @throws {AppError} invalid_request */
export function checkGrammar(spec: GrammarSpec): void {
  buildNetwork(readGrammar(spec));
}
