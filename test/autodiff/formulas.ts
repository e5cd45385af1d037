/** Formulas, in float64, of operators that only exist in float32. Indices are bounded by their loops, hence `!`. */

export type Formula = (...inputs: Float64Array[]) => number[];

/** x is [1,3,2·4] (three positions, two heads of four), tables [5,2]. */
export const rotaryFormula: Formula = (x) => {
  const { cos, sin } = rotaryAngles();
  return Array.from(x, (value, i) => {
    const [position, within] = [[4, 0, 2][Math.floor(i / 8)]!, i % 4];
    const angle = position * 2 + (within % 2);
    const partner = x[within < 2 ? i + 2 : i - 2]!;
    return value * cos[angle]! + (within < 2 ? -partner : partner) * sin[angle]!;
  });
};

export const rotaryAngles = () => {
  const angles = Array.from({ length: 10 }, (_, i) => 0.3 + 0.7 * i);
  return {
    cos: angles.map((angle) => Math.fround(Math.cos(angle))),
    sin: angles.map((angle) => Math.fround(Math.sin(angle))),
  };
};

/** Series and continued fraction are not needed: Simpson's rule on the integral is exact enough here. */
export const erfFormula: Formula = (x) =>
  Array.from(x, (upper) => {
    const n = 2000;
    const h = upper / n;
    let sum = 0;
    for (let i = 0; i <= n; i++) sum += (i === 0 || i === n ? 1 : i % 2 ? 4 : 2) * Math.exp(-((i * h) ** 2));
    return ((2 / Math.sqrt(Math.PI)) * sum * h) / 3;
  });

export const quickGeluFormula =
  (alpha: number): Formula =>
  (x) =>
    Array.from(x, (value) => value / (1 + Math.exp(-alpha * value)));

export const geluTanhFormula: Formula = (x) =>
  Array.from(x, (value) => (value / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3))));
