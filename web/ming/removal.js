/** Takes nodes out of the graph, and can bring them back with their wires and what they showed. */
import { app } from "../../../scripts/app.js";
import { connect, isPlaced, makeNode, removeNode } from "./graph.js";

/** Returns what brings them back, which itself returns a Map from each node to its new one. */
export function removeNodes(graph, nodes, store) {
  const taken = nodes.map((node) => ({
    node,
    saved: structuredClone(node.serialize()),
    wires: wiresInto(node),
    shown: store.entry(node),
    output: app.nodeOutputs?.[node.id],
  }));
  for (const { node } of taken) removeNode(node);
  return () => bringBack(graph, taken, store);
}

function bringBack(graph, taken, store) {
  const fresh = new Map();
  for (const { node, saved, output } of taken) {
    const made = makeNode(saved.type);
    const inputs = saved.inputs?.map((input) => ({ ...input, link: null }));
    const outputs = saved.outputs?.map((each) => ({ ...each, links: null }));
    made.configure({ ...saved, inputs, outputs });
    graph.add(made);
    if (output && app.nodeOutputs) app.nodeOutputs[made.id] = output;
    fresh.set(node, made);
  }
  for (const { node, wires, shown } of taken) {
    const made = fresh.get(node);
    for (const { from, slot, name } of wires) {
      const origin = fresh.get(from) ?? from;
      if (isPlaced(origin)) connect({ node: origin, slot }, made, name);
    }
    if (shown) store.put(made, shown);
  }
  return fresh;
}

function wiresInto(node) {
  return (node.inputs ?? []).flatMap(({ name }, i) => {
    const link = node.getInputLink(i);
    const from = link && node.graph.getNodeById(link.origin_id);
    return from ? [{ from, slot: link.origin_slot, name }] : [];
  });
}
