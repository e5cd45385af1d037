/**
 * Further terms of Mo-SARA rows in a serving graph: Σ vᵢ ⊙ U(λᵢ ⊙ z) beside a row's own v ⊙ U(λ ⊙ z), with the same z
 * and U. A blend has one such term for each member after the first. The pass adds them to a stored graph behind a
 * switch, inside the part that Mo-SARA rows run anyway. Pure.
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
import { HAS_MO_SARA, HAS_ROUTERS, HAS_TERMS, type Port, termGainsPort, termScalesPort } from "../model/ports.ts";

const SCALE = /^adapter\.(.+)\.scale$/;

/** Where a group's numbers lie in the packed ports. */
interface GroupPlace {
  readonly gainsAt: number;
  readonly k: number;
  readonly scalesAt: number;
  readonly dOut: number;
}

/**
 * The graph with `HAS_TERMS` and the packed λ and v of further terms as inputs; unchanged where it has no Mo-SARA part.
 */
export function withBlendTerms(model: OnnxModel): OnnxModel {
  const { graph } = model;
  const places = placesOf(graph);
  if (places.size === 0) return model;
  const node = graph.node.map((one) =>
    one.opType === "If" && one.input[0] === HAS_MO_SARA.name ? withTermsIn(one, places) : one,
  );
  const all = [...places.values()];
  const totalK = all.reduce((sum, { k }) => sum + k, 0);
  const totalOut = all.reduce((sum, { dOut }) => sum + dOut, 0);
  const inputs = [HAS_TERMS, termGainsPort(totalK), termScalesPort(totalOut)].map(inputInfo);
  return { ...model, graph: { ...graph, node, input: [...graph.input, ...inputs] } };
}

/** Groups in the order of their ports, which is the layout's. */
function placesOf({ input }: OnnxGraph): ReadonlyMap<string, GroupPlace> {
  const widths = new Map(input.map(({ name, type }) => [name, Number(type?.tensorType?.shape?.dim[1]?.dimValue ?? 0)]));
  const places = new Map<string, GroupPlace>();
  let [gainsAt, scalesAt] = [0, 0];
  for (const { name } of input) {
    const group = SCALE.exec(name)?.[1];
    if (group === undefined) continue;
    const k = widths.get(`adapter.${group}.gains`) ?? 0;
    const dOut = widths.get(name) ?? 0;
    places.set(group, { gainsAt, k, scalesAt, dOut });
    gainsAt += k;
    scalesAt += dOut;
  }
  return places;
}

function inputInfo({ name, dtype, shape }: Port): OnnxValueInfo {
  const dim = shape.map((one) => (typeof one === "number" ? { dimValue: one } : { dimParam: one }));
  return { name, type: { tensorType: { elemType: onnxTypeOf(dtype), shape: { dim } } } };
}

function withTermsIn(node: OnnxNode, places: ReadonlyMap<string, GroupPlace>): OnnxNode {
  const attribute = node.attribute.map((one) =>
    one.name === "then_branch" && one.g ? { ...one, g: withTermsAfter(one.g, places) } : one,
  );
  return { ...node, attribute };
}

/** Adds the terms to the product with v, the last node of Mo-SARA's own. */
function withTermsAfter(branch: OnnxGraph, places: ReadonlyMap<string, GroupPlace>): OnnxGraph {
  const at = branch.node.findIndex(({ opType, input }) => opType === "Mul" && SCALE.test(input[1] ?? ""));
  const product = branch.node[at];
  const group = SCALE.exec(product?.input[1] ?? "")?.[1] ?? "";
  const place = places.get(group);
  const weighedAt = indexOfWeighed(branch);
  if (!product || !place || weighedAt < 0 || weighedAt >= at)
    throw new Error(`internal: a Mo-SARA part of another form in ${branch.name}`);
  const [result = ""] = product.output;
  const own = `${result}.own`;
  const terms = termsOf(group, place, {
    z: zOf(branch, weighedAt),
    weighed: branch.node[weighedAt]?.output[0] ?? "",
    expansion: branch.node.slice(weighedAt + 1, at),
    expanded: product.input[0] ?? "",
    own,
    result,
  });
  const node = [
    ...branch.node.slice(0, at),
    { ...product, name: own, output: [own] },
    terms,
    ...branch.node.slice(at + 1),
  ];
  return { ...branch, node };
}

/** Index of the node that gives λ ⊙ z: the switch for routed rows, or, in older graphs, the product after it. */
function indexOfWeighed({ node }: OnnxGraph): number {
  const at = node.findIndex(({ opType, input }) => opType === "If" && input[0] === HAS_ROUTERS.name);
  const next = node[at + 1];
  return next?.opType === "Mul" && next.input[1] === node[at]?.output[0] ? at + 1 : at;
}

function zOf({ node }: OnnxGraph, weighedAt: number): string {
  const weighed = node[weighedAt];
  if (weighed?.opType === "Mul") return weighed.input[0] ?? "";
  const plain = weighed?.attribute
    .find(({ name }) => name === "else_branch")
    ?.g?.node.find(({ opType }) => opType === "Mul");
  if (!plain) throw new Error("internal: a Mo-SARA part without λ ⊙ z");
  return plain.input[0] ?? "";
}

interface Surroundings {
  readonly z: string;
  readonly weighed: string;
  /** The nodes from λ ⊙ z to U(λ ⊙ z). */
  readonly expansion: readonly OnnxNode[];
  readonly expanded: string;
  readonly own: string;
  readonly result: string;
}

/** `If(HAS_TERMS)`: own + Σ vᵢ ⊙ U(λᵢ ⊙ z), otherwise own. */
function termsOf(group: string, place: GroupPlace, around: Surroundings): OnnxNode {
  const graph = (name: string, node: readonly OnnxNode[], initializer: readonly OnnxTensor[]): OnnxGraph => {
    const output = node.at(-1)?.output[0] ?? "";
    return { name, node, initializer, input: [], output: [{ name: output, type: FLOAT }] };
  };
  const { nodes, constants } = termNodes(`terms.${group}`, place, around);
  const kept = nodeOf("Identity", [around.own], `terms.${group}.own`);
  const attribute: readonly OnnxAttribute[] = [
    { name: "then_branch", type: ATTRIBUTE_TYPES.graph, g: graph("then", nodes, constants) },
    { name: "else_branch", type: ATTRIBUTE_TYPES.graph, g: graph("else", [kept], []) },
  ];
  return { ...nodeOf("If", [HAS_TERMS.name], around.result), attribute };
}

const FLOAT = { tensorType: { elemType: onnxTypeOf("float32") } };

function termNodes(prefix: string, { gainsAt, k, scalesAt, dOut }: GroupPlace, around: Surroundings) {
  const constants: OnnxTensor[] = [];
  const ints = (name: string, ...values: number[]): string => {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    constants.push({ name: `${prefix}.${name}`, dims: [values.length], dataType: onnxTypeOf("int64"), rawData });
    return `${prefix}.${name}`;
  };
  const named = (name: string): string => `${prefix}.${name}`;
  const node = (opType: string, input: readonly string[], name: string, attribute: readonly OnnxAttribute[] = []) => ({
    ...nodeOf(opType, input, named(name)),
    attribute,
  });
  const slice = (from: string, at: number, size: number, name: string): OnnxNode =>
    node("Slice", [from, ints(`${name}_from`, at), ints(`${name}_to`, at + size), ints(`${name}_axis`, 2)], name);
  const one = ints("one", 1);
  const renamed = new Map(around.expansion.flatMap(({ output }) => output.map((name) => [name, named(name)] as const)));
  renamed.set(around.weighed, named("rows"));
  const expansion = around.expansion.map((each) => ({
    ...each,
    name: named(each.name),
    input: each.input.map((name) => renamed.get(name) ?? name),
    output: each.output.map((name) => renamed.get(name) ?? name),
  }));
  const int = (name: string, i: number): OnnxAttribute => ({ name, type: ATTRIBUTE_TYPES.int, i });
  const nodes: readonly OnnxNode[] = [
    slice(termGainsPort(0).name, gainsAt, k, "gains"),
    slice(termScalesPort(0).name, scalesAt, dOut, "scales"),
    node("Unsqueeze", [around.z, one], "z"),
    node("Mul", [named("z"), named("gains")], "weighed"), // [M,m,k]
    node("Shape", [named("weighed")], "leading", [int("start", 0), int("end", 2)]),
    node("Concat", [named("leading"), ints("width", dOut)], "shape", [int("axis", 0)]),
    node("Reshape", [named("weighed"), ints("flat", -1, k)], "rows"),
    ...expansion,
    node("Reshape", [renamed.get(around.expanded) ?? "", named("shape")], "expanded"),
    node("Mul", [named("expanded"), named("scales")], "scaled"),
    node("ReduceSum", [named("scaled"), one], "sum", [int("keepdims", 0)]),
    node("Add", [around.own, named("sum")], "with_own"),
  ];
  return { nodes, constants };
}

function nodeOf(opType: string, input: readonly string[], output: string): OnnxNode {
  return { name: output, opType, domain: "", input, output: [output], attribute: [] };
}
