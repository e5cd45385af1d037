/**
 * Spends a budget of bytes on matrices: each has several forms, and a form of more bytes loses less. The steps that
 * save most for their bytes are taken first. Pure.
 */
// Indices are bounded by their loops, hence `!`.

/** One form of a matrix. */
export interface Form {
  readonly bytes: number;
  /** Expected loss, on a scale that is the same for all matrices. */
  readonly loss: number;
}

/** From one form of a matrix to a larger one. */
interface Step {
  readonly matrix: number;
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
  /** Loss that is saved for each byte. */
  readonly gain: number;
}

/** @returns the number of bytes with the smallest form of every matrix */
export function leastBytes(matrices: readonly (readonly Form[])[]): number {
  return matrices.reduce((sum, forms) => sum + Math.min(...forms.map(({ bytes }) => bytes)), 0);
}

/**
 * The form of each matrix, as an index of its forms.
 * @param budget bytes, at least `leastBytes`
 */
export function spendBudget(matrices: readonly (readonly Form[])[], budget: number): readonly number[] {
  const hulls = matrices.map(usefulForms);
  const chosen = hulls.map((hull) => hull[0]!);
  let left = budget - chosen.reduce((sum, at, matrix) => sum + matrices[matrix]![at]!.bytes, 0);
  const steps = hulls.flatMap((hull, matrix) => stepsOf(matrices[matrix]!, hull, matrix));
  // Along a hull the gains fall, so the steps of a matrix stay in order.
  steps.sort((a, b) => b.gain - a.gain || a.matrix - b.matrix || a.from - b.from);
  for (const { matrix, from, to, bytes } of steps) {
    if (chosen[matrix] !== from || bytes > left) continue;
    chosen[matrix] = to;
    left -= bytes;
  }
  return chosen;
}

/** The forms on the lower convex hull of loss over bytes, by rising bytes and falling loss. */
function usefulForms(forms: readonly Form[]): readonly number[] {
  const order = [...forms.keys()].sort((a, b) => forms[a]!.bytes - forms[b]!.bytes || forms[a]!.loss - forms[b]!.loss);
  const hull: number[] = [];
  for (const at of order) {
    if (hull.length > 0 && forms[at]!.loss >= forms[hull.at(-1)!]!.loss) continue;
    while (hull.length > 1 && gainOf(forms, hull.at(-2)!, hull.at(-1)!) <= gainOf(forms, hull.at(-1)!, at)) hull.pop();
    hull.push(at);
  }
  return hull;
}

function gainOf(forms: readonly Form[], from: number, to: number): number {
  return (forms[from]!.loss - forms[to]!.loss) / (forms[to]!.bytes - forms[from]!.bytes);
}

function stepsOf(forms: readonly Form[], hull: readonly number[], matrix: number): readonly Step[] {
  return hull.slice(1).map((to, i) => {
    const from = hull[i]!;
    return { matrix, from, to, bytes: forms[to]!.bytes - forms[from]!.bytes, gain: gainOf(forms, from, to) };
  });
}
