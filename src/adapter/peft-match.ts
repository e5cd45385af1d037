/** Matches regular expressions of a PEFT configuration with module paths, within a time limit. Knows no settings. */
import vm from "node:vm";

export const MATCH_TIMEOUT_MS = 2000;
const MATCH = `(() => {
  const patterns = keys.map((key) => new RegExp(key, "u"));
  return paths.map((path) => patterns.findIndex((pattern) => pattern.test(path)));
})()`;

/**
 * Whether a pattern can be read here. Syntax that Python writes differently ("\\Z", "(?P<…>)") is an error in Unicode
 * mode. It never silently matches something else.
 */
export function isReadable(pattern: string): boolean {
  try {
    void new RegExp(pattern, "u");
    return true;
  } catch {
    return false;
  }
}

/**
 * The index of the first pattern that matches each path, or -1; null where matching takes too long. It runs in a
 * separate context, so that a pattern that never ends can be stopped.
 */
export function firstMatches(patterns: readonly string[], paths: readonly string[]): readonly number[] | null {
  try {
    const sandbox = { keys: [...patterns], paths: [...paths] };
    const found = vm.runInNewContext(MATCH, sandbox, { timeout: MATCH_TIMEOUT_MS }) as ArrayLike<number>;
    return Array.from(found);
  } catch {
    return null;
  }
}
