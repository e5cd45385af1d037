/**
 * Derivatives of matrix products. A' and B' are the operands in the product's form (transposed or not), and Y = α A'B'.
 * Then dA' = α dY B'ᵀ and dB' = α A'ᵀ dY. Each is computed as one product in the layout in which its operand is stored.
 */
import type { Node, Var } from "../../graph/graph.ts";
import { type ProductOptions, fusedMatMul, gemm } from "../../graph/ops/linear.ts";
import { mul } from "../../graph/ops/elementwise.ts";
import { reshapeAs, unsqueeze } from "../../graph/ops/shaping.ts";
import { again } from "../again.ts";
import { type Gradient, floatAttribute, intAttribute, ofFirstResult, operand, scalarLike, sumTo } from "../rule.ts";

type Product = (a: Var, b: Var, options: ProductOptions) => Var;

/** The two gradients as products of the same kind. */
function productGradients(product: Product, dy: Var, a: Var, b: Var, options: ProductOptions): [() => Var, () => Var] {
  const { transA = false, transB = false, alpha = 1 } = options;
  return [
    // dA = dY B'ᵀ, or its transpose B' dYᵀ where A' = Aᵀ
    () =>
      transA
        ? product(again(b, dy), dy, { transA: transB, transB: true, alpha })
        : product(dy, again(b, dy), { transA: false, transB: !transB, alpha }),
    // dB = A'ᵀ dY, or its transpose dYᵀ A' where B' = Bᵀ
    () =>
      transB
        ? product(dy, again(a, dy), { transA: true, transB: transA, alpha })
        : product(again(a, dy), dy, { transA: !transA, transB: false, alpha }),
  ];
}

function optionsOf(node: Node): ProductOptions {
  return {
    transA: intAttribute(node, "transA", 0) === 1,
    transB: intAttribute(node, "transB", 0) === 1,
    alpha: floatAttribute(node, "alpha", 1),
  };
}

/** Vectors get the dimension that the product gave them; repeated batches are summed. */
function matMulRule(node: Node, dy: Var): readonly Gradient[] {
  const [a, b] = [operand(node, 0), operand(node, 1)];
  const [isRow, isColumn] = [a.shape.length === 1, b.shape.length === 1];
  const matrixA = isRow ? unsqueeze(a, 0) : a;
  const matrixB = isColumn ? unsqueeze(b, 1) : b;
  const column = isColumn ? unsqueeze(dy, -1) : dy;
  const matrixDy = isRow ? unsqueeze(column, -2) : column;
  const [da, db] = productGradients(fusedMatMul, matrixDy, matrixA, matrixB, optionsOf(node));
  return [() => reshapeAs(sumTo(da(), matrixA), a), () => reshapeAs(sumTo(db(), matrixB), b)];
}

/** Y = α A'B' + β C: dC = β dY, summed over what was repeated. */
function gemmRule(node: Node, dy: Var): readonly Gradient[] {
  const beta = floatAttribute(node, "beta", 1);
  const products = productGradients(gemm, dy, operand(node, 0), operand(node, 1), optionsOf(node));
  return [...products, () => sumTo(beta === 1 ? dy : mul(dy, scalarLike(dy, beta)), operand(node, 2))];
}

export const linearRules = ofFirstResult({ MatMul: matMulRule, FusedMatMul: matMulRule, Gemm: gemmRule });
