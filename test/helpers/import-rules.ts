/**
 * Judges source files by an import table: which folder may import which. Pure: text in, findings out; the table itself
 * is test/architecture.test.ts. It sees every static form (import, import type, export … from, import("…"), types of
 * the form import("…").T), and refuses computed imports, which it could not see through.
 */
import { posix } from "node:path";
import { parseAst } from "vitest/node";

/**
 * Row (a folder of src, a room in such a folder, a file of src, or a folder beside src) → what it may import. An entry
 * is a row, one file of a row (`model/ports.ts`), `engine/*` for a folder with all its rooms, `type X` for types alone,
 * `*` for every row of src, or `-X` to take X out of `*`.
 */
export type ImportTable = Readonly<Record<string, readonly string[]>>;

interface Import {
  /** `undefined` where the specifier is computed. */
  readonly specifier: string | undefined;
  readonly isTypeOnly: boolean;
}

type Node = Readonly<Record<string, unknown>>;

/** Files that every other may import. */
const EVERYWHERE: readonly string[] = ["src/errors.ts", "src/program-files.ts", "src/replace-file.ts"];

/** The only file that may import the native runtime, and the package's name. */
const RUNTIME_FILE = "src/runtime/ort.ts";
const RUNTIME_PACKAGE = "onnxruntime-node";

/**
 * One line for every breach in `sources` (path from the repository's root, with `/` → text); empty when all is well.
 */
export function findBreaches(sources: ReadonlyMap<string, string>, table: ImportTable): string[] {
  return [...sources].flatMap(([path, text]) => {
    const body = parseAst(text, { lang: "ts" }).body as unknown as readonly Node[];
    const breaches = [
      ...layoutBreaches(path, body, table),
      ...importsOf(body).map((i) => importBreach(path, i, table)),
    ];
    return breaches.filter((breach) => breach !== undefined).map((breach) => `${path}: ${breach}`);
  });
}

function layoutBreaches(path: string, body: readonly Node[], table: ImportTable): string[] {
  const breaches: string[] = [];
  if (table[rowOf(path, table)] === undefined) breaches.push(`"${rowOf(path, table)}" has no row in the import table`);
  if (path.split("/").includes("utils")) breaches.push("a helper lives with its first user, not in a folder utils");
  const isReexport = (node: Node) =>
    node.type === "ExportAllDeclaration" || (node.type === "ExportNamedDeclaration" && node.source !== null);
  if (path.endsWith("/index.ts") || (body.length > 0 && body.every(isReexport)))
    breaches.push("a barrel; import from the file that defines the name");
  return breaches;
}

function importBreach(path: string, { specifier, isTypeOnly }: Import, table: ImportTable): string | undefined {
  if (specifier === undefined) return "a computed import; name the file";
  if (!specifier.startsWith(".")) {
    const isRuntime = specifier === RUNTIME_PACKAGE || specifier.startsWith(`${RUNTIME_PACKAGE}/`);
    return isRuntime && path !== RUNTIME_FILE ? `only ${RUNTIME_FILE} may import ${specifier}` : undefined;
  }
  const target = posix.join(posix.dirname(path), specifier);
  const row = rowOf(path, table);
  if (EVERYWHERE.includes(target) || (rowOf(target, table) === row && !row.endsWith(".ts"))) return undefined;
  const isAllowed = mayImport(table, row, target, isTypeOnly);
  return isAllowed ? undefined : `${row} may not import ${isTypeOnly ? "a type of " : ""}${target}`;
}

function mayImport(table: ImportTable, row: string, target: string, isTypeOnly: boolean): boolean {
  const entries = table[row] ?? [];
  const targetRow = rowOf(target, table);
  const file = target.replace(/^src\//, "");
  if (file === "main.ts" || entries.includes(`-${targetRow}`)) return false;
  const allowed = [targetRow, file, `${targetRow.split("/")[0]}/*`];
  const names = isTypeOnly ? [...allowed, `type ${targetRow}`, `type ${file}`] : allowed;
  return names.some((name) => entries.includes(name)) || (entries.includes("*") && target.startsWith("src/"));
}

/**
 * "src/engine/x.ts" → "engine", "src/errors.ts" → "errors.ts", "scripts/x.ts" → "scripts"; "src/engine/kv/x.ts" →
 * "engine/kv" where the table has that row.
 */
function rowOf(path: string, table: ImportTable): string {
  const parts = path.split("/");
  if (parts[0] !== "src") return parts[0] ?? path;
  const room = parts.slice(1, 3).join("/");
  return table[room] === undefined ? (parts[1] ?? path) : room;
}

function importsOf(value: unknown): Import[] {
  if (Array.isArray(value)) return value.flatMap(importsOf);
  if (typeof value !== "object" || value === null) return [];
  const node = value as Node;
  const found = importOf(node);
  const inner = Object.values(node).flatMap(importsOf);
  return found === undefined ? inner : [found, ...inner];
}

function importOf(node: Node): Import | undefined {
  const isEdge = /^(ImportDeclaration|ExportAllDeclaration|ExportNamedDeclaration|ImportExpression|TSImportType)$/;
  if (typeof node.type !== "string" || !isEdge.test(node.type) || node.source === null) return undefined;
  const specifier = (node.source as Node).value;
  return { specifier: typeof specifier === "string" ? specifier : undefined, isTypeOnly: isTypeOnly(node) };
}

function isTypeOnly(node: Node): boolean {
  if (node.type === "TSImportType" || node.importKind === "type" || node.exportKind === "type") return true;
  const specifiers = (node.specifiers ?? []) as readonly Node[];
  return specifiers.length > 0 && specifiers.every((s) => s.importKind === "type" || s.exportKind === "type");
}
