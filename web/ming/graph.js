/** The graph that is open: changed as one step of the host's own undo. */
import { app } from "../../../scripts/app.js";

/** The graph that lines are typed into, also while a subgraph is looked at. */
export const rootGraph = () => app.rootGraph ?? app.graph;

/** Whether a node is in its graph still; one of a workflow that was closed is not. */
export const isPlaced = (node) => Boolean(node?.graph && node.graph.getNodeById(node.id) === node);

/** A new node with values for its widgets. */
export function makeNode(type, values = {}) {
  const node = window.LiteGraph.createNode(type);
  if (!node) throw new Error(`There is no node ${type}.`);
  // Before it is drawn: Nodes 2.0 shows what it finds then.
  for (const widget of node.widgets ?? []) {
    if (!(widget.name in values)) continue;
    const choices = widget.options?.values;
    const value = values[widget.name];
    if (Array.isArray(choices) && !choices.includes(value)) choices.push(value);
    widget.value = value;
  }
  return node;
}

/** Take a node out, if it is still there. */
export function removeNode(node) {
  if (isPlaced(node)) node.graph.remove(node);
}

/** Connect an output, { node, slot }, to an input by name. */
export const connect = (from, to, name) =>
  from.node.connect(from.slot, to, to.findInputSlot(name));

/** Change a graph as one step of the host's own undo; returns what `work` returns. */
export function inOneChange(graph, work) {
  graph.beforeChange?.();
  try {
    return work();
  } finally {
    graph.afterChange?.();
    app.canvas?.setDirty?.(true, true);
    app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.();
  }
}
