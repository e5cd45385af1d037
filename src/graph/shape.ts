/**
 * Shapes with named dimensions. A dimension is a number, a name ("B"), or a product of names and one number ("2*B*T").
 * "1|M" is a dimension that is either 1 or M: the input is given once for all rows or once for each row. Pure.
 */

export type Dim = number | string;
export type Shape = readonly Dim[];

/** A factored dimension: its number, and its names in alphabetical order. */
interface Monomial {
  readonly factor: number;
  readonly names: readonly string[];
}

function monomial(dim: Dim): Monomial {
  if (typeof dim === "number") return { factor: dim, names: [] };
  let factor = 1;
  const names: string[] = [];
  for (const part of dim.split("*")) {
    if (/^\d+$/.test(part)) factor *= Number(part);
    else names.push(part);
  }
  return { factor, names: names.sort() };
}

function fromMonomial({ factor, names }: Monomial): Dim {
  if (factor === 0 || names.length === 0) return factor;
  return factor === 1 ? names.join("*") : [factor, ...names].join("*");
}

/** The product of dimensions in canonical form: `product(["T", 2, "B"])` is "2*B*T". */
export function product(dims: readonly Dim[]): Dim {
  const parts = dims.map(monomial);
  return fromMonomial({
    factor: parts.reduce((factor, part) => factor * part.factor, 1),
    names: parts.flatMap((part) => part.names).sort(),
  });
}

/** `dividend / divisor` when it divides exactly, otherwise null: `quotient("2*B*T", "B")` is "2*T". */
export function quotient(dividend: Dim, divisor: Dim): Dim | null {
  const a = monomial(dividend);
  const b = monomial(divisor);
  if (b.factor === 0 || a.factor % b.factor !== 0) return null;
  const names = [...a.names];
  for (const name of b.names) {
    const at = names.indexOf(name);
    if (at < 0) return null;
    names.splice(at, 1);
  }
  return fromMonomial({ factor: a.factor / b.factor, names });
}

/** Whether two dimensions are the same in canonical form. */
export function sameDim(a: Dim, b: Dim): boolean {
  return a === b || product([a]) === product([b]);
}

/** Whether two shapes are the same, dimension by dimension. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => sameDim(dim, b[i]!));
}

/** The result of broadcasting two dimensions by ONNX's (numpy's) rule, or null where they do not fit. */
function broadcastDim(a: Dim, b: Dim): Dim | null {
  if (sameDim(a, b)) return a;
  if (a === 1) return b;
  if (b === 1) return a;
  if (typeof a === "string" && a.startsWith("1|") && sameDim(a.slice(2), b)) return b;
  if (typeof b === "string" && b.startsWith("1|") && sameDim(b.slice(2), a)) return a;
  return null;
}

/** The result of broadcasting two shapes, aligned at the right, or null where they do not fit. */
export function broadcast(a: Shape, b: Shape): Shape | null {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const dim = broadcastDim(a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1);
    if (dim === null) return null;
    out.push(dim);
  }
  return out;
}

/** "[B,T,64]", the form in messages and printed graphs. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(",")}]`;
}
