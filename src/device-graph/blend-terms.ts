/**
 * Terms of Mo-SARA rows in a serving graph: Σ vᵢ ⊙ U(λᵢ ⊙ z) instead of one v ⊙ U(λ ⊙ z), with the same z and U. A
 * blend has a term for each member, any other row has one. The pass gives λ and v of a stored graph an axis of terms,
 * and sums over it. A switch for rows with several terms would need a second product with U, which ONNX Runtime (1.30)
 * packs for no branch within a branch. Pure.
 */
import {
  ATTRIBUTE_TYPES,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
  onnxTypeOf,
} from "../formats/onnx-proto.ts";
import { FIRST_TERM, HAS_MO_SARA, HAS_ROUTERS, type Port, TERMS } from "../model/ports.ts";

const GAINS = /^adapter\..+\.gains$/;
const SCALE = /^adapter\..+\.scale$/;
/**
 * The first axis. ONNX Runtime (1.30) adds along it in order for any number of rows and terms, so a row's bits do not
 * depend on the other rows. Along a middle axis, the order depends on the number of terms (measured).
 */
const TERM_AXIS = 0;

/** The graph with terms in the ports of λ and v, and `FIRST_TERM`; unchanged where it has no Mo-SARA part. */
export function withBlendTerms(model: OnnxModel): OnnxModel {
  const { graph } = model;
  if (!graph.input.some(({ name }) => name === HAS_MO_SARA.name)) return model;
  const node = graph.node.map((one) =>
    one.opType === "If" && one.input[0] === HAS_MO_SARA.name ? inThenBranch(one, withTerms) : one,
  );
  const input = graph.input.map((info) => (GAINS.test(info.name) || SCALE.test(info.name) ? withTermAxis(info) : info));
  return { ...model, graph: { ...graph, node, input: [...input, inputInfo(FIRST_TERM)] } };
}

/** A port of λ or v, [rows,width], as [terms,rows,width]. */
function withTermAxis(info: OnnxValueInfo): OnnxValueInfo {
  const [rows, width] = info.type?.tensorType?.shape?.dim ?? [];
  if (!rows || !width) throw new Error(`internal: ${info.name} has no two dimensions`);
  return { ...info, type: { tensorType: { ...FLOAT.tensorType, shape: { dim: [{ dimParam: TERMS }, rows, width] } } } };
}

function inputInfo({ name, dtype, shape }: Port): OnnxValueInfo {
  const dim = shape.map((one) => (typeof one === "number" ? { dimValue: one } : { dimParam: one }));
  return { name, type: { tensorType: { elemType: onnxTypeOf(dtype), shape: { dim } } } };
}

function inThenBranch(node: OnnxNode, change: (branch: OnnxGraph) => OnnxGraph): OnnxNode {
  return inBranches(node, (branch, name) => (name === "then_branch" ? change(branch) : branch));
}

function inBranches(node: OnnxNode, change: (branch: OnnxGraph, name: string) => OnnxGraph): OnnxNode {
  return { ...node, attribute: node.attribute.map((one) => (one.g ? { ...one, g: change(one.g, one.name) } : one)) };
}

/** The Mo-SARA branch of one group, with terms from λ ⊙ z to the product with v. */
function withTerms(branch: OnnxGraph): OnnxGraph {
  const at = branch.node.findIndex(({ opType, input }) => opType === "Mul" && SCALE.test(input[1] ?? ""));
  const switchAt = branch.node.findIndex(({ opType, input }) => opType === "If" && input[0] === HAS_ROUTERS.name);
  const [product, routers] = [branch.node[at], branch.node[switchAt]];
  if (!product || !routers || switchAt > at)
    throw new Error(`internal: a Mo-SARA part of another form in ${branch.name}`);
  const [result = ""] = product.output;
  const [axis, summed] = [`${result}.axis`, `${result}.terms`];
  return {
    ...branch,
    initializer: [...branch.initializer, int64(axis, TERM_AXIS)],
    node: [
      ...branch.node.slice(0, switchAt),
      inBranches(routers, (one) => weighed(one, axis)), // z [M,k] is multiplied by λ [m,M,k]
      ...branch.node.slice(switchAt + 1, at).map(alongLastAxis),
      { ...product, name: summed, output: [summed] }, // [m,M,dOut]
      { ...nodeOf("ReduceSum", [summed, axis], result), attribute: [int("keepdims", 0)] },
      ...branch.node.slice(at + 1),
    ],
  };
}

/** A branch of the switch for routed rows: λ ⊙ z, or, in older graphs, λ alone. @param axis the axis of terms */
function weighed(branch: OnnxGraph, axis: string): OnnxGraph {
  const node = branch.node.flatMap((one) =>
    one.opType === "Add" && GAINS.test(one.input[0] ?? "") ? mixedIntoFirst(one, axis) : [one],
  );
  const output = branch.output.map(({ name }) => ({ name, type: FLOAT }));
  return { ...branch, node, output };
}

/** λ of the plain rows plus the mixed heads of the routed ones, which are in their first term. */
function mixedIntoFirst(sum: OnnxNode, axis: string): readonly OnnxNode[] {
  const [gains = "", mixed = ""] = sum.input;
  const [unsqueezed, first] = [`${mixed}.terms`, `${mixed}.first`];
  return [
    nodeOf("Unsqueeze", [mixed, axis], unsqueezed),
    nodeOf("Mul", [unsqueezed, FIRST_TERM.name], first),
    { ...sum, input: [gains, first] },
  ];
}

/** Splitting and joining columns, which are the last of three axes now. */
function alongLastAxis(node: OnnxNode): OnnxNode {
  if (node.opType !== "Split" && node.opType !== "Concat") return node;
  return { ...node, attribute: node.attribute.map((one) => (one.name === "axis" ? int("axis", -1) : one)) };
}

const FLOAT = { tensorType: { elemType: onnxTypeOf("float32") } };

const int = (name: string, i: number): OnnxAttribute => ({ name, type: ATTRIBUTE_TYPES.int, i });

function int64(name: string, ...values: readonly number[]): OnnxTensor {
  const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return { name, dims: [values.length], dataType: onnxTypeOf("int64"), rawData };
}

function nodeOf(opType: string, input: readonly string[], output: string): OnnxNode {
  return { name: output, opType, domain: "", input, output: [output], attribute: [] };
}
