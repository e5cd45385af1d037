/** Runs a graph whose weights are inline on host tensors, once. */
import type { Graph } from "../../src/graph/graph.ts";
import { serializeGraph } from "../../src/graph/serialize.ts";
import { type Session, hostTensorOf, openSession, runtimeTensor } from "../../src/runtime/ort.ts";
import type { HostTensor } from "../../src/tensor/host-tensor.ts";

export type Tensors = Readonly<Record<string, HostTensor>>;

export function openGraph(graph: Graph, numThreads = 1): Promise<Session> {
  return openSession(serializeGraph(graph), { device: "cpu", numThreads });
}

/** All outputs by name, copied out of the session's memory. */
export async function runSession(session: Session, feeds: Tensors): Promise<Tensors> {
  const entries = Object.entries(feeds).map(([name, { dtype, data, shape }]) => [
    name,
    runtimeTensor(dtype, data, shape),
  ]);
  const results = await session.run(Object.fromEntries(entries), session.outputNames);
  return Object.fromEntries(
    Object.entries(results).map(([name, tensor]) => {
      const { dtype, shape, data } = hostTensorOf(tensor);
      return [name, { dtype, shape, data: data.slice() }];
    }),
  );
}

export async function runGraph(graph: Graph, feeds: Tensors, numThreads = 1): Promise<Tensors> {
  await using session = await openGraph(graph, numThreads);
  return await runSession(session, feeds);
}
