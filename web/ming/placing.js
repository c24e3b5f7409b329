/** Finds a free place on the canvas. Knows nothing about what lies there. */

export const GAP = 90;
const TITLE = 40;
const BETWEEN = 60; // the nodes of a column

/** Right of a node, below whatever lies there; without one, where the canvas is looked at. */
export function freePlace(graph, node, size) {
  const x = node ? node.pos[0] + node.size[0] + GAP : 60;
  let y = node ? node.pos[1] : 80;
  const others = graph.nodes ?? graph._nodes;
  const isTaken = (other) =>
    other.pos[0] < x + size[0] &&
    x < other.pos[0] + other.size[0] &&
    other.pos[1] - TITLE < y + size[1] &&
    y - TITLE < other.pos[1] + other.size[1];
  for (let other = others.find(isTaken); other; other = others.find(isTaken)) {
    y = other.pos[1] + other.size[1] + GAP;
  }
  return [x, y];
}

/** Place columns of new nodes side by side, right of an anchor; `growth` is what a node will need. */
export function placeColumns(graph, anchor, columns, growth) {
  const heightOf = (node) => node.size[1] + growth(node) + TITLE + BETWEEN;
  const widths = columns.map((nodes) => Math.max(...nodes.map((node) => node.size[0])));
  const heights = columns.map((nodes) => nodes.reduce((sum, node) => sum + heightOf(node), 0));
  const width = widths.reduce((sum, each) => sum + each + GAP, -GAP);
  let [x, top] = freePlace(graph, anchor, [width, Math.max(...heights)]);
  columns.forEach((nodes, i) => {
    let y = top;
    for (const node of nodes) {
      node.pos = [x, y];
      y += heightOf(node);
    }
    x += widths[i] + GAP;
  });
}
