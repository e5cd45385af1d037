/**
 * The modules that a PEFT configuration selects. When peft loads an adapter, it silently drops the tensors of all other
 * modules. Source: peft 0.21, `check_target_module_exists`.
 */
import { firstMatches, isReadable } from "./peft-match.ts";

type Json = Readonly<Record<string, unknown>>;

/** peft turns this word into the names of all linear layers. */
const ALL_LINEAR = "all-linear";

/**
 * The first path that the configuration does not select, with the setting that leaves it out. null: all are selected.
 * A setting that cannot be read here, such as a pattern in Python's own syntax, counts as selecting everything.
 */
export function firstUnselected(config: Json, paths: readonly string[]): readonly [path: string, key: string] | null {
  const { target_modules: targets, exclude_modules: excluded } = config;
  const byExclusion = hasNoEntries(excluded) ? null : selected(excluded, paths);
  const out = byExclusion === null ? -1 : byExclusion.indexOf(true);
  if (out >= 0) return [paths[out] ?? "", "exclude_modules"];
  if (hasNoEntries(targets)) return null;
  const byTarget = isAllLinear(targets) ? null : selected(targets, paths);
  const missing = byTarget === null ? -1 : byTarget.indexOf(false);
  if (missing >= 0) return [paths[missing] ?? "", "target_modules"];
  const other = Array.isArray(targets) ? paths.find((path) => !isInLayers(config, targets, path)) : undefined;
  return other === undefined ? null : [other, "layers_to_transform"];
}

/** For each path, whether the names or the pattern match it. null: the pattern cannot be read here. */
function selected(setting: unknown, paths: readonly string[]): readonly boolean[] | null {
  if (Array.isArray(setting))
    return paths.map((path) => setting.some((name) => path === name || path.endsWith(`.${String(name)}`)));
  if (typeof setting !== "string" || !isReadable(`^(?:${setting})$`)) return null;
  return firstMatches([`^(?:${setting})$`], paths)?.map((index) => index === 0) ?? null;
}

/** Whether layers_to_transform selects the path. A path that target_modules names in full is selected in any layer. */
function isInLayers(config: Json, targets: readonly unknown[], path: string): boolean {
  const { layers_to_transform: layers, layers_pattern: pattern } = config;
  if (hasNoEntries(layers) || targets.includes(path)) return true;
  const names = hasNoEntries(pattern) ? ["[^.]*"] : Array.isArray(pattern) ? pattern.map(String) : [String(pattern)];
  const prefix = hasNoEntries(pattern) ? ".*?\\." : "(?:^|.*?\\.)";
  const sources = names.map((name) => `^${prefix}(?:${name})\\.(\\d+)\\.`);
  if (!sources.every(isReadable)) return true;
  const index = sources.map((source) => new RegExp(source, "u").exec(path)?.[1]).find((found) => found !== undefined);
  return index !== undefined && (Array.isArray(layers) ? layers : [layers]).includes(Number(index));
}

function isAllLinear(targets: unknown): boolean {
  return typeof targets === "string" && targets.toLowerCase() === ALL_LINEAR;
}

function hasNoEntries(setting: unknown): boolean {
  return (
    setting === undefined || setting === null || (typeof setting === "object" && Object.keys(setting).length === 0)
  );
}
