/** Choice between two branches at run time. Source: ONNX If-21. */
import { Graph, type Var, expectDtype, expectShape, fail, graphOf } from "../graph.ts";
import { sameShape } from "../shape.ts";

/**
 * Runs one of two branches and returns its value. Each branch receives the `captured` values as values of its own
 * graph. Both results need the same dtype. If their shapes differ, the first branch's shape is used, and the other must
 * broadcast in the same way.
 * @param condition bool scalar
 */
export function ifElse(
  condition: Var,
  captured: readonly Var[],
  thenBranch: (...values: Var[]) => Var,
  elseBranch: (...values: Var[]) => Var,
): Var {
  expectDtype("ifElse", "the condition", condition, "bool");
  expectShape("ifElse", "the condition", condition, []);
  const graph = graphOf(condition, ...captured);
  const build = (name: string, body: (...values: Var[]) => Var): { branch: Graph; result: Var } => {
    const branch = new Graph(name, graph);
    let result = body(...captured.map((value) => branch.capture(value)));
    // A branch must make its result itself, so a captured value is returned through an Identity.
    if (!result.producer)
      result = branch.node("Identity", [result], [{ dtype: result.dtype, shape: result.shape }])[0]!;
    branch.output(result);
    return { branch, result };
  };
  const yes = build("then", thenBranch);
  const no = build("else", elseBranch);
  if (yes.result.dtype !== no.result.dtype || yes.result.shape.length !== no.result.shape.length)
    fail(
      "ifElse",
      `both branches must have one dtype and rank, found ${yes.result.dtype} of rank ${yes.result.shape.length} and ${no.result.dtype} of rank ${no.result.shape.length}`,
    );
  const shape = sameShape(yes.result.shape, no.result.shape) ? no.result.shape : yes.result.shape;
  const attributes = { then_branch: { graph: yes.branch }, else_branch: { graph: no.branch } };
  return graph.node("If", [condition], [{ dtype: yes.result.dtype, shape }], attributes)[0]!;
}
